"""One film, from its file to its feature record: what is done already is kept, what is missing is added.

A record is up to date when its source hasn't changed and every wanted modality has the wanted fingerprint. The source
is unchanged when it has the same size and is not younger than the record; if it is younger, its SHA-256 decides.

A long film is cut: its segments are extracted by whoever is free, and joined when all are there. Whatever is found in
the film, its record is the same as if it had not been cut. So a film is cut only where a decode plan exists; and where
a part of it had to be decoded entirely, or the demuxer stumbled, the whole is done again in one piece.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from beam_pipelines.contracts.records import records
from beam_pipelines.extraction.film_parts import (
    CutFilm,
    PartAbsentError,
    Segment,
    join_parts,
    part_key,
    part_uri,
    read_part,
    write_part,
)
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import PICTURE_NETWORKS, Networks
from beam_pipelines.extractors.tracks import FilmPart, extract_tracks, start_us
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import DiskFullError, FilmError
from beam_pipelines.media.damage import describe_damage, refuse_too_damaged
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import FilmProbe, MediaLimits
from beam_pipelines.media.worker.decoding_messages import probe_to_message
from beam_pipelines.media.worker.decoding_process import DecodingProcess

_LOG = logging.getLogger(__name__)
_HASH_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Extractor:
    """What a worker extracts films with.

    Attributes:
        directory: where records lie, local or `gs://`.
        networks: built when they are needed, not for a record that is up to date.
        descriptions: wanted modality -> what its features depend on.
        decoder: decodes in a process of its own.
        force: extract again what is up to date.
        run_started_s: when this run began (`job.storage_time_s`). A record that is younger is its own work, found again
            by whoever took over from a worker that was lost.
    """

    directory: str
    networks: Networks
    descriptions: Mapping[str, Mapping[str, Any]]
    decoder: DecodingProcess
    force: bool = False
    run_started_s: float = math.inf

    @property
    def config(self) -> ExtractConfig:
        """The extract section."""
        return self.networks.config

    @property
    def limits(self) -> MediaLimits:
        """What a film may claim of itself."""
        return media_limits(self.config)


@dataclass(frozen=True)
class ExtractedFilm:
    """A film whose record is up to date: its length, and whether anything was extracted for it."""

    film_s: float
    extracted: bool


def media_limits(config: ExtractConfig) -> MediaLimits:
    """The limits of a configuration as media takes them."""
    return MediaLimits(**config.limits.model_dump(exclude={"decoder_memory_mb"}))


def extract_film(film: Film, extractor: Extractor, in_parts: bool = True) -> ExtractedFilm | list[Segment]:
    """Brings the record of one film up to date.

    Args:
        film: the film.
        extractor: what to do it with.
        in_parts: whether a long film may be cut.

    Returns:
        The film, or the segments to be extracted where it was cut.

    Raises:
        FilmError: for a film that is absent, can't be decoded, or has no room on the local disk.
        StorageError: when the storage can't be used.
    """
    uri = records.record_uri(extractor.directory, film.film_id)
    source = stat_source(film)
    existing = _existing_header(uri)
    descriptions = extractor.descriptions
    record = storage.stat(uri)
    by_this_run = record is not None and record.modified_s > extractor.run_started_s
    is_kept = by_this_run or not extractor.force
    is_done = existing is not None and is_kept and not _missing(existing, descriptions)
    if existing is not None and is_done and _is_current(existing, film, source, record):
        return ExtractedFilm(existing.duration_us / 1_000_000, by_this_run)
    with ExitStack() as copies:
        path = _on_local_disk(film, copies)
        checksum = sha256_of(path)
        kept = _kept_record(uri, existing, checksum)
        missing = _missing(kept.header, descriptions) if kept and not extractor.force else dict(descriptions)
        if kept and not missing:
            if kept.header.source_uri != film.uri:  # the same film at another place
                records.write_record(replace(kept, header=replace(kept.header, source_uri=film.uri)), uri)
            return ExtractedFilm(kept.header.duration_us / 1_000_000, False)
        probe = extractor.decoder.probe(path, extractor.limits)
        if in_parts and _is_cut(path, probe, missing, extractor):
            return _segments(film, source, checksum, probe, missing, extractor.config.segment_s)
        part = _extract_part(path, probe, missing, extractor, range(probe.seconds))
    return _write(film, source.size_bytes, checksum, probe, part, kept, extractor)


def extract_segment(segment: Segment, extractor: Extractor) -> str:
    """Extracts one segment of a film, unless an earlier run did; returns where its part lies.

    Raises:
        FilmError: as `extract_film`, and step `read`, reason `changed` where the film is no longer what was cut.
    """
    cut, uri = segment.cut, part_uri(extractor.directory, segment)
    descriptions = {modality: extractor.descriptions[modality] for modality in cut.modalities}
    try:
        read_part(uri, descriptions)
        return uri
    except PartAbsentError:
        pass
    source = stat_source(cut.film)
    if (source.size_bytes, source.modified_s) != (cut.size_bytes, cut.modified_s):
        raise FilmError("read", "changed", f"{cut.film.uri}: was changed while it was extracted; run again")
    with ExitStack() as copies:
        path = _on_local_disk(cut.film, copies)
        part = _extract_part(path, cut.read_probe(), descriptions, extractor, segment.seconds)
    write_part(part, uri)
    return uri


def finish_film(cut: CutFilm, uris: Sequence[str], extractor: Extractor) -> ExtractedFilm:
    """Joins the parts of a film to its record and removes them.

    Where they can't be joined to what the whole film would have given, it is extracted again in one piece.

    Raises:
        FilmError: as `extract_film`.
    """
    descriptions = {modality: extractor.descriptions[modality] for modality in cut.modalities}
    try:
        parts = [read_part(uri, descriptions) for uri in sorted(uris)]
    except PartAbsentError:
        # This very step was done before and its worker lost after it; then the record is there.
        parts = []
    if parts and not any(_depends_on_cuts(part) for part in parts):
        uri = records.record_uri(extractor.directory, cut.film.film_id)
        kept = _kept_record(uri, _existing_header(uri), cut.sha256)
        done = _write(cut.film, cut.size_bytes, cut.sha256, cut.read_probe(), join_parts(parts), kept, extractor)
    else:
        _LOG.info("%s: is extracted again in one piece, since its parts can't be planned", cut.film.film_id)
        whole = extract_film(cut.film, extractor, in_parts=False)
        assert isinstance(whole, ExtractedFilm)
        done = whole
    for uri in uris:
        storage.remove(uri)
    return done


def missing_modalities(
    film: Film, source: storage.FileInfo, directory: str, descriptions: Mapping[str, Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """What a film's record lacks, as far as its name, size and times tell: of a touched film, everything."""
    uri = records.record_uri(directory, film.film_id)
    existing = _existing_header(uri)
    if existing is None or not _is_current(existing, film, source, storage.stat(uri)):
        return dict(descriptions)
    return _missing(existing, descriptions)


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


def stat_source(film: Film) -> storage.FileInfo:
    """Size and time of change of a film's file.

    Raises:
        FilmError: step `read`, reason `not_found` or `not_readable`.
    """
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
        return records.read_whole_header(uri)
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


def _is_cut(path: Path, probe: FilmProbe, descriptions: Mapping[str, Mapping[str, Any]], extractor: Extractor) -> bool:
    """Whether a film is worth cutting: long, and its parts cost no more to decode than the whole."""
    if probe.seconds <= extractor.config.segment_s or probe.read_errors:
        return False
    if not any(modality == "face" or modality in PICTURE_NETWORKS for modality in descriptions):
        return False  # sound is quickly decoded, and of most containers only in a row
    return extractor.decoder.is_planned(path, probe, extractor.config.decode.mode())


def _segments(
    film: Film,
    source: storage.FileInfo,
    checksum: str,
    probe: FilmProbe,
    descriptions: Mapping[str, Mapping[str, Any]],
    segment_s: int,
) -> list[Segment]:
    cut = CutFilm(
        film=film,
        size_bytes=source.size_bytes,
        modified_s=source.modified_s,
        sha256=checksum,
        probe=json.dumps(probe_to_message(probe), sort_keys=True),
        modalities=tuple(sorted(descriptions)),
        key=part_key(checksum, segment_s, probe.seconds, descriptions),
    )
    starts = range(0, probe.seconds, segment_s)
    return [Segment(cut, start, min(start + segment_s, probe.seconds)) for start in starts]


def _depends_on_cuts(part: FilmPart) -> bool:
    picture, sound = part.picture or DecodeQuality(), part.sound or DecodeQuality()
    return bool(picture.full_decodings or picture.damaged or picture.read_errors or sound.read_errors)


def _extract_part(
    path: Path, probe: FilmProbe, descriptions: Mapping[str, Mapping[str, Any]], extractor: Extractor, seconds: range
) -> FilmPart:
    part = extract_tracks(path, probe, extractor.networks, descriptions, extractor.limits, extractor.decoder, seconds)
    _LOG.info("%s: seconds [%d, %d): %s %s", path.name, seconds.start, seconds.stop, part.picture, part.sound)
    return part


def _write(
    film: Film,
    size_bytes: int,
    checksum: str,
    probe: FilmProbe,
    part: FilmPart,
    kept: records.FilmRecord | None,
    extractor: Extractor,
) -> ExtractedFilm:
    """Writes the record of a film from its features, and those of the modalities that are kept."""
    for what, counts in (("picture", part.picture), ("sound", part.sound)):
        if counts is not None:
            refuse_too_damaged(film.uri, what, counts, extractor.config.decode.max_damaged_share)
    quality = {**(kept.header.quality if kept else {}), **_quality(probe, part)}
    header = records.RecordHeader(
        film_id=film.film_id,
        source_uri=film.uri,
        source_size_bytes=size_bytes,
        source_sha256=checksum,
        seconds=probe.seconds,
        duration_us=round(probe.duration_s * 1_000_000),
        start_us=start_us(probe),
        quality=quality,
    )
    record = records.make_record(header, {**(kept.tracks if kept else {}), **part.tracks})
    records.write_record(record, records.record_uri(extractor.directory, film.film_id))
    return ExtractedFilm(header.duration_us / 1_000_000, True)


def _quality(probe: FilmProbe, part: FilmPart) -> dict[str, Any]:
    """Only what is a property of the film, or adds up from its parts: the rest depends on where reading began."""
    quality: dict[str, Any] = {"film": describe_damage(probe)}
    if part.picture is not None:
        damaged = {"frames_corrupt": part.picture.frames_corrupt, "packet_errors": part.picture.packet_errors}
        quality["picture"] = {"seconds_without_a_fresh_frame": part.without_a_fresh_frame, **damaged}
    if part.sound is not None:
        quality["sound"] = {"frames_corrupt": part.sound.frames_corrupt, "packet_errors": part.sound.packet_errors}
    return quality
