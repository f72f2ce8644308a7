"""The dry run of an extract job: it probes every film, extracts none and writes nothing.

Its estimate is rough: core seconds per film second as measured on one core of a server CPU of 2023 (benchmarks/),
decoding in proportion to the picture's size. A local job with the paper's three networks takes 6 s to start. The first
finished films of the job itself give a better estimate.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from beam_pipelines.contracts.film_ids import shown_name
from beam_pipelines.contracts.film_warnings import (
    FilmWarning,
    count_by_code,
    headline,
    in_order,
    line_of,
    refuse,
    warnings_of_quality,
)
from beam_pipelines.contracts.records import records
from beam_pipelines.extraction.earlier_runs import EarlierRuns
from beam_pipelines.extraction.missing import current_header, missing_of, stat_source
from beam_pipelines.extraction.one_film import media_limits
from beam_pipelines.extraction.subtitles import read_text, subtitles_beside
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import core_seconds
from beam_pipelines.films.catalogue import Film
from beam_pipelines.films.passed_over import passed_over_line
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import EXIT_OK, EXIT_SOME_FILMS_FAILED, FilmError
from beam_pipelines.media.audio.sound_choice import SoundChoice
from beam_pipelines.media.probe import FilmProbe
from beam_pipelines.media.probe_warnings import warnings_of_probe
from beam_pipelines.media.worker.decoding_process import DecodingProcess

_WIDTH_OF_FILES = 1000
DECODING_CORE_SECONDS_PER_PIXEL = 0.1 / (1920 * 1080)


@dataclass(frozen=True)
class Forecast:
    """What the job would do with one film.

    Attributes:
        film_id: the film.
        action: a text for people: `up to date`, `extract image, audio`, `failed before`, or why it can't be done.
        probe: the film's probe, or None.
        core_s: seconds of one core that extraction would take.
        failed: whether the film can't be extracted.
        warnings: the film's warnings that are known without decoding; those of its record if that is up to date.
    """

    film_id: str
    action: str
    probe: FilmProbe | None = None
    core_s: float = 0.0
    failed: bool = False
    warnings: tuple[FilmWarning, ...] = ()


def print_dry_run(
    films: Sequence[Film],
    config: ExtractConfig,
    directory: str,
    descriptions: Mapping[str, Mapping[str, Any]],
    earlier: EarlierRuns,
    passed_over: Mapping[str, int],
) -> int:
    """Prints a row for every film, the totals and the files passed over (suffix -> their number).

    Returns:
        The exit code, 3 if some films can't be extracted.
    """

    def look(film: Film, decoder: DecodingProcess) -> Forecast:
        return forecast(film, config, directory, descriptions, earlier, decoder)

    console, table = Console(), Table("film", "length", "picture", "sound", "what would be done", box=None)
    if not console.is_terminal:
        # Nobody reads a pipe's or a file's 80 columns: no cell is shortened.
        console.width = _WIDTH_OF_FILES
    found = []
    for each in _side_by_side(films, config, look):
        found.append(each)
        table.add_row(*map(Text, _cells(each)))
    console.print(table, soft_wrap=not console.is_terminal)
    if warned := [each for each in found if each.warnings]:
        lines = [headline(len(warned), count_by_code(each.warnings for each in warned))]
        lines += [line_of(each.film_id, warning) for each in warned for warning in each.warnings]
        console.print("\n".join(lines), highlight=False, soft_wrap=True, markup=False, emoji=False)
    film_s = sum(float(each.probe.duration_s) for each in found if each.probe and each.core_s)
    failed = sum(each.failed for each in found)
    to_do = sum(each.core_s > 0 for each in found)
    console.print(
        f"{len(found)} films: {to_do} to extract, {len(found) - to_do - failed} up to date, {failed} that can't be; "
        f"{film_s / 3600:.2f} film-hours, about {timedelta(seconds=round(sum(each.core_s for each in found)))} "
        "on one core, less in proportion on more, and some 6 s to start a local job",
        highlight=False,
        soft_wrap=True,
    )
    if passed_over:
        print(passed_over_line(passed_over))
    return EXIT_SOME_FILMS_FAILED if failed else EXIT_OK


def forecast(
    film: Film,
    config: ExtractConfig,
    directory: str,
    descriptions: Mapping[str, Mapping[str, Any]],
    earlier: EarlierRuns,
    decoder: DecodingProcess,
) -> Forecast:
    """The forecast of what the extract job would do with one film."""
    try:
        source = stat_source(film)
        existing = current_header(film, source, directory)
        missing = descriptions
        if existing is not None and not earlier.force:
            record = storage.stat(records.record_uri(directory, film.film_id))
            missing = missing_of(existing, descriptions, film, record)
        wanted = sorted(missing)
        failure = earlier.carried_over(earlier.listed(film))
        if failure:
            return Forecast(film.film_id, f"failed before ({failure.reason}), see --retry-failed", failed=True)
        with storage.local_copy(film.uri) as path:
            probe = decoder.probe(path, media_limits(config), config.sound_track)
            text = read_text(film, path, probe, subtitles_beside(film, missing), decoder, config.refuse)
        warnings = existing.warnings if existing and not wanted else warnings_of_probe(probe)
        if text is not None:
            warnings = in_order([*warnings, *warnings_of_quality({"text": text.quality})])
        refuse(film.uri, warnings, config.refuse)
    except FilmError as error:
        return Forecast(film.film_id, f"would fail ({error.reason})", failed=True)
    if not wanted:
        return Forecast(film.film_id, "up to date", probe, warnings=warnings)
    segments = -(-probe.seconds // config.segment_s)
    parts = f" in up to {segments} segments" if segments > 1 else ""
    subtitles = "" if text is None else f" (subtitles: {text.source})"
    action = f"extract {', '.join(wanted)}{parts}{subtitles}"
    return Forecast(film.film_id, action, probe, _core_s(probe, config, wanted), warnings=warnings)


def _core_s(probe: FilmProbe, config: ExtractConfig, modalities: Sequence[str]) -> float:
    a_second = sum(core_seconds(config, modality) for modality in modalities)
    a_second += probe.width_px * probe.height_px * DECODING_CORE_SECONDS_PER_PIXEL
    return float(probe.duration_s) * a_second


def _side_by_side(films: Sequence[Film], config: ExtractConfig, look: Any) -> Iterator[Forecast]:
    """The forecasts in the films' order, made by one decoding process per core."""
    count = max(1, min(os.cpu_count() or 1, len(films)))
    idle: queue.SimpleQueue[DecodingProcess] = queue.SimpleQueue()
    decoders = [DecodingProcess(config.decode_deadline_s, config.limits.decoder_memory_mb) for _ in range(count)]
    for decoder in decoders:
        idle.put(decoder)

    def work(film: Film) -> Forecast:
        decoder = idle.get()
        try:
            return look(film, decoder)
        finally:
            idle.put(decoder)

    try:
        with ThreadPoolExecutor(count) as pool:
            yield from pool.map(work, films)
    finally:
        for decoder in decoders:
            decoder.close()


def _cells(each: Forecast) -> tuple[str, ...]:
    probe, name = each.probe, shown_name(each.film_id)
    if probe is None:
        return name, "", "", "", each.action
    rate = f" {float(probe.average_rate_hz):.5g}/s" if probe.average_rate_hz else ""
    picture = f"{probe.codec} {probe.width_px}x{probe.height_px}{rate}"
    return name, str(timedelta(seconds=probe.seconds)), picture, _sound_cell(probe.sound), each.action


def _sound_cell(sound: SoundChoice) -> str:
    """For example `aac 48000 Hz 5.1 eng, stream 2 of 3`; the streams of all tracks if several are mixed."""
    if not sound.tracks:
        return f"none of {sound.tracks_in_film} can be decoded" if sound.tracks_in_film else "none"
    first = sound.tracks[0]
    about = " ".join(filter(None, (first.codec, f"{first.rate_hz} Hz", sound.layout, first.language)))
    if sound.tracks_in_film == 1:
        return about
    streams = ", ".join(str(track.index) for track in sound.tracks)
    return f"{about}, stream{'s' * (len(sound.tracks) > 1)} {streams} of {sound.tracks_in_film} tracks"
