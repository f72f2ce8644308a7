"""The signals of a film second by second, and what is made of them once the whole film is there.

A part of a film has a wider table of what each second says alone; `of_whole_film` makes the columns of it. What looks
back (loudness over seconds, change, cuts) is therefore the same however a film was cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from beam_pipelines.contracts.records.feature_track import FeatureTrack
from beam_pipelines.extractors.signals.columns import PICTURE_SIGNALS, SOUND_SIGNALS
from beam_pipelines.extractors.signals.picture_signals import film_of_pictures, second_of_picture
from beam_pipelines.extractors.signals.sound_signals import AFTER_S, BEFORE_S, film_of_sound, second_of_sound
from beam_pipelines.foundation.stage_times import stage
from beam_pipelines.media.audio.channel_windows import ChannelWindow
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import FilmProbe
from beam_pipelines.media.video.picture_shape import PictureShape
from beam_pipelines.media.video.sample_frames import SampledFrame
from beam_pipelines.media.worker.decoding_process import DecodingProcess


class PictureSignals:
    """Takes the pictures of successive seconds."""

    def __init__(self, shape: PictureShape):
        self._shape = shape
        self._rows: list[np.ndarray] = []
        self._timestamps_us: list[int] = []

    def add(self, frame: SampledFrame) -> None:
        """Takes the picture of the next second."""
        with stage(PICTURE_SIGNALS, 1, frame.image.nbytes):
            self._rows.append(second_of_picture(frame, self._shape).astype(np.float32))
        self._timestamps_us.append(frame.timestamp_us)

    def flush(self) -> None:
        """Begins a new stretch of the film: nothing waits here."""

    def finish(self, descriptions: Mapping[str, Mapping[str, Any]]) -> dict[str, FeatureTrack]:
        """The track of these seconds, for `of_whole_film`."""
        track = FeatureTrack(
            values=np.stack(self._rows),
            present=np.ones((len(self._rows), 1), np.float32),
            timestamps_us=np.array(self._timestamps_us, np.int64),
            description=descriptions[PICTURE_SIGNALS],
        )
        return {PICTURE_SIGNALS: track}


class SoundSignals:
    """Takes the sound of successive seconds.

    Args:
        start_us: the timestamp of second 0.
    """

    def __init__(self, start_us: int):
        self._start_us = start_us
        self._rows: list[np.ndarray] = []
        self._present: list[bool] = []
        self._seconds: list[int] = []

    @classmethod
    def of_film(
        cls, decoder: DecodingProcess, path: str | Path, probe: FilmProbe, seconds: range, quality: DecodeQuality
    ) -> SoundSignals:
        """The signals of some seconds of a film; `quality` counts what is lost."""
        signals = cls(probe.start_us)
        for window in decoder.channels(path, probe, seconds, quality, BEFORE_S, AFTER_S):
            signals.add(window)
        return signals

    def add(self, window: ChannelWindow) -> None:
        """Takes the sound of the next second."""
        with stage(SOUND_SIGNALS, 1, window.samples.nbytes):
            self._rows.append(second_of_sound(window).astype(np.float32))
        self._present.append(window.present)
        self._seconds.append(window.t)

    def finish(self, descriptions: Mapping[str, Mapping[str, Any]]) -> dict[str, FeatureTrack]:
        """The track of these seconds, for `of_whole_film`."""
        track = FeatureTrack(
            values=np.stack(self._rows),
            present=np.array(self._present, np.float32)[:, None],
            timestamps_us=self._start_us + 1_000_000 * np.array(self._seconds, np.int64),
            description=descriptions[SOUND_SIGNALS],
        )
        return {SOUND_SIGNALS: track}


def of_whole_film(tracks: Mapping[str, FeatureTrack]) -> dict[str, FeatureTrack]:
    """The tracks of a whole film, of which those of signals get their columns; the others stay as they are."""
    made = dict(tracks)
    if PICTURE_SIGNALS in made:
        with stage(PICTURE_SIGNALS):
            made[PICTURE_SIGNALS] = _with(made[PICTURE_SIGNALS], film_of_pictures(made[PICTURE_SIGNALS].values))
    if SOUND_SIGNALS in made:
        track = made[SOUND_SIGNALS]
        with stage(SOUND_SIGNALS):
            made[SOUND_SIGNALS] = _with(track, film_of_sound(track.values, track.present[:, 0] > 0))
    return made


def _with(track: FeatureTrack, values: np.ndarray) -> FeatureTrack:
    return replace(track, values=values)
