"""Labels of a film for display, read from any layout that the trainer reads.

The trainer's reader (`beam_pipelines.labels.annotations`) refuses doubtful content. Here a label is only a line next to
a curve: a table needs no more than a header that names time, valence and arousal, and if a file can't be read, the page
lacks that line and says so, but still shows the film.
"""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.labels.config import LabelConfig, Layout
from beam_pipelines.labels.layouts import AnnotationError, read_rows

_COLUMNS = ("time", *TARGETS)
_OTHER_LAYOUTS: tuple[Layout, ...] = ("mediaeval2017", "mediaeval2016")
"""The layouts whose headers don't name all three; LIRIS-ACCEDE's is the latter's."""


@dataclass(frozen=True, eq=False)
class ShownLabels:
    """Labels on the film's one-second clock: float64 [T] each, NaN in seconds without a label."""

    valence: NDArray[np.float64]
    arousal: NDArray[np.float64]


def read_shown_labels(uri: str, seconds: int) -> ShownLabels:
    """Reads a label table; a row belongs to the second nearest to its time, and the first row's time is second 0.

    Args:
        uri: a text file with columns separated by tabs, commas, semicolons or spaces, local or `gs://`.
        seconds: T of the film; later rows are left out.

    Raises:
        FilmError: step `labels`; if there is no such file, it lacks the columns, or a row isn't numbers.
    """
    try:
        text = storage.read_text(uri)
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise FilmError("labels", "unreadable", f"{uri}: {error}") from error
    table = [_fields(line) for line in text.splitlines() if line.strip()]
    places = _places(table[0] if table else [])
    if places is None:
        rows = _rows_of_a_layout(uri)
    else:
        rows = [_numbers(row, places, uri, number) for number, row in enumerate(table[1:], start=2)]
        rows = [(time_s - rows[0][0], *values) for time_s, *values in rows]
    shown = np.full((2, seconds), np.nan)
    for time_s, *values in rows:
        second = math.floor(time_s + 0.5)
        if 0 <= second < seconds:
            shown[:, second] = values
    return ShownLabels(shown[0], shown[1])


def _rows_of_a_layout(uri: str) -> list[tuple[float, ...]]:
    """Time on the film's clock, valence and arousal of a file whose header doesn't name all three."""
    for layout in _OTHER_LAYOUTS:
        try:
            rows, _ = read_rows(uri, LabelConfig(layout=layout))
        except AnnotationError:
            continue
        # Segments start at their time in the film; other rows may count from any time.
        origin_s = rows[0].time_s if rows and layout != "mediaeval2017" else 0.0
        return [(row.time_s - origin_s, *row.values) for row in rows]
    raise FilmError("labels", "no_columns", f"{uri}: has no header that names {', '.join(_COLUMNS)}")


def _fields(line: str) -> list[str]:
    divider = next((character for character in "\t,;" if character in line), None)
    fields = line.split() if divider is None else next(csv.reader(io.StringIO(line), delimiter=divider))
    return [field.strip() for field in fields]


def _places(header: list[str]) -> list[int] | None:
    names = [re.sub(r"[^a-z]", "", field.lower()) for field in header]
    places = [next((i for i, name in enumerate(names) if column in name), -1) for column in _COLUMNS]
    return None if -1 in places else places


def _numbers(row: list[str], places: list[int], uri: str, number: int) -> tuple[float, ...]:
    try:
        numbers = [float(row[place]) for place in places]
    except (ValueError, IndexError) as error:
        raise FilmError("labels", "not_numbers", f"{uri}, row {number}: {row} isn't time, valence, arousal") from error
    if not math.isfinite(numbers[0]):
        raise FilmError("labels", "not_numbers", f"{uri}, row {number}: its time is {numbers[0]}")
    return tuple(numbers)
