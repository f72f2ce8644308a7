"""The curve files of a scoring or a training run, read and written as float64 [T, targets]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from beam_pipelines.contracts.curves.bands import LEVELS
from beam_pipelines.contracts.curves.curves import AffectCurve, CurveError, curve_uri, read_columns, to_csv
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError

RAW, SMOOTHED = "raw", "smoothed"
RIDGE = "ridge"
"""The folder of a run that holds the same of its ridge regression, and how the names of that one's rows begin."""


def ridge_rows(predictor: str) -> str:
    """The name of a row of ridge regression in a table beside a network's."""
    return f"{RIDGE}, {predictor}"


def write_curve(
    directory: str, film_id: str, raw: np.ndarray, smoothed: np.ndarray, targets: Sequence[str] = TARGETS
) -> None:
    """Writes `<directory>/curves/<film_id>.csv` from [T, targets] each, in the format of a scoring run (contract 3)."""
    columns = {name: smoothed[:, place] for place, name in enumerate(targets)}
    columns |= {f"{name}_raw": raw[:, place] for place, name in enumerate(targets)}
    curve = AffectCurve.of_columns(film_id, columns)
    storage.write_text(curve_uri(directory, film_id), to_csv(curve))


def read_curve(uri: str, targets: Sequence[str] = TARGETS) -> dict[str, np.ndarray]:
    """Reads a curve of a scoring or a training run, or of another system, if it has time_s and the targets.

    Returns:
        `smoothed` float64 [T, targets], and `raw` if the file has those columns; NaN for an empty cell.

    Raises:
        ConfigurationError: if the file isn't such a CSV; the text names file and line.
        FileNotFoundError: if there is no such file.
    """
    columns = _columns(uri)
    lacking = [target for target in targets if target not in columns]
    if lacking:
        raise ConfigurationError(f"{uri}: not a curve: it has no column {', '.join(lacking)}")
    curve = {SMOOTHED: np.stack([columns[target] for target in targets], axis=1)}
    if all(f"{target}_raw" in columns for target in targets):
        curve[RAW] = np.stack([columns[f"{target}_raw"] for target in targets], axis=1)
    return curve


def read_bands(uri: str, targets: Sequence[str] = TARGETS) -> dict[tuple[str, int], tuple[np.ndarray, np.ndarray]]:
    """The bands in a curve file: (target, level in percent) -> lower and upper edge, float64 [T] each.

    Raises:
        ConfigurationError: if the file isn't a CSV of a curve.
        FileNotFoundError: if there is no such file.
    """
    columns = _columns(uri)
    return {
        (target, level): (columns[f"{target}_low_{level}"], columns[f"{target}_high_{level}"])
        for target in targets
        for level in LEVELS
        if f"{target}_low_{level}" in columns and f"{target}_high_{level}" in columns
    }


def targets_of_curve(uri: str) -> tuple[str, ...]:
    """The targets that a curve file has columns of.

    Raises:
        ConfigurationError: if the file isn't such a CSV.
        FileNotFoundError: if there is no such file.
    """
    columns = _columns(uri)
    return tuple(target for target in TARGETS if target in columns)


def _columns(uri: str) -> dict[str, np.ndarray]:
    try:
        return read_columns(storage.read_text(uri), uri)
    except CurveError as error:
        raise ConfigurationError(str(error)) from error
