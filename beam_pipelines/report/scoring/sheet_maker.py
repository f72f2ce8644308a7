"""From a scoring run to its page: collects each film's sheet from its curve, record, labels and video."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.contracts.film_warnings import FilmWarning
from beam_pipelines.contracts.records.file_clock import FileClock
from beam_pipelines.contracts.runs import FilmOutcome
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.extractors.signals.columns import SOUND_COLUMNS, SOUND_SIGNALS
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.foundation.tables.reading import TABLE_SUFFIXES
from beam_pipelines.labels.annotations import align, read_labels
from beam_pipelines.labels.config import LabelConfig
from beam_pipelines.labels.layouts import AnnotationError
from beam_pipelines.report.markers.events import find_events, in_order
from beam_pipelines.report.markers.file_times import FileTimes
from beam_pipelines.report.markers.reasons import smoothed_shares, with_reasons
from beam_pipelines.report.markers.timecode import FrameRate, nearest_rate
from beam_pipelines.report.markers.webvtt import chapters
from beam_pipelines.report.scoring.film_clock import clock_of_header, file_times
from beam_pipelines.report.scoring.page import PageWriter
from beam_pipelines.report.scoring.scoring_run import ScoringRun
from beam_pipelines.report.scoring.sheets import FilmSheet, film_key
from beam_pipelines.report.scoring.thumbnails import FORMAT, Sprite, frame_rate_of, kept_sprite, make_sprite

_SOUND = ("audio", SOUND_SIGNALS)
"""The modalities whose presence is the film's sound, the first that a record has."""
LOUDNESS = "loudness_momentary_lufs"


@dataclass
class SheetMaker:
    """Makes the sheets of films, with all that the page shows of them.

    Attributes:
        output: the page's folder, to which addresses of films are relative.
        label_range: lowest and highest label.
        own_range: whether each film has a range of its own, whose middle is the film's mean.
        films: film id -> film of the manifest.
        records: directory of feature records, or None.
        modalities: what the model takes.
        smoothing: how the run smoothed its curves.
        agreement: film id -> target -> correlation with the labels.
        warnings: film id -> the film's warnings.
        failures: film id -> why it failed in this run. It may still have a curve of an earlier run.
        families: film id -> the film's family.
        thumbnails: whether to make thumbnails.
        rate_hz: frame rate of the markers, instead of each film's own.
        label_config: how label files are read.
        start_timecode: timecode of the films' start in their EDL, instead of each film's own.
        without_labels: film id -> why its labels aren't drawn, of the films made so far that should have some.
    """

    output: str
    label_range: tuple[float, float] = (-1.0, 1.0)
    own_range: bool = False
    films: dict[str, Film] = field(default_factory=dict)
    records: str | None = None
    modalities: tuple[str, ...] = ()
    smoothing: SmoothingConfig = field(default_factory=lambda: SmoothingConfig(method="none"))
    agreement: dict[str, dict[str, float | None]] = field(default_factory=dict)
    warnings: dict[str, tuple[FilmWarning, ...]] = field(default_factory=dict)
    failures: dict[str, FilmOutcome] = field(default_factory=dict)
    families: dict[str, int] = field(default_factory=dict)
    thumbnails: bool = False
    rate_hz: Fraction | None = None
    label_config: LabelConfig = field(default_factory=LabelConfig)
    start_timecode: str = ""
    without_labels: dict[str, str] = field(default_factory=dict, init=False)

    def make(self, curve: AffectCurve) -> tuple[FilmSheet, FrameRate]:
        """The sheet of a film and the frame rate of its markers. It leaves out unavailable parts and notes them."""
        film = self.films.get(curve.film_id, Film(curve.film_id, ""))
        notes: list[str] = []
        failure = self.failures.get(curve.film_id)
        if failure is not None:
            why = f"{failure.step}, {failure.reason}: {failure.detail}"
            notes.append(f"This curve is of an earlier run; in the last one the film failed ({why}).")
        tracks = self._tracks(curve, notes)
        shares = smoothed_shares(curve, self.smoothing)
        events = in_order(
            with_reasons(event, shares)
            for target in curve.targets
            for event in find_events(curve.of(target), target, label_range=self.label_range)
        )
        duration_s = tracks.duration_s or float(curve.seconds)
        path = _path_on_disk(film.uri or tracks.source_uri)
        video, sprite, rate = self._video(path, film_key(curve.film_id), curve.seconds, tracks, notes)
        times, rate = self._file_times(path, tracks, rate, notes)
        sheet = FilmSheet(
            curve=curve,
            duration_s=duration_s,
            events=events,
            chapters=chapters(
                curve.smoothed, events, duration_s, label_range=self.label_range, own_range=self.own_range
            ),
            split=film.split,
            labels=self._labels(film, curve.seconds, notes),
            faces=tracks.faces,
            sound=tracks.sound,
            video=video,
            warnings=self.warnings.get(curve.film_id, ()),
            notes=tuple(notes),
            sprite=sprite,
            agreement=self.agreement.get(curve.film_id, {}),
            file_times=times,
            family=self.families.get(curve.film_id),
            failed_since=failure is not None,
            shares=shares,
            loudness=self._loudness(curve) if shares and tracks.sound is not None else None,
        )
        return sheet, rate

    def _tracks(self, curve: AffectCurve, notes: list[str]) -> _RecordTracks:
        if self.records is None:
            return _RecordTracks()
        from beam_pipelines.contracts.records import records

        try:
            wanted = tuple(dict.fromkeys((*_SOUND, "face", *self.modalities)))
            header, present = records.read_presence(records.record_uri(self.records, curve.film_id), wanted)
        except FileNotFoundError:
            notes.append("No tracks of faces and sound: there is no feature record of this film.")
            return _RecordTracks()
        except records.RecordError as error:
            notes.append(f"No tracks of faces and sound: {error}")
            return _RecordTracks()
        if header.seconds != curve.seconds:
            notes.append("No tracks of faces and sound: the feature record is not the one that was scored.")
            return _RecordTracks()
        face, audio = present.get("face"), next((present[name] for name in _SOUND if name in present), None)
        notes.extend(_note_on_absent(self.modalities, present))
        return _RecordTracks(
            duration_s=header.duration_us / 1e6,
            # A record of imported features alone has a table as its source.
            source_uri="" if header.source_uri.lower().endswith(TABLE_SUFFIXES) else header.source_uri,
            source_sha256=header.source_sha256,
            video_stream=header.video_stream,
            file_clock=header.file_clock,
            first_picture_us=header.start_us,
            faces=None if face is None else face.sum(axis=1).astype(np.int64),
            sound=None if audio is None else audio[:, 0] > 0,
        )

    def _loudness(self, curve: AffectCurve) -> NDArray[np.floating] | None:
        """The film's loudness in LUFS, float [T], NaN in silence; None if its record has no signals of sound."""
        from beam_pipelines.contracts.records import records

        uri = records.record_uri(self.records or "", curve.film_id)
        try:
            track = records.read_record(uri, (SOUND_SIGNALS,)).tracks.get(SOUND_SIGNALS)
        except records.RecordError:
            return None
        if track is None:
            return None
        return np.where(track.present[:, 0] > 0, track.values[:, SOUND_COLUMNS.index(LOUDNESS)], np.nan)

    def _video(
        self, path: str, key: str, seconds: int, tracks: _RecordTracks, notes: list[str]
    ) -> tuple[str | None, Sprite | None, FrameRate]:
        """The film's address for the page, its thumbnails and its frame rate."""
        if not path or storage.is_remote(self.output):
            notes.append("The film itself is not at hand here: the curves stand alone.")
            return None, None, nearest_rate(self.rate_hz)
        sprite, own_rate_hz = None, None
        relative = os.path.relpath(os.path.abspath(path), os.path.abspath(self.output)).replace(os.sep, "/")
        video = quote(relative, errors="surrogateescape")
        try:
            own_rate_hz = frame_rate_of(path, tracks.video_stream)
            sprite = self._sprite(path, video, key, seconds, tracks) if self.thumbnails else None
        except FilmError as error:
            notes.append(f"No thumbnails ({error.reason}): {error.detail}")
        return video, sprite, nearest_rate(self.rate_hz or own_rate_hz)

    def _sprite(self, path: str, video: str, key: str, seconds: int, tracks: _RecordTracks) -> Sprite:
        """The film's thumbnails, from the page that is there or made anew, which costs seconds for a long film."""
        stream = tracks.video_stream
        of = f"{tracks.source_sha256[:16]}/{stream}/{seconds}/{FORMAT}" if tracks.source_sha256 else ""
        joined = tracks.file_clock is not None and bool(tracks.file_clock.jumps_us)
        kept = kept_sprite(self.output, key, of, path, video)
        return kept or replace(make_sprite(path, seconds, stream, joined), of=of)

    def _file_times(
        self, path: str, tracks: _RecordTracks, rate: FrameRate, notes: list[str]
    ) -> tuple[FileTimes, FrameRate]:
        """The film's times on its file's clock, from its record, else from its file if that is at hand."""
        clock, first_us = tracks.file_clock, tracks.first_picture_us
        if clock is None:
            clock, first_us = FileClock(), 0
            if path:
                with suppress(FilmError):  # the notes say it already
                    clock, first_us = clock_of_header(path)
        times, rate, about = file_times(clock, first_us, rate, self.start_timecode)
        notes.extend(about)
        return times, rate

    def _labels(self, film: Film, seconds: int, notes: list[str]) -> NDArray[np.float64] | None:
        """The film's labels as the trainer reads them, float64 [T, 2], NaN where there are none."""
        if not film.labels:
            return None
        try:
            labels = read_labels(film.labels, self.label_config, film.film_id)
            values, known = align(labels, seconds)
        except AnnotationError as error:
            why = f"{error} (report --config names a file with the section train.labels)"
        else:
            why = "" if known.any() else f"none of the {len(labels.time_s)} rows of {film.labels} lies within the film."
        if why:
            self.without_labels[film.film_id] = why
            notes.append(f"No labels: {why}")
            return None
        found = np.full((seconds, len(TARGETS)), np.nan)
        places = [TARGETS.index(target) for target in self.label_config.targets]
        found[:, places] = np.where(known[:, None], values, np.nan)
        return found


def _note_on_absent(modalities: Sequence[str], present: Mapping[str, np.ndarray]) -> Iterator[str]:
    """What the model takes and the film hasn't got in any second. That nobody is to be seen is no defect."""
    absent = [name for name in modalities if name in present and name != "face" and not present[name].any()]
    if absent:
        others = [name for name in modalities if name not in absent]
        sound = "The film has no sound" if set(absent) <= {*_SOUND} else "The film lacks what the model takes"
        yield f"{sound} ({', '.join(absent)}): the curve is made of {', '.join(others) or 'nothing'}."


def _path_on_disk(uri: str) -> str:
    """The path of a local film, in the Unicode form that it has on disk; empty if it isn't there."""
    if not uri or storage.is_remote(uri):
        return ""
    with suppress(OSError, FilmError):
        found = storage.stat(uri)
        return found.uri if found else ""
    return ""


@dataclass(frozen=True)
class _RecordTracks:
    """The parts of a feature record that the page shows; see `FilmSheet`."""

    duration_s: float | None = None
    source_uri: str = ""
    source_sha256: str = ""
    video_stream: int | None = None
    file_clock: FileClock | None = None
    first_picture_us: int = 0
    faces: Any = None
    sound: Any = None


def write_report(
    run: ScoringRun, maker: SheetMaker, also_failed: Sequence[FilmOutcome] = (), *, progress: bool = False
) -> str:
    """Writes the page of a run and returns its address.

    Args:
        run: the scoring run.
        maker: makes each film's sheet; its `output` is the page's folder.
        also_failed: films that failed before scoring; those that the run itself knows are left out.
        progress: whether to show progress on the terminal.
    """
    writer = PageWriter(maker.output, maker.label_range)
    scored = set()
    for curve in _shown(run.curves(), run.count(), progress):
        writer.add_film(*maker.make(curve))
        scored.add(curve.film_id)
    known = scored | {film.film_id for film in run.failures}
    failures = [*run.failures, *(film for film in also_failed if film.film_id not in known)]
    return writer.finish(run.manifest, [film for film in failures if film.film_id not in scored], run.evaluation)


def _shown(curves: Iterator[AffectCurve], total: int, progress: bool) -> Iterator[AffectCurve]:
    if not progress:
        yield from curves
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(curves, "report", total=total, console=Console(stderr=True), transient=True)
