"""What a film's record lacks. Tracks are kept if the source is unchanged and they have the wanted fingerprints.

The source is unchanged if it has the same size and is not younger than the record; if it is younger, its SHA-256
decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from beam_pipelines.contracts.records import records
from beam_pipelines.extraction.subtitles import is_text_current
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.foundation.stage_times import READING, count, stage

_HASH_CHUNK_BYTES = 1 << 20
_LOOKED_UP = 20


def up_to_date_header(
    film: Film, source: storage.FileInfo, directory: str, descriptions: Mapping[str, Mapping[str, Any]]
) -> records.RecordHeader | None:
    """The header of a film's record that lacks nothing, judged by name, size and times; else None."""
    existing = current_header(film, source, directory)
    record = storage.stat(records.record_uri(directory, film.film_id))
    return None if existing is None or missing_of(existing, descriptions, film, record) else existing


def current_header(film: Film, source: storage.FileInfo, directory: str) -> records.RecordHeader | None:
    """The header of a film's record, if that was made from its current file, judged by name, size and times."""
    uri = records.record_uri(directory, film.film_id)
    existing = existing_header(uri)
    return existing if existing is not None and is_current(existing, film, source, storage.stat(uri)) else None


@stage(READING, 1)
def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, read in pieces.

    Raises:
        FilmError: if the file can't be read.
    """
    state = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_HASH_CHUNK_BYTES):
                state.update(chunk)
                count(size_bytes=len(chunk))
    except OSError as error:
        raise FilmError("read", "not_readable", f"{path}: {error.strerror}") from error
    return state.hexdigest()


def descriptions_there(films: Sequence[Film], directory: str) -> Mapping[str, Mapping[str, Any]]:
    """The descriptions in the record of the first film that has one; of many films only the first are looked up."""
    for film in films[:_LOOKED_UP]:
        header = existing_header(records.record_uri(directory, film.film_id))
        if header is not None:
            return header.descriptions
    return {}


def stat_source(film: Film) -> storage.FileInfo:
    """The size and time of change of a film's file.

    Raises:
        FilmError: reason `not_found`, `not_readable` or `name_too_long`.
    """
    try:
        source = storage.stat(film.uri)
    except OSError as error:
        # Links form a circle, or a folder may not be entered: only this film is affected.
        raise FilmError("read", "not_readable", f"{film.uri}: {error.strerror}") from error
    if source is None:
        raise FilmError("read", "not_found", f"{film.uri}: no such file")
    return source


def existing_header(uri: str) -> records.RecordHeader | None:
    """The header of an existing whole record, or None."""
    try:
        return records.read_whole_header(uri)
    except (FileNotFoundError, records.RecordError):
        # A damaged record counts as absent: it is made again.
        return None


def kept_record(uri: str, header: records.RecordHeader | None, checksum: str) -> records.FilmRecord | None:
    """The existing record, if it was made from the same content and can be read to its end."""
    if header is None or header.source_sha256 != checksum:
        return None
    try:
        return records.read_record(uri)
    except records.RecordError:
        return None


def is_current(
    header: records.RecordHeader, film: Film, source: storage.FileInfo, record: storage.FileInfo | None
) -> bool:
    """Whether a record was made from a film's current file, judged by size and times."""
    return (
        record is not None
        and film.uri == header.source_uri
        and source.size_bytes == header.source_size_bytes
        and source.modified_s <= record.modified_s
    )


def missing_of(
    header: records.RecordHeader,
    descriptions: Mapping[str, Mapping[str, Any]],
    film: Film,
    record: storage.FileInfo | None,
) -> dict[str, Mapping[str, Any]]:
    """The wanted modalities that a record lacks, or holds with another fingerprint or of another sound track or text.

    Args:
        header: the header of the film's record.
        descriptions: wanted modality -> description of its features.
        film: the film.
        record: the record's file.
    """
    have = header.descriptions
    kept = {m for m, d in descriptions.items() if m in have and records.same_features(have[m], d)}
    if not is_text_current(header, film, {m: descriptions[m] for m in kept}, record):
        kept = {m for m in kept if records.SUBTITLES not in descriptions[m]}
    return {m: d for m, d in descriptions.items() if m not in kept}
