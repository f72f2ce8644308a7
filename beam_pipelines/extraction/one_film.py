"""One film, from its file to its feature record: existing features are kept, missing ones are added.

`missing` finds out what a record lacks, `cutting` divides a long film into segments, and `joining` extracts and joins
them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from beam_pipelines.contracts.film_warnings import FilmWarning, in_order, refuse, warnings_of_quality
from beam_pipelines.contracts.records import records
from beam_pipelines.extraction.cutting import cut_film, is_cut
from beam_pipelines.extraction.earlier_runs import EarlierRuns
from beam_pipelines.extraction.film_parts import Segment
from beam_pipelines.extraction.missing import (
    existing_header,
    is_current,
    kept_record,
    missing_of,
    sha256_of,
    stat_source,
)
from beam_pipelines.extraction.subtitles import read_text, subtitles_beside, without_other_text
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import Networks
from beam_pipelines.extractors.signals.accumulators import of_whole_film
from beam_pipelines.extractors.tracks import FilmPart, extract_tracks
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import DiskFullError, FilmError, NotFiniteError
from beam_pipelines.foundation.stage_times import READING, stage
from beam_pipelines.media.damage import describe_file, refuse_too_damaged
from beam_pipelines.media.decode_device import decoded_on, wants_gpu
from beam_pipelines.media.probe import FilmProbe, MediaLimits
from beam_pipelines.media.probe_warnings import warnings_of_probe
from beam_pipelines.media.text.film_text import FilmText
from beam_pipelines.media.worker.decoding_process import DecodingProcess

_LOG = logging.getLogger(__name__)
# The search for sound holds what it reads in memory, and decoding needs most of it.
_SEARCHED_SHARE = 4


@dataclass(frozen=True)
class Extractor:
    """All that a worker needs to extract films.

    Attributes:
        directory: the directory of records, local or `gs://`.
        networks: the networks, built when they are needed, and not for a record that is up to date.
        descriptions: wanted modality -> description of its features.
        decoder: decodes in a child process.
        earlier: the records and failures of earlier runs that count.
    """

    directory: str
    networks: Networks
    descriptions: Mapping[str, Mapping[str, Any]]
    decoder: DecodingProcess
    earlier: EarlierRuns = field(default_factory=EarlierRuns)

    @property
    def config(self) -> ExtractConfig:
        """The extract section."""
        return self.networks.config

    @property
    def limits(self) -> MediaLimits:
        """The largest film that is accepted."""
        return media_limits(self.config)


@dataclass(frozen=True)
class ExtractedFilm:
    """A film whose record is up to date: its length, whether anything was extracted for it, its warnings, and which
    device decoded its pictures (`decode_device.decoded_on`)."""

    film_s: float
    extracted: bool
    warnings: tuple[FilmWarning, ...] = ()
    decoded_on: str = ""


def media_limits(config: ExtractConfig) -> MediaLimits:
    """The limits of a configuration, in the form that `media` takes."""
    limits = config.limits
    search_mb = min(limits.sound_search_mb, limits.decoder_memory_mb // _SEARCHED_SHARE)
    return MediaLimits(
        **{**limits.model_dump(exclude={"decoder_memory_mb", "network_memory_mb"}), "sound_search_mb": search_mb}
    )


def extract_film(film: Film, extractor: Extractor, in_parts: bool = True) -> ExtractedFilm | list[Segment]:
    """Brings the record of one film up to date.

    Args:
        film: the film.
        extractor: networks, decoder and settings.
        in_parts: whether a long film may be cut.

    Returns:
        The film, or, if it was cut, the segments to extract.

    Raises:
        FilmError: if the film is absent, can't be decoded, doesn't fit on the local disk, or has a warning that
            `extract.refuse` names.
        StorageError: if the storage can't be used.
    """
    uri = records.record_uri(extractor.directory, film.film_id)
    source = stat_source(film)
    existing = existing_header(uri)
    descriptions = extractor.descriptions
    record = storage.stat(uri)
    by_this_run = extractor.earlier.made_by_this_run(record)
    is_kept = by_this_run or not extractor.earlier.force
    is_done = existing is not None and is_kept and not missing_of(existing, descriptions, film, record)
    if existing is not None and is_done and is_current(existing, film, source, record):
        refuse(film.uri, existing.warnings, extractor.config.refuse)
        return ExtractedFilm(existing.duration_us / 1_000_000, by_this_run, existing.warnings)
    with ExitStack() as copies:
        path = on_local_disk(film, copies)
        checksum = sha256_of(path)
        kept = kept_record(uri, existing, checksum)
        missing = dict(descriptions)
        if kept and not extractor.earlier.force:
            missing = missing_of(kept.header, descriptions, film, record)
        if kept and not missing:
            refuse(film.uri, kept.header.warnings, extractor.config.refuse)
            if kept.header.source_uri != film.uri:  # the same film at another address
                records.write_record(replace(kept, header=replace(kept.header, source_uri=film.uri)), uri)
            return ExtractedFilm(kept.header.duration_us / 1_000_000, False, kept.header.warnings)
        probe = extractor.decoder.probe(
            path, extractor.limits, extractor.config.sound_track, extractor.config.crop_bars
        )
        refuse(film.uri, warnings_of_probe(probe), extractor.config.refuse)
        if kept and not fits(kept, probe):
            kept, missing = None, dict(descriptions)
        beside = subtitles_beside(film, missing)
        if in_parts and is_cut(path, probe, missing, extractor.config, extractor.decoder):
            sidecar = beside.taken if beside else None
            return cut_film(film, source, checksum, probe, missing, extractor.config.segment_s, sidecar)
        text = read_text(film, path, probe, beside, extractor.decoder, extractor.config.refuse)
        part = extract_part(path, probe, missing, extractor, range(probe.seconds), text)
    return write_record(film, source.size_bytes, checksum, probe, part, kept, extractor)


def fits(record: records.FilmRecord, probe: FilmProbe) -> bool:
    """Whether a record's features have the film's length; an earlier version may have read the film otherwise."""
    if record.header.seconds == probe.seconds:
        return True
    about = "the record has %d seconds, the film %d: all its features are extracted again"
    _LOG.warning(f"%s: {about}", record.header.film_id, record.header.seconds, probe.seconds)
    return False


@stage(READING)
def on_local_disk(film: Film, copies: ExitStack) -> Path:
    """A local path of a film's file; the copy of a remote file is removed with `copies`.

    Raises:
        FilmError: step `read`, reason `not_found` or `disk_full`.
    """
    try:
        return copies.enter_context(storage.local_copy(film.uri))
    except FileNotFoundError as error:
        raise FilmError("read", "not_found", f"{film.uri}: no such file") from error
    except DiskFullError as error:
        # This film is too large for the worker's disk; the others need not wait for it.
        raise FilmError("read", "disk_full", str(error)) from error


def extract_part(
    path: Path,
    probe: FilmProbe,
    descriptions: Mapping[str, Mapping[str, Any]],
    extractor: Extractor,
    seconds: range,
    text: FilmText | None = None,
) -> FilmPart:
    """Extracts the wanted modalities of some seconds of a film.

    Raises:
        FilmError: if nothing of the film can be decoded; step `extract`, reason `not_finite`, if a network gives
            infinite values or NaN for it.
    """
    networks, limits, decoder = extractor.networks, extractor.limits, extractor.decoder
    try:
        part = extract_tracks(path, probe, networks, descriptions, limits, decoder, seconds, text)
    except NotFiniteError as error:
        raise FilmError("extract", "not_finite", f"{path}: {error}") from error
    _LOG.info("%s: seconds [%d, %d): %s %s", path.name, seconds.start, seconds.stop, part.picture, part.sound)
    return part


def write_record(
    film: Film,
    size_bytes: int,
    checksum: str,
    probe: FilmProbe,
    part: FilmPart,
    kept: records.FilmRecord | None,
    extractor: Extractor,
) -> ExtractedFilm:
    """Writes a film's record from new features and those that are kept."""
    for what, counts in (("picture", part.picture), ("sound", part.sound)):
        if counts is not None:
            refuse_too_damaged(film.uri, what, counts, extractor.config.decode.max_damaged_share)
    quality = {**(kept.header.quality if kept else {}), **_quality(probe, part)}
    tracks = {**(without_other_text(kept, part.text) if kept else {}), **of_whole_film(part.tracks)}
    made = {modality: track.description for modality, track in tracks.items()}
    warnings = in_order([*warnings_of_probe(probe), *warnings_of_quality(quality, made)])
    refuse(film.uri, warnings, extractor.config.refuse)
    header = records.RecordHeader(
        film_id=film.film_id,
        source_uri=film.uri,
        source_size_bytes=size_bytes,
        source_sha256=checksum,
        seconds=probe.seconds,
        duration_us=round(probe.duration_s * 1_000_000),
        start_us=probe.start_us,
        quality=quality,
        warnings=warnings,
        file_clock=probe.file_clock,
    )
    record = records.make_record(header, tracks)
    records.write_record(record, records.record_uri(extractor.directory, film.film_id))
    device = decoded_on(wants_gpu(extractor.config.device.decode), probe, part.picture)
    return ExtractedFilm(header.duration_us / 1_000_000, True, warnings, device)


def _quality(probe: FilmProbe, part: FilmPart) -> dict[str, Any]:
    """A record's quality: only properties of the film and counts that add up, not those that depend on cuts."""
    quality: dict[str, Any] = {"film": describe_file(probe)}
    if part.picture is not None:
        damaged = {"frames_corrupt": part.picture.frames_corrupt, "packet_errors": part.picture.packet_errors}
        quality["picture"] = {"seconds_without_a_fresh_frame": part.without_a_fresh_frame, **damaged}
        if probe.hdr:
            pixels = probe.seconds * probe.width_px * probe.height_px
            quality["picture"]["clipped_percent"] = round(100 * part.picture.pixels_clipped / pixels, 3)
    if part.sound is not None:
        damaged = {"frames_corrupt": part.sound.frames_corrupt, "packet_errors": part.sound.packet_errors}
        quality["sound"] = {**probe.sound.describe(), **damaged}
    if part.text is not None:
        quality["text"] = part.text
    return quality
