"""The one reader of tables that people write: manifests, labels and features.

It finds out, within these limits, how a table is written; whatever else it meets it refuses, with line and reason.

    text        UTF-8 with or without a byte order mark, or UTF-16 with one
    header      the first line that isn't empty, with a name for every column; a line of numbers is no header. Where
                the caller names columns, lines may come before it: the first line that has them all is the header
    separator   the first of tab, semicolon and comma that the header has outside of quotes; without any, blanks
    quotes      ", doubled within a cell; blanks around a cell don't count
    decimals    a point or a comma, the same one in the whole table (`Numbers`); nothing groups thousands
    rows        as many cells as the header has; empty ones may follow
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError

TABLE_SUFFIXES = (".csv", ".tsv")
"""The suffixes by which a file is told to be a table where it could be something else."""

_SEPARATORS = "\t;,"
_BLANKS = " "
_LINES_BEFORE_HEADER = 100


class TableError(ConfigurationError):
    """A table that can't be read; the text names the file, the line and what to do."""


@dataclass(frozen=True)
class _Content:
    """A file's bytes and what they are decoded by."""

    data: bytes
    encoding: str

    def lines(self) -> Iterator[str]:
        """Its lines with their ends, as they are."""
        return io.TextIOWrapper(io.BytesIO(self.data), self.encoding, newline="")


@dataclass(frozen=True)
class Table:
    """A table whose rows are read one after another, since one with 25 rows a second is large.

    Attributes:
        uri: the file.
        header: the names of its columns as they are written; none if the file is empty.
        header_line: the line of the header, counted from 1.
        separator: tab, semicolon or comma; a blank for any number of blanks.
        content: the file's bytes, read as text line by line: as one text they'd take up to four times as much.
        comment: lines that begin with this sign are left out; empty for none.
    """

    uri: str
    header: tuple[str, ...]
    header_line: int
    separator: str
    content: _Content = field(repr=False)
    comment: str = ""

    def lines(self) -> Iterator[tuple[int, list[str]]]:
        """The line and the cells of every row below the header, however many; empty lines are left out.

        Raises:
            TableError: if quotes don't match.
        """
        for line, cells in _lines(self.uri, self.content, self.separator):
            if line > self.header_line and not (self.comment and cells[0].startswith(self.comment)):
                yield line, cells

    def rows(self, may_be_short: bool = False) -> Iterator[tuple[int, list[str]]]:
        """The line and the cells of every row, as many as the header has.

        Args:
            may_be_short: whether a row may lack its last cells; they are empty then.

        Raises:
            TableError: if a row has another number of cells than the header, or quotes don't match.
        """
        for line, cells in self.lines():
            while len(cells) > len(self.header) and not cells[-1]:
                cells.pop()
            if may_be_short:
                cells += [""] * (len(self.header) - len(cells))
            if len(cells) != len(self.header):
                what = "more cells than columns" if len(cells) > len(self.header) else "fewer cells than columns"
                raise TableError(
                    f"{self.uri}, line {line}: {what} ({len(cells)}, {len(self.header)}); put a value that has "
                    f"{_NAMES[self.separator]} in quotes, and leave no cell out"
                )
            yield line, cells

    def place(self, column: str | int) -> int | None:
        """The place of a column: by its name in any case, or by its place, counted from 0; None if it isn't there."""
        if isinstance(column, int):
            return column if column < len(self.header) else None
        names = [name.casefold() for name in self.header]
        return names.index(column.casefold()) if column.casefold() in names else None


def read_table(uri: str, columns: Sequence[str] = (), *, headed: bool = True, comment: str = "") -> Table:
    """Reads a table's text and header, local or `gs://`.

    Args:
        uri: the table.
        columns: names that the header has, by which it is found below other lines; none for the first line.
        headed: whether there is a header. The columns of a table without one are named 1, 2, ….
        comment: lines that begin with this sign are left out; empty for none.

    Raises:
        FileNotFoundError: if there is no such file.
        TableError: if it can't be read, isn't text, or has no header.
    """
    text = _content(uri)
    number, beginning = _first_line(text, columns, comment)
    unquoted = re.sub(r'"[^"]*"', "", beginning)
    separator = next((sign for sign in _SEPARATORS if sign in unquoted), _BLANKS)
    line, header = next((one for one in _lines(uri, text, separator) if one[0] >= number), (1, []))
    while header and not header[-1]:
        header.pop()
    if not headed:
        names = tuple(str(place + 1) for place in range(len(header)))
        return Table(uri, names, line - 1, separator, text, comment)
    if header and not any(math.isnan(_number(name.replace(",", "."))) for name in header):
        raise TableError(f"{uri}, line {line}: a header line with a name for every column must come first")
    for name, count in Counter(header).items():
        if name and count > 1:
            raise TableError(f"{uri}, line {line}: the column '{name}' is there twice")
    return Table(uri, tuple(header), line, separator, text, comment)


def _first_line(text: _Content, columns: Sequence[str], comment: str) -> tuple[int, str]:
    """Number and text of the header's line: the first with all named columns, else the first with any text."""
    first, wanted = (0, ""), {name.casefold() for name in columns}
    for number, line in enumerate(text.lines(), start=1):
        if not line.strip() or (comment and line.lstrip().startswith(comment)):
            continue
        first = first if first[0] else (number, line)
        if not wanted or number > _LINES_BEFORE_HEADER:
            return first
        for separator in (*_SEPARATORS, None):
            if wanted <= {cell.strip(' "\r\n').casefold() for cell in line.split(separator)}:
                return number, line
    return first


class Numbers:
    """Cells of one table as numbers; a decimal comma is found as such.

    Args:
        uri: the table, for messages.
    """

    def __init__(self, uri: str):
        self._uri = uri
        self._first = dict.fromkeys(".,", 0)

    def of(self, line: int, cells: Sequence[str]) -> NDArray[np.float64]:
        """The cells of one row as float64 [N]; NaN for a cell that is empty or no number.

        Raises:
            TableError: if one row has a decimal comma and another a decimal point.
        """
        together = "".join(cells)
        pointed = [cell.replace(",", ".") for cell in cells] if "," in together else cells
        try:
            numbers = np.array(pointed, np.float64)
        except ValueError:
            numbers = np.array([_number(cell) for cell in pointed], np.float64)
        for sign in ".,":
            if sign in together and not self._first[sign]:
                found = any(sign in cell and math.isfinite(one) for cell, one in zip(cells, numbers, strict=True))
                self._first[sign] = line if found else 0
        if all(self._first.values()):
            raise TableError(
                f"{self._uri}, line {line}: line {self._first['.']} has a decimal point, line {self._first[',']} a "
                "decimal comma; write one of them in the whole table, and nothing between thousands"
            )
        return numbers

    def of_rows(self, lines: Sequence[int], rows: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """The cells of some rows of the same length as float64 [N, D], as `of` reads them.

        Raises:
            TableError: as `of` raises it.
        """
        # Once the sign is known, a block of rows with that sign alone needs no look at each.
        together = "".join(cell for row in rows for cell in row)
        if "," not in together and (self._first["."] or "." not in together):
            with suppress(ValueError):
                return np.array(rows, np.float64)
        return np.array([self.of(line, row) for line, row in zip(lines, rows, strict=True)])


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _content(uri: str) -> _Content:
    try:
        content = storage.read_bytes(uri)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise TableError(f"{uri}: not readable: {error.strerror or error}") from error
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    found = _Content(content, "utf-16" if wide else "utf-8-sig")
    try:
        for line, text in enumerate(found.lines(), start=1):
            if "\0" in text:
                raise TableError(f"{uri}, line {line}: has a null character, so it is no text")
    except UnicodeDecodeError:
        raise _not_utf8(uri, found) from None
    return found


def _not_utf8(uri: str, content: _Content) -> TableError:
    """Where a table isn't text: the place of a whole decoding, since one in pieces counts from the piece."""
    try:
        content.data.decode(content.encoding)
    except UnicodeDecodeError as error:
        line = content.data[: error.start].count(b"\n") + 1
        return TableError(f"{uri}, line {line}: not UTF-8 text ({error}); save the table as UTF-8")
    return TableError(f"{uri}: not UTF-8 text; save the table as UTF-8")


def _lines(uri: str, text: _Content, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of every line that isn't empty; a cell in quotes may go over several lines."""
    lines = text.lines()
    if separator == _BLANKS:
        yield from ((line, cells) for line, one in enumerate(lines, start=1) if (cells := one.split()))
        return
    rows = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    try:
        for cells in rows:
            if cells:
                yield rows.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise TableError(f"{uri}, line {rows.line_num}: not readable as CSV: {error}") from error


_NAMES = {"\t": "a tab", ";": "a semicolon", ",": "a comma", _BLANKS: "blanks"}
