"""The curve files of a scoring or a training run, read and written as float64 [T, 2]."""

from __future__ import annotations

import numpy as np

from beam_pipelines.contracts.curves.curves import COLUMNS, AffectCurve, CurveError, curve_uri, read_columns, to_csv
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError

RAW, SMOOTHED = "raw", "smoothed"
RIDGE = "ridge"
"""The folder of a run that holds the same of its ridge regression, and how the names of that one's rows begin."""


def ridge_rows(predictor: str) -> str:
    """The name of a row of ridge regression in a table beside a network's."""
    return f"{RIDGE}, {predictor}"


def write_curve(directory: str, film_id: str, raw: np.ndarray, smoothed: np.ndarray) -> None:
    """Writes `<directory>/curves/<film_id>.csv` from [T, 2] each, in the format of a scoring run (contract 3)."""
    curve = AffectCurve(film_id, *np.transpose(smoothed), *np.transpose(raw))
    storage.write_text(curve_uri(directory, film_id), to_csv(curve))


def read_curve(uri: str) -> dict[str, np.ndarray]:
    """Reads a curve of a scoring or a training run, or of another system, if it has time_s, valence and arousal.

    Returns:
        `smoothed` float64 [T, 2], and `raw` if the file has those columns; NaN for an empty cell.

    Raises:
        ConfigurationError: if the file isn't such a CSV; the text names file and line.
        FileNotFoundError: if there is no such file.
    """
    try:
        columns = read_columns(storage.read_text(uri), uri)
    except CurveError as error:
        raise ConfigurationError(str(error)) from error
    lacking = [target for target in TARGETS if target not in columns]
    if lacking:
        raise ConfigurationError(f"{uri}: not a curve: it has no column {', '.join(lacking)}")
    curve = {SMOOTHED: np.stack([columns[target] for target in TARGETS], axis=1)}
    if set(COLUMNS) <= set(columns):
        curve[RAW] = np.stack([columns[f"{target}_raw"] for target in TARGETS], axis=1)
    return curve
