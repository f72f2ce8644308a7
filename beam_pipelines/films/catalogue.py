"""The catalogue: the list of films, from a folder, a glob or a manifest; local or `gs://`.

A manifest is a table (`foundation.tables`) with the column `film_id`, the column `path` where a job reads the films
themselves, and optionally `split`, `labels` and `rendition`. Relative paths are relative to its folder. Other columns
are ignored.

Several rows with one film_id are renditions of one film if each gives its number of lines (`480p`, `854x480`, `1080`).
The catalogue takes one of them: the smallest that has enough lines.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from beam_pipelines.contracts.film_ids import distinct_film_id, escape_film_id
from beam_pipelines.films.films_on_disk import films_at, keep
from beam_pipelines.films.passed_over import count_by_suffix, passed_over_line
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError, nearest
from beam_pipelines.foundation.tables.reading import TABLE_SUFFIXES, read_table

VIDEO_SUFFIXES = (
    ".3gp",
    ".asf",
    ".avi",
    ".divx",
    ".f4v",
    ".flv",
    ".m2ts",
    ".m4v",
    ".mkv",
    ".mov",
    ".mp4",
    ".mpeg",
    ".mpg",
    ".mts",
    ".mxf",
    ".ogv",
    ".ts",
    ".vob",
    ".webm",
    ".wmv",
)
"""The suffixes of films in a folder. A glob or a manifest may name films with any suffix."""

MANIFEST_COLUMNS = ("film_id", "path", "split", "labels", "rendition")
MIN_LINES_PX = 360
"""Lines that a rendition should have: networks see 299, and a smaller picture decodes faster."""

# "480p", "1080i50", "854x480", "480".
_LINES = re.compile(r"(?:\d+\s*[x×])?\s*(\d{2,4})(?:[pi]\d*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Film:
    """One film of the catalogue.

    Attributes:
        film_id: its name in all files, safe as a file name (see `contracts.film_ids`).
        uri: its address.
        split: `train`, `validation`, `test` or any other name in the manifest; empty if there is none.
        labels: the address of its label file; empty if there is none.
        rendition: the name of this file among several of the same film, for example `480p`.
        size_bytes: the size of its file where a listing says it, otherwise 0; only the order of work depends on it.
    """

    film_id: str
    uri: str
    split: str = ""
    labels: str = ""
    rendition: str = ""
    size_bytes: int = field(default=0, compare=False)

    def row(self) -> list[Any]:
        """This film as plain values."""
        return [self.film_id, self.uri, self.split, self.labels, self.rendition, self.size_bytes]

    @classmethod
    def of_row(cls, row: list[Any]) -> Film:
        """The film of these values."""
        return cls(*row)


def list_films(
    source: str, suffixes: Sequence[str] = VIDEO_SUFFIXES, min_lines_px: int = MIN_LINES_PX, needs_path: bool = True
) -> Sequence[Film]:
    """All films of a folder (recursively), a glob or a manifest (`*.csv`, `*.tsv`), sorted by film id.

    Args and errors are those of `list_catalogue`.
    """
    return list_catalogue(source, suffixes, min_lines_px, needs_path)[0]


def list_catalogue(
    source: str, suffixes: Sequence[str] = VIDEO_SUFFIXES, min_lines_px: int = MIN_LINES_PX, needs_path: bool = True
) -> tuple[Sequence[Film], dict[str, int]]:
    """All films of a folder (recursively), a glob or a manifest, and the folder's other files.

    Args:
        source: the folder, glob or manifest.
        suffixes: what counts as a film in a folder.
        min_lines_px: of several renditions of a film the smallest with at least so many lines is taken, or the largest
            if none has so many.
        needs_path: whether every film of a manifest must have a path, since the films themselves are read.

    Returns:
        The films, sorted by film id (a list, or `FilmsOnDisk` where they are many), and how many files of the folder
        are no films by their suffix.

    Raises:
        ConfigurationError: if nothing is found, two films have one id, or the manifest can't be read; the text names
            it.
    """
    passed_over: dict[str, int] = {}
    if source.lower().endswith(TABLE_SUFFIXES):
        films = read_manifest(source, min_lines_px, needs_path)
    else:
        listed, passed_over = _list_by_path(source, suffixes)
        films = _in_order(listed, source, min_lines_px)
    if not films:
        if not storage.is_remote(source) and not re.search(r"[*?\[]", source) and not os.path.exists(source):
            raise ConfigurationError(f"{source}: no such folder or file")
        raise ConfigurationError(
            f"{source}: no films found; name a folder, a quoted glob or a manifest "
            f"(in a folder, files ending in {' '.join(suffixes)} count)"
            + (f"; {passed_over_line(passed_over)}" if passed_over else "")
        )
    return films, passed_over


def read_manifest(uri: str, min_lines_px: int = MIN_LINES_PX, needs_path: bool = False) -> Sequence[Film]:
    """The films of a manifest, sorted by film id, one rendition of each (see `list_films`).

    Addresses are absolute, or as given if they are `gs://`; the address of a film without a path is empty.

    Raises:
        ConfigurationError: if the manifest can't be read; the text names the file and the line.
    """
    return _in_order(_manifest_films(uri, needs_path), uri, min_lines_px)


def films_of_splits(films: Sequence[Film], splits: Sequence[str], source: str = "the manifest") -> Sequence[Film]:
    """The films that belong to some splits, in their order.

    Raises:
        ConfigurationError: if no film has a split; the text names the nearest existing one.
    """
    there = sorted({film.split for film in films if film.split})
    for split in splits:
        if split not in there:
            raise ConfigurationError(f"{source}: no film has the split '{split}'{nearest(split, there)}")
    return films_at(films, (place for place, film in enumerate(films) if film.split in splits))


def _check_columns(columns: Sequence[str], uri: str, needs_path: bool) -> None:
    for needed in ("film_id", "path") if needs_path else ("film_id",):
        if needed not in columns:
            raise ConfigurationError(
                f"{uri}: has no column '{needed}' (its columns: {', '.join(columns) or 'none'}); "
                "the first line names the columns, in small letters"
            )
    for column in columns:
        hint = "" if column in MANIFEST_COLUMNS else nearest(column, MANIFEST_COLUMNS)
        if "did you mean" in hint:
            raise ConfigurationError(f"{uri}: unknown column '{column}'{hint}")


def _manifest_films(uri: str, needs_path: bool) -> Iterator[Film]:
    """The film of every row; the table is in memory until the last is taken."""
    try:
        table = read_table(uri)
    except FileNotFoundError as error:
        raise ConfigurationError(f"{uri}: no such manifest") from error
    _check_columns(table.header, uri, needs_path)
    places = {column: table.header.index(column) for column in MANIFEST_COLUMNS if column in table.header}
    for line, cells in table.rows(may_be_short=True):
        if any(cells):
            yield _manifest_film({column: cells[place] for column, place in places.items()}, uri, line, needs_path)


def _manifest_film(row: Mapping[str, str], uri: str, line: int, needs_path: bool) -> Film:
    if not row["film_id"]:
        raise ConfigurationError(f"{uri}, line {line}: film_id must be given")
    if needs_path and not row["path"]:
        raise ConfigurationError(f"{uri}, line {line}: path must be given, since this job reads the film itself")
    folder = os.path.dirname(uri)

    def address(value: str) -> str:
        if not value or storage.is_remote(value) or os.path.isabs(value):
            return value
        if storage.is_remote(uri):
            # `..` means nothing in the name of an object, so it is resolved here.
            return "gs://" + os.path.normpath(f"{folder}/{value}".removeprefix("gs://"))
        return os.path.abspath(os.path.join(folder, value))

    return Film(
        film_id=escape_film_id(row["film_id"]),
        uri=address(row.get("path", "")),
        split=row.get("split", ""),
        labels=address(row.get("labels", "").replace("{film}", row["film_id"])),
        rendition=row.get("rendition", ""),
    )


def _list_by_path(source: str, suffixes: Sequence[str]) -> tuple[list[Film], dict[str, int]]:
    source, listed = storage.list_as_it_lies(source)
    folder = source.rstrip("/") + "/"
    # The files found decide, not the characters of the name: `films [1920]` may be a folder.
    is_folder = all(info.uri.startswith(folder) for info in listed)
    root = folder if is_folder else re.split(r"[*?\[]", source)[0].rpartition("/")[0]
    found: dict[str, storage.FileInfo] = {}
    others: list[str] = []
    for info in listed:
        if info.uri == source:
            relative = os.path.basename(source)
        else:
            relative = info.uri.removeprefix(root).lstrip("/")
            if is_folder and not info.uri.lower().endswith(tuple(suffixes)):
                others.append(relative)
                continue
        found[relative] = info
    return _named_apart(found), count_by_suffix(others)


def _named_apart(files: Mapping[str, storage.FileInfo]) -> list[Film]:
    """Films of these paths. Of two with one id (spaces at the ends, Unicode forms) one gets an id with a digest."""
    films: dict[str, Film] = {}
    # A path that is its own plain name comes first, and keeps its id whatever else comes into the folder.
    for relative in sorted(files, key=lambda name: (name != unicodedata.normalize("NFC", name.strip()), name)):
        film_id = escape_film_id(relative) if relative.strip() else ""
        if not film_id or film_id in films:
            film_id = distinct_film_id(relative)
        info = files[relative]
        uri = info.uri if storage.is_remote(info.uri) else os.path.abspath(info.uri)
        films[film_id] = Film(film_id, uri, size_bytes=info.size_bytes)
    return list(films.values())


def rendition_lines(rendition: str) -> int | None:
    """The number of lines in a rendition's name: 480 for `480p` and `854x480`; None if it has none."""
    found = _LINES.fullmatch(rendition.strip())
    return int(found.group(1)) if found else None


def _in_order(films: Iterable[Film], source: str, min_lines_px: int) -> Sequence[Film]:
    """The films, sorted by film id, one of each group of renditions.

    Raises:
        ConfigurationError: if two films have one id and aren't renditions of one film.
    """
    listed = keep(films, Film.row, Film.of_row)
    ids = [film.film_id for film in listed]
    order = sorted(range(len(ids)), key=ids.__getitem__)
    groups = (list(group) for _, group in groupby(order, key=ids.__getitem__))
    return films_at(listed, [_best_rendition(listed, group, source, min_lines_px) for group in groups])


def _best_rendition(films: Sequence[Film], places: Sequence[int], source: str, min_lines_px: int) -> int:
    """The place of the film that is taken of those with one id."""
    if len(places) == 1:
        return places[0]
    lines = {rendition_lines(films[place].rendition): place for place in places}
    known = sorted(count for count in lines if count is not None)
    if len(known) < len(places):
        one, other = (films[place] for place in places[:2])
        raise ConfigurationError(
            f"{source}: two films have the film_id '{one.film_id}': {one.uri} and {other.uri}; "
            "give each its own in the manifest, or each its own number of lines as rendition (480p, 1080p)"
        )
    return lines[next((count for count in known if count >= min_lines_px), known[-1])]
