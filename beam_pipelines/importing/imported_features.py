"""Features that others computed, one file per second or one table per film, as feature tracks; defects are counted.

The organisers of MediaEval 2018 publish openSMILE's emobase2010 and ten visual kinds. The file of second n has the
number n + 1. Known defects: files that are absent or empty, and sound files 1 and 2 that copy file 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from beam_pipelines.contracts.records.feature_track import FeatureTrack
from beam_pipelines.films.mediaeval2018 import AUDIO_KIND, KINDS
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.foundation.tables.reading import Table, TableError, read_table
from beam_pipelines.foundation.tables.seconds import CLOCKS, MAX_SECONDS, find_clock, means_of_seconds

_NUMBER = re.compile(r"[-_](\d{5})(?:[-_]([a-z0-9]+))?\.(?:csv|txt)$", re.IGNORECASE)
_TYPES_OF_NUMBERS = ("numeric", "real", "integer")


@dataclass
class Defects:
    """The defects of one kind of one film, counted in seconds (`strange_names` in files, a table's rows in rows).

    Attributes:
        absent: no file or row, though a later second has one.
        empty: a file or row without values.
        wrong_length: another number of values than the kind has.
        not_numbers: a value that is no finite number.
        doubled: two files for one second, the first by name counts; or two rows of one time, the first counts.
        copied: file 1 or 2 of the sound with the content of file 3; their values are kept.
        strange_names: files whose names give no second.
        short_by: by how many seconds the film's longest kind, or its existing record, is longer.
        averaged: seconds that are the mean of several rows.
        beyond: seconds after the end of the film's existing record; they are left out.
    """

    absent: int = 0
    empty: int = 0
    wrong_length: int = 0
    not_numbers: int = 0
    doubled: int = 0
    copied: int = 0
    strange_names: int = 0
    averaged: int = 0
    short_by: int = 0
    beyond: int = 0

    def counts(self) -> dict[str, int]:
        """How often each defect occurs, by its name."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class ImportedRows:
    """One kind of one film: float32 [T, D], NaN in absent seconds, and its defects."""

    values: np.ndarray
    defects: Defects

    @staticmethod
    def nothing(dimensions: int) -> ImportedRows:
        """The rows of a film that lacks a kind entirely, float32 [0, D]."""
        return ImportedRows(np.zeros((0, dimensions), np.float32), Defects())

    def as_track(self, seconds: int, start_us: int, description: Mapping[str, Any]) -> FeatureTrack:
        """The track of a film of so many seconds: missing seconds are absent, later ones are cut and counted."""
        self.defects.short_by += max(0, seconds - len(self.values))
        self.defects.beyond += max(0, len(self.values) - seconds)
        values = np.full((seconds, self.values.shape[1]), np.nan, np.float32)
        kept = self.values[:seconds]
        values[: len(kept)] = kept
        present = np.asarray(np.isfinite(values).all(axis=1, keepdims=True))
        values[~present[:, 0]] = 0.0
        return FeatureTrack(
            values=values,
            present=present.astype(np.float32),
            timestamps_us=start_us + 1_000_000 * np.arange(seconds, dtype=np.int64),
            description=description,
        )


def read_organisers_kind(directory: str, kind: str, files: Sequence[str] | None = None) -> ImportedRows:
    """Reads the files of one kind of one film, one per second.

    Args:
        directory: for example `…/visual_features/MEDIAEVAL18_07/fc6`.
        kind: a name of `KINDS`.
        files: the addresses of its files, if the caller has listed them already.

    Raises:
        FilmError: if the files have more seconds than any film.
    """
    listed = [info.uri for info in storage.list_files(directory)] if files is None else files
    defects, by_second = Defects(), _by_second(listed, kind)
    defects.strange_names = len(by_second.pop(-1, []))
    defects.doubled = sum(len(uris) - 1 for uris in by_second.values())
    seconds = max(by_second, default=-1) + 1
    if seconds > MAX_SECONDS:
        raise FilmError("import", "too_long", f"{directory}: a file is numbered {seconds}; no film is that long")
    values = np.full((seconds, KINDS[kind]), np.nan, np.float32)
    contents: dict[int, bytes] = {}
    for second in range(seconds):
        if second not in by_second:
            defects.absent += 1
            continue
        content = storage.read_bytes(by_second[second][0])
        if second < 3:
            contents[second] = content
        values[second] = _row(content, kind, defects)
    if kind == AUDIO_KIND and 2 in contents:
        defects.copied = sum(_data_line(contents[n]) == _data_line(contents[2]) for n in (0, 1) if n in contents)
    return ImportedRows(values, defects)


def _by_second(files: Sequence[str], kind: str) -> dict[int, list[str]]:
    """The files of each second, sorted by name; -1 holds the files whose names give no second."""
    found: dict[int, list[str]] = {}
    for uri in sorted(files):
        match = _NUMBER.search(uri.rsplit("/", 1)[-1])
        second = int(match.group(1)) - 1 if match and (match.group(2) or kind).lower() == kind else -1
        found.setdefault(max(second, -1), []).append(uri)
    return found


def _row(content: bytes, kind: str, defects: Defects) -> np.ndarray:
    """One file's values, float32 [D]; all NaN if it has a defect, which is counted."""
    dimensions = KINDS[kind]
    nothing = np.full(dimensions, np.nan, np.float32)
    line = _data_line(content)
    if not line.strip():
        defects.empty += 1
        return nothing
    cells = [cell.strip() for cell in line.strip().rstrip(",").split(",")]
    if kind == AUDIO_KIND:
        numeric = _numeric_columns(_split_arff(content)[0])
        cells = [cell for cell, is_number in zip(cells, numeric, strict=False) if is_number] if numeric else cells
    if len(cells) != dimensions:
        defects.wrong_length += 1
        return nothing
    try:
        values = np.array(cells, np.float32)
    except ValueError:
        values = nothing
    if not np.isfinite(values).all():
        defects.not_numbers += 1
        return nothing
    return values


def _data_line(content: bytes) -> str:
    """The line of values: in an ARFF file the first after `@data`, else the first that isn't empty."""
    _, values = _split_arff(content)
    lines = values.decode("utf-8", "replace").splitlines()
    return next((line for line in lines if line.strip() and line.lstrip()[0] not in "%@"), "")


def _split_arff(content: bytes) -> tuple[bytes, bytes]:
    """The content before and after the line `@data`; without such a line nothing and everything."""
    start = re.search(rb"^\s*@data\s*$", content, re.IGNORECASE | re.MULTILINE)
    return (content[: start.start()], content[start.end() :]) if start else (b"", content)


@lru_cache(maxsize=8)
def _numeric_columns(header: bytes) -> list[bool]:
    """Whether each `@attribute` of an ARFF header holds numbers; the name and the class don't.

    Thousands of files have the same 1,583 lines: they are parsed once.
    """
    text = header.decode("utf-8", "replace")
    attributes = re.findall(r"^\s*@attribute\s+(?:'[^']*'|\S+)\s+(\S+)", text, re.IGNORECASE | re.MULTILINE)
    return [kind.lower() in _TYPES_OF_NUMBERS for kind in attributes]


def read_csv_columns(uri: str) -> list[str]:
    """The names of a table's value columns, as `read_csv_rows` returns them.

    Raises:
        FilmError: if the file is no such table.
    """
    with _faults_of_a_film(uri):
        table = read_table(uri)
    return [table.header[place] for place in _value_places(table)]


def read_csv_rows(uri: str, rate_hz: Fraction | None = None) -> tuple[ImportedRows, list[str]]:
    """Reads a user's own features of a film: a table with a header, one row or several a second.

    A column `time_s`, `timestamp`, `time` or, with a rate, `frame` says when a row is (`foundation.tables.seconds`).
    All other columns are values. A row with an empty cell or a cell that is no finite number is left out and counted;
    a second has the mean of its other rows.

    Args:
        uri: the table, local or `gs://`.
        rate_hz: how many frames, or rows where no column says when, are a second.

    Returns:
        The rows, and the names of their columns.

    Raises:
        FilmError: if the file is no such table, the error names file and line; or if no second has values.
    """
    with _faults_of_a_film(uri):
        table = read_table(uri)
        places = _value_places(table)
        found = means_of_seconds(table, places, find_clock(table, rate_hz))
    if not np.isfinite(found.means).any():
        raise FilmError(
            "import",
            "no_values",
            f"{uri}: no row has a number in every column; {found.first_fault or 'there are no rows'}",
        )
    counts = {name: getattr(found, name) for name in ("absent", "empty", "not_numbers", "doubled", "averaged")}
    return ImportedRows(found.means.astype(np.float32), Defects(**counts)), [table.header[place] for place in places]


@contextmanager
def _faults_of_a_film(uri: str) -> Iterator[None]:
    try:
        yield
    except TableError as error:
        raise FilmError("import", "unreadable", str(error)) from error
    except OSError as error:
        raise FilmError("import", "not_readable", f"{uri}: {error.strerror or error}") from error


def _value_places(table: Table) -> list[int]:
    """The places of a table's values: all columns but those that say when."""
    places = [place for place, name in enumerate(table.header) if name.casefold() not in CLOCKS]
    if not places:
        raise FilmError("import", "no_columns", f"{table.uri}: needs a header, and a column beside {', '.join(CLOCKS)}")
    for place in places:
        if not table.header[place]:
            raise FilmError(
                "import",
                "no_columns",
                f"{table.uri}, line {table.header_line}: column {place + 1} has no name; name it, or leave out a "
                "column of row numbers (pandas: index=False)",
            )
    return places
