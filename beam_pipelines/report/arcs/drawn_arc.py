"""An arc that somebody wrote, to be compared with films: a curve of another run, or a few points joined by lines.

time_s,valence,arousal       percent,valence
0,-0.12,0.30                 0,-0.5
1,-0.11,0.31                 30,0.8
…                            100,0
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.contracts.curves.curves import TIME, CurveError, read_columns
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.foundation.tables.reading import Numbers, read_table
from beam_pipelines.report.arcs.arcs import POINTS, Arcs, arc_from_points, resample

PERCENT = "percent"
"""The column that says how much of the film has passed, 0 to 100."""
_FINE = 40
"""So many places are taken of a part of the film when lines between points are averaged over it."""


def read_arc(uri: str, label_range: tuple[float, float]) -> Arcs:
    """Reads an arc with one or both targets.

    Raises:
        ConfigurationError: if the file is absent or no such table; the text names the file and the line.
    """
    try:
        table = read_table(uri)
    except FileNotFoundError as error:
        raise ConfigurationError(f"{uri}: no such file; --to takes a table of time_s or percent, and values") from error
    header = [name.casefold() for name in table.header]
    targets = [target for target in TARGETS if target in header]
    if not targets or (TIME not in header and PERCENT not in header):
        raise ConfigurationError(
            f"{uri}: needs a column {TIME} (seconds from 0) or {PERCENT} (of the film, 0 to 100), and a column "
            f"{' or '.join(TARGETS)} or both; it has {', '.join(table.header) or 'none'}"
        )
    if TIME in header:
        points = _of_seconds(uri, targets)
    else:
        numbers = Numbers(uri)
        places = [header.index(name) for name in (PERCENT, *targets)]
        rows = [(line, numbers.of(line, [cells[place] for place in places])) for line, cells in table.rows()]
        points = dict(zip(targets, _joined(uri, rows), strict=True))
    _check_range(uri, points, label_range)
    return arc_from_points(uri.rsplit("/", 1)[-1], points, label_range)


def _of_seconds(uri: str, targets: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    try:
        columns = read_columns(storage.read_text(uri), uri)
        return {target: resample(columns[target]) for target in targets}
    except CurveError as error:
        raise ConfigurationError(f"{error}; for a few points, give a column {PERCENT} instead of {TIME}") from error
    except (KeyError, ValueError) as error:
        raise ConfigurationError(f"{uri}: {error}") from error


def _joined(uri: str, rows: list[tuple[int, NDArray[np.float64]]]) -> list[NDArray[np.float64]]:
    """The points of each target: lines between the rows, averaged over each part of the film."""
    for line, row in rows:
        if not np.isfinite(row).all():
            raise ConfigurationError(f"{uri}, line {line}: a cell is empty or no number; leave the row out")
        if not 0 <= row[0] <= 100:
            raise ConfigurationError(f"{uri}, line {line}: {PERCENT} is {row[0]:g}; it runs from 0 to 100")
    for (_, before), (line, row) in pairwise(rows):
        if row[0] <= before[0]:
            raise ConfigurationError(f"{uri}, line {line}: {PERCENT} must rise from row to row")
    if len(rows) < 2:
        raise ConfigurationError(f"{uri}: an arc needs two rows at least, at 0 and 100 {PERCENT} for instance")
    values = np.array([row for _, row in rows])
    places = (np.arange(POINTS * _FINE) + 0.5) * (100 / (POINTS * _FINE))
    return [np.interp(places, values[:, 0], column).reshape(POINTS, _FINE).mean(axis=1) for column in values[:, 1:].T]


def _check_range(uri: str, points: dict[str, NDArray[np.float64]], label_range: tuple[float, float]) -> None:
    low, high = label_range
    for target, values in points.items():
        if values.min() < low - 1e-9 or values.max() > high + 1e-9:
            raise ConfigurationError(
                f"{uri}: {target} goes from {values.min():.3g} to {values.max():.3g}; the scores' range is {low:g} to "
                f"{high:g}"
            )
