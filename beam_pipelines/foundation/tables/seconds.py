"""From a table's rows to the film's seconds: which column is the clock, and the mean of the rows of each second.

    time_s, timestamp, time   seconds from the film's beginning
    frame                     frames, where their rate is given; they count from 1 if the first row has 1, else from 0
    none of them              the row's number: one row a second, or as many as the given rate says

Second t has the rows from t up to but not including t + 1. `SecondMeans` averages them, features and ratings alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.foundation.tables.reading import Numbers, Table, TableError

CLOCKS = ("time_s", "timestamp", "time", "frame")
"""The names of columns that say when; in any case, the first that is there. They are never values."""

MAX_SECONDS = 12 * 3600
_TIMES, _FRAME = CLOCKS[:-1], CLOCKS[-1]
_ROUNDED_S = 0.0005
"""Times with three decimals may lie so much before the second that is meant."""
_SPARSE_S = 1.5
_LARGEST = float(np.finfo(np.float32).max)
"""Records hold 32 bits: a larger number would become infinite there."""


class SecondMeans:
    """The means of samples by the second; blocks of samples may come in any order.

    Args:
        columns: D, the number of columns.
        whole_rows: whether a row counts for all columns or, with a NaN, for none; else each column counts by itself.
    """

    def __init__(self, columns: int, whole_rows: bool = False):
        self._whole_rows = whole_rows
        self._seconds = 0
        self._sums = np.zeros((0, columns))
        self._counts = np.zeros((0, 1 if whole_rows else columns), np.int64)

    def add(self, seconds: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Adds samples: their seconds int64 [N], none negative, and values float64 [N, D], NaN for none."""
        self._seconds = max(self._seconds, int(seconds.max(initial=-1)) + 1)
        if self._seconds > len(self._sums):
            # Twice as many: rows come one by one, and a copy a row would take quadratic time.
            lacking = 2 * self._seconds - len(self._sums)
            self._sums = np.pad(self._sums, ((0, lacking), (0, 0)))
            self._counts = np.pad(self._counts, ((0, lacking), (0, 0)))
        known: NDArray[np.bool_] = ~np.isnan(values)
        if self._whole_rows:
            known = np.asarray(known.all(axis=1, keepdims=True))
        np.add.at(self._sums, seconds, np.where(known, values, 0.0))
        np.add.at(self._counts, seconds, known)

    def means(self, least_samples: int = 1) -> NDArray[np.float64]:
        """The means, float64 [T, D]; NaN where a second has fewer samples."""
        sums, counts = self._sums[: self._seconds], self._counts[: self._seconds]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(counts >= least_samples, sums / counts, math.nan)

    def averaged(self) -> int:
        """How many seconds have several samples."""
        return int((self._counts.max(axis=1, initial=0) > 1).sum())


def second_of(time_s: NDArray[np.float64]) -> NDArray[np.int64]:
    """The seconds to which times belong, int64 [N]; a time with three decimals may be rounded down."""
    seconds: NDArray[np.int64] = np.floor(time_s + _ROUNDED_S).astype(np.int64)
    return seconds


@dataclass(frozen=True)
class Clock:
    """What says when a row is.

    Attributes:
        place: the place of its column; None for the row's number.
        rate_hz: how many of its units are a second.
    """

    place: int | None
    rate_hz: Fraction


@dataclass(eq=False)
class Seconds:
    """The rows of a table by the second.

    Attributes:
        means: float64 [T, D], the mean of a second's whole rows; NaN where it has none.
        absent: seconds without any row.
        empty: rows without any value.
        not_numbers: rows with a value that is no finite number; they are left out.
        doubled: rows of a time that an earlier row has; they are left out.
        averaged: seconds with several whole rows.
        first_fault: the first row that was left out for its values, as a sentence; empty if there is none.
    """

    means: NDArray[np.float64]
    absent: int = 0
    empty: int = 0
    not_numbers: int = 0
    doubled: int = 0
    averaged: int = 0
    first_fault: str = field(default="")


def find_clock(table: Table, rate_hz: Fraction | None = None) -> Clock:
    """The clock of a table.

    Args:
        table: the table.
        rate_hz: how many frames, or rows where no column says when, are a second. A column `frame` is the clock then.

    Raises:
        TableError: if only a column `frame` says when, and no rate is given.
    """
    frame = table.place(_FRAME)
    if frame is not None and rate_hz is not None:
        return Clock(frame, rate_hz)
    for name in _TIMES:
        place = table.place(name)
        if place is not None:
            return Clock(place, Fraction(1))
    if frame is not None:
        raise TableError(
            f"{table.uri}: only its column '{table.header[frame]}' says when; name the frames' rate, or add a column "
            f"{_TIMES[0]} with seconds"
        )
    return Clock(None, rate_hz or Fraction(1))


def means_of_seconds(table: Table, places: Sequence[int], clock: Clock) -> Seconds:
    """The mean of every second over its rows, whatever their order.

    Args:
        table: the table.
        places: the places of the D columns of values.
        clock: from `find_clock`.

    Raises:
        TableError: if a row can't be read, its time is no time of a film, or most rows lie further apart than a second.
    """
    numbers, times = Numbers(table.uri), _Times(table, clock)
    found = Seconds(np.zeros((0, len(places))))
    means, there = SecondMeans(len(places), whole_rows=True), set[int]()
    last = -1
    for line, cells in table.rows():
        time_s = times.of(line, cells, numbers)
        if time_s is None:
            found.doubled += 1
            continue
        second = math.floor(time_s + _ROUNDED_S)
        there.add(second)
        last = max(last, second)
        values = [cells[place] for place in places]
        row = numbers.of(line, values)
        fits = np.abs(row) <= _LARGEST
        if not fits.all():
            found.empty += not any(values)
            found.not_numbers += any(values)
            wrong = int(np.flatnonzero(~fits)[0])
            found.first_fault = found.first_fault or (
                f"line {line}: '{values[wrong]}' in the column '{table.header[places[wrong]]}' is no finite number"
            )
            continue
        means.add(np.array([second]), row[None])
    times.refuse_sparse()
    found.means = np.full((last + 1, len(places)), math.nan)
    taken = means.means()
    found.means[: len(taken)] = taken
    found.averaged = means.averaged()
    found.absent = len(found.means) - len(there)
    return found


class _Times:
    """The times of a table's rows, one after another."""

    def __init__(self, table: Table, clock: Clock):
        self.table, self.clock = table, clock
        self.units: set[float] = set()
        self.last_line = table.header_line
        self.first_frame = 0.0

    def of(self, line: int, cells: Sequence[str], numbers: Numbers) -> float | None:
        """A row's time in seconds; None if an earlier row has it."""
        place = self.clock.place
        if place is None:
            if line != self.last_line + 1:
                raise TableError(f"{self.table.uri}, line {line}: lines before it are empty, so its second is unclear")
            units = float(len(self.units))
        else:
            units = self._read(line, cells[place], self.table.header[place], numbers)
        self.last_line = line
        if units in self.units:
            return None
        self.units.add(units)
        return float((Fraction(units) - Fraction(self.first_frame)) / self.clock.rate_hz)

    def _read(self, line: int, cell: str, name: str, numbers: Numbers) -> float:
        units = float(numbers.of(line, [cell])[0])
        if name.casefold() == _FRAME and not self.units:
            self.first_frame = 1.0 if units == 1 else 0.0
        if not 0 <= units - self.first_frame < MAX_SECONDS * self.clock.rate_hz:
            raise TableError(
                f"{self.table.uri}, line {line}: {name} is '{cell}', wanted "
                f"{'a frame' if name.casefold() == _FRAME else 'seconds'} from the beginning of the film"
            )
        return units

    def refuse_sparse(self) -> None:
        if len(self.units) < 2:
            return
        step_s = float(np.median(np.diff(sorted(self.units)))) / float(self.clock.rate_hz)
        if step_s > _SPARSE_S:
            raise TableError(
                f"{self.table.uri}: its rows lie {step_s:g} s apart (median), wanted at least one a second; write "
                "times in seconds, not in milliseconds or frames"
            )
