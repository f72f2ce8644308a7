"""The catalogue: the list of films, from a folder, a glob or a CSV manifest; local or `gs://`.

A manifest is a CSV with a header and the columns `film_id` and `path`, and optionally `split`, `labels` and
`rendition`. Relative paths in it are relative to the manifest's folder. Other columns are ignored.

Several rows with one film_id are renditions of one film if each gives its number of lines (`480p`, `854x480`, `1080`).
The catalogue takes one of them: the smallest that has enough lines.
"""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from beam_pipelines.contracts.film_ids import distinct_film_id, escape_film_id
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError, nearest

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
    """

    film_id: str
    uri: str
    split: str = ""
    labels: str = ""
    rendition: str = ""


def list_films(source: str, suffixes: Sequence[str] = VIDEO_SUFFIXES, min_lines_px: int = MIN_LINES_PX) -> list[Film]:
    """All films of a folder (recursively), a glob or a CSV manifest (`*.csv`), sorted by film id.

    Args:
        source: the folder, glob or manifest.
        suffixes: what counts as a film in a folder.
        min_lines_px: of several renditions of a film the smallest with at least so many lines is taken, or the largest
            if none has so many.

    Raises:
        ConfigurationError: if nothing is found, two films have one id, or the manifest can't be read; the text names
            it.
    """
    is_manifest = source.lower().endswith(".csv")
    films = read_manifest(source, min_lines_px) if is_manifest else _list_by_path(source, suffixes)
    if not films:
        if not storage.is_remote(source) and not re.search(r"[*?\[]", source) and not os.path.exists(source):
            raise ConfigurationError(f"{source}: no such folder or file")
        raise ConfigurationError(
            f"{source}: no films found; name a folder, a quoted glob or a manifest "
            f"(in a folder, files ending in {' '.join(suffixes)} count)"
        )
    return _unique(films, source)


def read_manifest(uri: str, min_lines_px: int = MIN_LINES_PX) -> list[Film]:
    """The films of a CSV manifest, sorted by film id, one rendition of each (see `list_films`).

    Addresses are absolute, or as given if they are `gs://`.

    Raises:
        ConfigurationError: if the manifest can't be read; the text names the file and the line.
    """
    try:
        text = storage.read_text(uri)
    except FileNotFoundError as error:
        raise ConfigurationError(f"{uri}: no such manifest") from error
    except OSError as error:
        raise ConfigurationError(f"{uri}: not readable: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{uri}: not UTF-8 text: {error}") from error
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        _check_columns(rows.fieldnames or [], uri)
        films = [_manifest_film(row, uri, rows.line_num) for row in rows if not _is_blank(row)]
    except csv.Error as error:
        raise ConfigurationError(f"{uri}, line {rows.line_num}: not readable as CSV: {error}") from error
    return _unique(_best_renditions(films, min_lines_px), uri)


def films_of_splits(films: Iterable[Film], splits: Sequence[str], source: str = "the manifest") -> list[Film]:
    """The films that belong to some splits, sorted by film id.

    Raises:
        ConfigurationError: if no film has a split; the text names the nearest existing one.
    """
    films = list(films)
    there = sorted({film.split for film in films if film.split})
    for split in splits:
        if split not in there:
            raise ConfigurationError(f"{source}: no film has the split '{split}'{nearest(split, there)}")
    return sorted((film for film in films if film.split in splits), key=lambda film: film.film_id)


def _check_columns(columns: Sequence[str], uri: str) -> None:
    for needed in ("film_id", "path"):
        if needed not in columns:
            raise ConfigurationError(
                f"{uri}: has no column '{needed}' (its columns: {', '.join(columns) or 'none'}); "
                "the first line names the columns, in small letters and separated by commas"
            )
    for column in columns:
        hint = "" if column in MANIFEST_COLUMNS else nearest(column, MANIFEST_COLUMNS)
        if "did you mean" in hint:
            raise ConfigurationError(f"{uri}: unknown column '{column}'{hint}")
        if columns.count(column) > 1:
            raise ConfigurationError(f"{uri}: the column '{column}' is there twice")


def _is_blank(row: dict[str, str]) -> bool:
    return not any(value.strip() for value in row.values() if isinstance(value, str)) and None not in row


def _manifest_film(row: dict[str, str], uri: str, line: int) -> Film:
    if None in row:
        raise ConfigurationError(f"{uri}, line {line}: more cells than columns; put a value that has a comma in quotes")
    if not (row["film_id"] or "").strip() or not (row["path"] or "").strip():
        raise ConfigurationError(f"{uri}, line {line}: film_id and path must both be given")
    folder = os.path.dirname(uri)

    def address(value: str | None) -> str:
        value = (value or "").strip()
        if not value or storage.is_remote(value) or os.path.isabs(value):
            return value
        if storage.is_remote(uri):
            # `..` means nothing in the name of an object, so it is resolved here.
            return "gs://" + os.path.normpath(f"{folder}/{value}".removeprefix("gs://"))
        return os.path.abspath(os.path.join(folder, value))

    return Film(
        film_id=escape_film_id(row["film_id"]),
        uri=address(row["path"]),
        split=(row.get("split") or "").strip(),
        labels=address(row.get("labels")),
        rendition=(row.get("rendition") or "").strip(),
    )


def _list_by_path(source: str, suffixes: Sequence[str]) -> list[Film]:
    source = storage.as_it_lies(source)
    listed = storage.list_files(source)
    folder = source.rstrip("/") + "/"
    # The files found decide, not the characters of the name: `films [1920]` may be a folder.
    is_folder = all(info.uri.startswith(folder) for info in listed)
    root = folder if is_folder else re.split(r"[*?\[]", source)[0].rpartition("/")[0]
    uris: dict[str, str] = {}
    for info in listed:
        if info.uri == source:
            relative = os.path.basename(source)
        else:
            relative = info.uri.removeprefix(root).lstrip("/")
            if is_folder and not info.uri.lower().endswith(tuple(suffixes)):
                continue
        uris[relative] = info.uri if storage.is_remote(info.uri) else os.path.abspath(info.uri)
    return _named_apart(uris)


def _named_apart(uris: Mapping[str, str]) -> list[Film]:
    """Films of these paths. Of two with one id (spaces at the ends, Unicode forms) one gets an id with a digest."""
    films: dict[str, Film] = {}
    # A path that is its own plain name comes first, and keeps its id whatever else comes into the folder.
    for relative in sorted(uris, key=lambda name: (name != unicodedata.normalize("NFC", name.strip()), name)):
        film_id = escape_film_id(relative) if relative.strip() else ""
        if not film_id or film_id in films:
            film_id = distinct_film_id(relative)
        films[film_id] = Film(film_id, uris[relative])
    return list(films.values())


def rendition_lines(rendition: str) -> int | None:
    """The number of lines in a rendition's name: 480 for `480p` and `854x480`; None if it has none."""
    found = _LINES.fullmatch(rendition.strip())
    return int(found.group(1)) if found else None


def _best_renditions(films: Iterable[Film], min_lines_px: int) -> list[Film]:
    """The films with one of each group of renditions; rows that are no renditions stay as they are."""
    by_id: dict[str, list[Film]] = {}
    for film in films:
        by_id.setdefault(film.film_id, []).append(film)
    chosen: list[Film] = []
    for group in by_id.values():
        lines = {rendition_lines(film.rendition): film for film in group}
        known = sorted(count for count in lines if count is not None)
        if len(group) == 1 or len(known) < len(group):
            chosen.extend(group)
        else:
            enough = [count for count in known if count >= min_lines_px]
            chosen.append(lines[enough[0] if enough else known[-1]])
    return chosen


def _unique(films: Iterable[Film], source: str) -> list[Film]:
    by_id: dict[str, Film] = {}
    for film in films:
        other = by_id.setdefault(film.film_id, film)
        if other is not film:
            raise ConfigurationError(
                f"{source}: two films have the film_id '{film.film_id}': {other.uri} and {film.uri}; "
                "give each its own in the manifest, or each its own number of lines as rendition (480p, 1080p)"
            )
    return [by_id[film_id] for film_id in sorted(by_id)]
