"""From tables of ratings to traces: what one rater gave for one target of one film, with the times in seconds.

    times in rows            times in columns          a long table
    time_s,anna,ben          sample_15000ms,…          rater,time_s,arousal
    0.00,0.1,0.2             0.1,0.1,…    a rater      anna,0.00,0.1
    0.04,0.1,0.3             0.2,0.3,…    another      ben,0.00,0.2

`train.labels.table` says which columns they are (`table_config`). An empty cell, NaN or NA is no sample; whatever else
is no number is an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.contracts.targets import Target
from beam_pipelines.foundation.tables.reading import Numbers, Table, TableError, read_table
from beam_pipelines.foundation.tables.seconds import CLOCKS
from beam_pipelines.labels.config import LabelConfig
from beam_pipelines.labels.table_config import Column, TableConfig

ALONE = "1"
"""The name of the only rater of a file that names none; several are counted on."""

_BLOCK = 4096
_NOTHING = ("", "nan", "na")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, eq=False)
class Trace:
    """The samples of one rater on one target, in the order of the file.

    Attributes:
        uri: the file.
        rater, target: whose they are, and of what.
        lines: int64 [N], the line of each sample.
        time_s: float64 [N], as the file counts them.
        values: float64 [N], as they are written; NaN where the rater gave none.
    """

    uri: str
    rater: str
    target: Target
    lines: NDArray[np.int64]
    time_s: NDArray[np.float64]
    values: NDArray[np.float64]


def read_traces(uri: str, config: LabelConfig, targets: Sequence[Target], film_id: str) -> list[Trace]:
    """The traces of one file.

    Args:
        uri: the table, local or `gs://`.
        config: how labels are read.
        targets: those of them that this file holds.
        film_id: the film, where the table has several.

    Raises:
        TableError: if the file can't be read as such a table; the text names the line, or the key to correct.
        FileNotFoundError: if there is no such file.
    """
    keys = config.table
    asked = (keys.time, keys.rater, keys.film, *(column for target in targets for column in keys.columns_of(target)))
    names = [one for one in asked if isinstance(one, str) and "*" not in one] if keys.times_in == "rows" else []
    table = read_table(uri, names, headed=keys.header, comment=keys.comment)
    if not table.header:
        raise TableError(f"{uri}: has no rows of labels")
    if keys.times_in == "columns":
        return _times_in_columns(table, keys, targets, film_id)
    return _times_in_rows(table, keys, targets, film_id)


def _times_in_rows(table: Table, keys: TableConfig, targets: Sequence[Target], film_id: str) -> list[Trace]:
    clock, per_second = _clock(table, keys)
    rater, film = _place(table, keys.rater, "rater"), _place(table, keys.film, "film")
    columns = [(target, name, place) for target in targets for name, place in _raters(table, keys, target)]
    places = [place for _, _, place in columns]
    numbers = Numbers(table.uri)
    if rater is not None and clock is None:
        raise TableError(f"{table.uri}: a table with a column of raters needs one of times: labels.table.time")
    lines, raters, times, values = [], [], [np.zeros(0)], [np.zeros((0, len(columns)))]
    count = 0
    for block in _blocks(table, film, film_id):
        rows = [cells for _, cells in block]
        block_lines = [line for line, _ in block]
        if clock is None:
            times.append(np.arange(count, count + len(rows)) / per_second)
        else:
            times.append(_times(table, block_lines, rows, clock, numbers) / per_second)
        values.append(_values(table, block_lines, rows, places, numbers))
        lines += block_lines
        raters += [cells[rater] if rater is not None else "" for cells in rows]
        count += len(rows)
    found, time_s, all_values = [], np.concatenate(times), np.concatenate(values)
    of_rows = np.array(raters, object)
    for own in dict.fromkeys(raters):
        mine = of_rows == own
        for column, (target, name, _) in enumerate(columns):
            whose = own if rater is not None and len(_raters(table, keys, target)) == 1 else f"{own} {name}".strip()
            trace = np.array(lines, np.int64)[mine], time_s[mine], all_values[mine, column]
            found.append(Trace(table.uri, whose, target, *trace))
    return found


def _times_in_columns(table: Table, keys: TableConfig, targets: Sequence[Target], film_id: str) -> list[Trace]:
    if len(targets) != 1:
        raise TableError(
            f"{table.uri}: a table with its times in columns holds one target; write {{target}} for 'valence' and "
            "'arousal' in the manifest's address of the labels, or name one in labels.targets"
        )
    rater, film = _place(table, keys.rater, "rater"), _place(table, keys.film, "film")
    found = ((place, _NUMBER.findall(name)) for place, name in enumerate(table.header) if place not in (rater, film))
    times = {place: float(numbers[0]) for place, numbers in found if len(numbers) == 1}
    if not times:
        raise TableError(f"{table.uri}, line {table.header_line}: no column's name holds one number, its time")
    time_s = np.array(list(times.values())) / _per_second(keys, keys.unit == "frames")
    places, numbers = list(times), Numbers(table.uri)
    traces: list[Trace] = []
    for block in _blocks(table, film, film_id):
        for line, cells in block:
            (row,) = _values(table, [line], [cells], places, numbers)
            name = cells[rater] if rater is not None else str(len(traces) + 1)
            traces.append(Trace(table.uri, name, targets[0], np.full(len(row), line, np.int64), time_s, row))
    return traces


def _blocks(table: Table, film: int | None, film_id: str) -> Iterator[list[tuple[int, list[str]]]]:
    """The rows of a film, some at a time."""
    block: list[tuple[int, list[str]]] = []
    others: dict[str, None] = {}
    found = False
    for line, cells in table.rows():
        if film is not None and film_id not in (cells[film], cells[film].rpartition(".")[0]):
            others.setdefault(cells[film])
            continue
        found = True
        block.append((line, cells))
        if len(block) == _BLOCK:
            yield block
            block = []
    if others and not found:
        named = ", ".join(list(others)[:3])
        raise TableError(f"{table.uri}: has no row of the film '{film_id}'; its films are {named}, …")
    if block:
        yield block


def _clock(table: Table, keys: TableConfig) -> tuple[int | None, float]:
    """The place of the column of times, None if rows are counted, and how many of its units are a second."""
    place = _place(table, keys.time, "time")
    if keys.time is None and keys.header:
        place = next((there for name in CLOCKS if (there := table.place(name)) is not None), None)
    if place is None:
        if keys.rate_hz is None:
            raise TableError(
                f"{table.uri}: no column says when (its columns: {', '.join(table.header)}); name it in "
                "labels.table.time, or the rate of the rows in labels.table.rate_hz"
            )
        return None, keys.rate_hz
    frames = keys.unit == "frames" or table.header[place].casefold() == CLOCKS[-1]
    if frames and keys.rate_hz is None:
        raise TableError(f"{table.uri}: the column '{table.header[place]}' counts frames; name labels.table.rate_hz")
    return place, _per_second(keys, frames)


def _per_second(keys: TableConfig, frames: bool) -> float:
    return (keys.rate_hz or math.nan) if frames else 1000.0 if keys.unit == "ms" else 1.0


def _place(table: Table, column: Column | None, key: str) -> int | None:
    if column is None:
        return None
    place = table.place(column - 1 if isinstance(column, int) else column)
    if place is None:
        raise TableError(
            f"{table.uri}, line {table.header_line}: has no column {column!r}, which labels.table.{key} names; its "
            f"columns are {', '.join(table.header)}"
        )
    return place


def _raters(table: Table, keys: TableConfig, target: Target) -> list[tuple[str, int]]:
    """The columns of a target: rater and place. Columns of a list are counted, a `*` stands for the rater's name."""
    columns = keys.columns_of(target)
    if len(columns) == 1 and isinstance(columns[0], str) and "*" in columns[0]:
        pattern = columns[0].casefold()
        before, _, after = pattern.partition("*")
        taken = {_place(table, one, "") for one in (keys.time, keys.rater, keys.film)} | {_clock(table, keys)[0]}
        found = [
            (name[len(before) : len(name) - len(after)], place)
            for place, name in enumerate(table.header)
            if place not in taken and fnmatchcase(name.casefold(), pattern)
        ]
        if not found:
            raise TableError(
                f"{table.uri}, line {table.header_line}: no column's name is like '{columns[0]}', which "
                f"labels.table.{target} names; its columns are {', '.join(table.header)}"
            )
        return found
    alone = [""] if keys.rater is not None else [ALONE]
    names = alone if len(columns) == 1 else [str(number + 1) for number in range(len(columns))]
    places = (_place(table, column, target) for column in columns)
    return [(name, place) for name, place in zip(names, places, strict=True) if place is not None]


def _times(
    table: Table, lines: Sequence[int], rows: Sequence[Sequence[str]], place: int, numbers: Numbers
) -> NDArray[np.float64]:
    times = numbers.of_rows(lines, [[cells[place]] for cells in rows])[:, 0]
    wrong = np.flatnonzero(~np.isfinite(times))
    if len(wrong):
        raise TableError(f"{table.uri}, line {lines[wrong[0]]}: '{rows[wrong[0]][place]}' is no time")
    return times


def _values(
    table: Table, lines: Sequence[int], rows: Sequence[Sequence[str]], places: Sequence[int], numbers: Numbers
) -> NDArray[np.float64]:
    cells = [[row[place] for place in places] for row in rows]
    values = numbers.of_rows(lines, cells)
    for row, column in np.argwhere(~np.isfinite(values)):
        if cells[row][column].casefold() not in _NOTHING:
            raise TableError(
                f"{table.uri}, line {lines[row]}: '{cells[row][column]}' in the column "
                f"'{table.header[places[column]]}' is no finite number; leave the cell empty where nothing was rated"
            )
    return values
