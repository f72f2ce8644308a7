"""One film, from its file to its feature record: what is done already is kept, what is missing is added.

A record is up to date when its source hasn't changed and every wanted modality has the wanted fingerprint. The source
is unchanged when it has the same size and is not younger than the record; if it is younger, its SHA-256 decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from beam_pipelines import records, storage
from beam_pipelines.catalogue import Film
from beam_pipelines.errors import DiskFullError, FilmError
from beam_pipelines.extractors.tracks import Networks, extract_tracks, start_us
from beam_pipelines.media.probe import MediaLimits, probe_film

_HASH_CHUNK_BYTES = 1 << 20


def extract_film(
    film: Film, directory: str, networks: Networks, descriptions: Mapping[str, Mapping[str, Any]]
) -> tuple[records.RecordHeader, bool]:
    """Brings the record of one film in `directory` up to date.

    Args:
        film: the film.
        directory: where records lie, local or `gs://`.
        networks: built when they are needed, not for a record that is up to date.
        descriptions: wanted modality -> what its features depend on.

    Returns:
        The record's header, and whether anything was extracted.

    Raises:
        FilmError: for a film that is absent, can't be decoded, or has no room on the local disk.
        StorageError: when the storage can't be used.
    """
    uri = records.record_uri(directory, film.film_id)
    source = _stat_source(film)
    existing = _existing_header(uri)
    if existing and _is_current(existing, film, source, storage.stat(uri)) and not _missing(existing, descriptions):
        return existing, False
    with ExitStack() as copies:
        path = _on_local_disk(film, copies)
        checksum = sha256_of(path)
        kept = _kept_record(uri, existing, checksum)
        missing = _missing(kept.header, descriptions) if kept else dict(descriptions)
        new = _extract(film, path, checksum, networks, missing) if missing else None
    if kept and not new:
        if kept.header.source_uri != film.uri:  # the same film at another place
            records.write_record(replace(kept, header=replace(kept.header, source_uri=film.uri)), uri)
        return kept.header, False
    assert new is not None
    record = _merge(kept, new) if kept else new
    records.write_record(record, uri)
    return record.header, True


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, read in pieces.

    Raises:
        FilmError: for a file that can't be read.
    """
    state = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_HASH_CHUNK_BYTES):
                state.update(chunk)
    except OSError as error:
        raise FilmError("read", "not_readable", f"{path}: {error.strerror}") from error
    return state.hexdigest()


def _on_local_disk(film: Film, copies: ExitStack) -> Path:
    try:
        return copies.enter_context(storage.local_copy(film.uri))
    except FileNotFoundError as error:
        raise FilmError("read", "not_found", f"{film.uri}: no such file") from error
    except DiskFullError as error:
        # One film too long for this worker's disk; the others needn't wait for it.
        raise FilmError("read", "disk_full", str(error)) from error


def _stat_source(film: Film) -> storage.FileInfo:
    try:
        source = storage.stat(film.uri)
    except OSError as error:
        # A name too long, links in a circle, a folder that may not be entered: this film's fault alone.
        raise FilmError("read", "not_readable", f"{film.uri}: {error.strerror}") from error
    if source is None:
        raise FilmError("read", "not_found", f"{film.uri}: no such file")
    return source


def _existing_header(uri: str) -> records.RecordHeader | None:
    try:
        return records.read_header(uri) if records.is_whole(uri) else None
    except (FileNotFoundError, records.RecordError):
        # A damaged record is worth no more than none: it is made again.
        return None


def _kept_record(uri: str, header: records.RecordHeader | None, checksum: str) -> records.FilmRecord | None:
    """The record that is there already, if it was made from the same content and can be read to its end."""
    if header is None or header.source_sha256 != checksum:
        return None
    try:
        return records.read_record(uri)
    except records.RecordError:
        return None


def _is_current(
    header: records.RecordHeader, film: Film, source: storage.FileInfo, record: storage.FileInfo | None
) -> bool:
    return (
        record is not None
        and film.uri == header.source_uri
        and source.size_bytes == header.source_size_bytes
        and source.modified_s <= record.modified_s
    )


def _missing(
    header: records.RecordHeader, descriptions: Mapping[str, Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    have = header.fingerprints()
    return {m: d for m, d in descriptions.items() if have.get(m) != records.fingerprint(d)}


def _extract(
    film: Film, path: Path, checksum: str, networks: Networks, descriptions: Mapping[str, Mapping[str, Any]]
) -> records.FilmRecord:
    limits = MediaLimits(**networks.config.limits.model_dump())
    probe = probe_film(path, limits)
    tracks, quality = extract_tracks(path, probe, networks, descriptions, limits)
    header = records.RecordHeader(
        film_id=film.film_id,
        source_uri=film.uri,
        source_size_bytes=path.stat().st_size,
        source_sha256=checksum,
        seconds=probe.seconds,
        duration_us=round(probe.duration_s * 1_000_000),
        start_us=start_us(probe),
        quality=quality,
    )
    return records.make_record(header, tracks)


def _merge(existing: records.FilmRecord, new: records.FilmRecord) -> records.FilmRecord:
    quality = {**existing.header.quality, **new.header.quality}
    return records.make_record(replace(new.header, quality=quality), {**existing.tracks, **new.tracks})
