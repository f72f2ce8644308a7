"""From a film to its feature tracks: the core of the extract job, without Beam and callable in a REPL.

Each accumulator takes pictures or sound second by second, gives them to its network in fixed batches (`film_rows`,
`shared_batches`), and returns a `FeatureTrack`. Memory holds one batch of pictures, never all of a film. The detector
always gets second t in batch t % 300 // B of its stretch of 300 s, whatever else runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from beam_pipelines.contracts.records import quantisation
from beam_pipelines.contracts.records.feature_track import FeatureTrack
from beam_pipelines.extractors import speech_text
from beam_pipelines.extractors.configured_networks import Networks, takes_pictures
from beam_pipelines.extractors.face_track import FaceAccumulator
from beam_pipelines.extractors.network_inputs import FaceInput, NetworkInput, PictureInput, SoundInput, TextInput
from beam_pipelines.extractors.signals.accumulators import PictureSignals, SoundSignals
from beam_pipelines.extractors.signals.columns import PICTURE_SIGNALS, SOUND_SIGNALS
from beam_pipelines.extractors.sound_context import sound_windows
from beam_pipelines.extractors.text_track import TextAccumulator, texts_of_seconds
from beam_pipelines.media.audio.audio_windows import AudioWindow
from beam_pipelines.media.audio.sound_entry import ENTRY_EVERY_S
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import FilmProbe, MediaLimits
from beam_pipelines.media.text.film_text import FilmText
from beam_pipelines.media.video.picture_shape import PictureShape
from beam_pipelines.media.video.sample_frames import SampledFrame
from beam_pipelines.media.worker.decoding_process import DecodingProcess
from beam_pipelines.media.worker.picture_decoding import decoded_pictures

BATCHES_RESTART_EVERY_S = ENTRY_EVERY_S
"""A batch never crosses multiples of this, so that a part of a film is computed in the same batches as the whole."""


@dataclass(frozen=True, eq=False)
class FilmPart:
    """The features of some seconds of a film.

    Attributes:
        tracks: modality -> track of these seconds.
        without_a_fresh_frame: seconds whose picture is that of the second before; None if no pictures were decoded.
        picture, sound: the decoder's counts; None if it didn't decode pictures or sound.
        text: what a record says of the film's subtitles; None if they weren't read.
    """

    tracks: Mapping[str, FeatureTrack]
    without_a_fresh_frame: int | None = None
    picture: DecodeQuality | None = None
    sound: DecodeQuality | None = None
    text: Mapping[str, Any] | None = None


def extract_tracks(
    path: str | Path,
    probe: FilmProbe,
    networks: Networks,
    descriptions: Mapping[str, Mapping[str, Any]],
    limits: MediaLimits,
    decoder: DecodingProcess,
    seconds: range | None = None,
    text: FilmText | None = None,
) -> FilmPart:
    """Extracts the modalities that `descriptions` names from a film or some seconds of it.

    Args:
        path: a local file.
        probe: the probe of that file.
        networks: networks of the configuration from which the descriptions come.
        descriptions: modality -> description of its track.
        limits: the largest film that the decoder accepts.
        decoder: decodes while the networks compute.
        seconds: the seconds to extract; None for the whole film. If they begin at a multiple of
            `BATCHES_RESTART_EVERY_S`, features have the bits of those of the whole film.
        text: what is said in the whole film, if `descriptions` has a modality that takes text.

    Raises:
        FilmError: if nothing of the film can be decoded.
    """
    seconds = range(probe.seconds) if seconds is None else seconds
    accumulators: list[PictureAccumulator | AudioAccumulator | SoundSignals | TextAccumulator] = []
    stale: int | None = None
    picture: DecodeQuality | None = None
    sound: DecodeQuality | None = None
    takes = {modality: networks.takes(modality) for modality in descriptions}
    with networks.film():
        if any(takes_pictures(networks.config, modality) for modality in takes):
            picture, pairs = DecodeQuality(), PICTURE_SIGNALS in takes
            mode = networks.config.decode.mode()
            frames = decoded_pictures(decoder, path, probe, seconds, picture, limits, mode, pairs)
            found, stale = _take_pictures(frames, networks, takes, probe.shape)
            accumulators += found
        for modality, wanted in takes.items():
            if isinstance(wanted, SoundInput):
                counts = DecodeQuality()
                windows = sound_windows(path, probe, decoder, seconds, counts, wanted)
                accumulators.append(_take_sound(windows, networks, modality, probe))
                sound = sound or counts
            if isinstance(wanted, TextInput) and text is not None:
                texts = texts_of_seconds(text.cues, seconds, wanted.window_s)
                rows, tokens = networks.rows(modality), networks.tokens(modality)
                accumulators.append(TextAccumulator(modality, rows, tokens, texts, seconds, probe.start_us))
        if SOUND_SIGNALS in takes:
            counts = DecodeQuality()
            accumulators.append(SoundSignals.of_film(decoder, path, probe, seconds, counts))
            sound = sound or counts
        # All vectors are asked for at the end, since a film that asks may have to wait for others.
        tracks = {modality: track for each in accumulators for modality, track in each.finish(descriptions).items()}
    if text is not None and speech_text.MODALITY in descriptions:
        described = descriptions[speech_text.MODALITY]
        tracks[speech_text.MODALITY] = speech_text.speech_text_track(text, seconds, probe.start_us, described)
    for modality, track in tracks.items():
        if quantisation.stored_form(track.description) == quantisation.FLOAT16:
            tracks[modality] = quantisation.as_stored(track, quantisation.FLOAT16, str(path))
    return FilmPart(tracks, stale, picture, sound, None if text is None else text.quality)


def _take_pictures(
    frames: Iterable[SampledFrame], networks: Networks, takes: Mapping[str, NetworkInput | None], shape: PictureShape
) -> tuple[list[PictureAccumulator], int]:
    """The accumulators with all pictures, and the number of seconds whose picture is that of the second before."""
    accumulators: list[PictureAccumulator] = [
        ImageAccumulator(networks, modality, wanted, shape)
        for modality, wanted in takes.items()
        if isinstance(wanted, PictureInput)
    ]
    faces = {modality: wanted for modality, wanted in takes.items() if isinstance(wanted, FaceInput)}
    if faces:
        accumulators.append(FaceAccumulator(networks, networks.config.face, shape, faces))
    if PICTURE_SIGNALS in takes:
        accumulators.append(PictureSignals(shape))
    stale = 0
    for frame in frames:
        stale += not frame.fresh
        for accumulator in accumulators:
            if frame.t % BATCHES_RESTART_EVERY_S == 0:
                accumulator.flush()
            accumulator.add(frame)
    return accumulators, stale


def _take_sound(
    windows: Iterable[AudioWindow], networks: Networks, modality: str, probe: FilmProbe
) -> AudioAccumulator:
    accumulator = AudioAccumulator(networks, modality, probe)
    for window in windows:
        accumulator.add(window)
    return accumulator


class ImageAccumulator:
    """Turns pictures of successive seconds into the track of a modality, float32 [T, D]."""

    def __init__(self, networks: Networks, modality: str, takes: PictureInput, shape: PictureShape):
        self._modality = modality
        self._takes = takes
        self._shape = shape
        self._rows = networks.rows(modality)
        self._timestamps_us: list[int] = []

    def add(self, frame: SampledFrame) -> None:
        """Takes the picture of the next second."""
        self._rows.add(self._takes.fit(frame.image, self._shape))
        self._timestamps_us.append(frame.timestamp_us)

    def flush(self) -> None:
        """Begins a new stretch of the film."""
        self._rows.flush()

    def finish(self, descriptions: Mapping[str, Mapping[str, Any]]) -> dict[str, FeatureTrack]:
        """Runs the rest and returns the track."""
        track = FeatureTrack(
            values=self._rows.vectors(),
            present=np.ones((len(self._timestamps_us), 1), np.float32),
            timestamps_us=np.array(self._timestamps_us, np.int64),
            description=descriptions[self._modality],
        )
        return {self._modality: track}


class AudioAccumulator:
    """Turns windows of sound of successive seconds into the track of a sound modality, float32 [T, D].

    A second without sound is absent: its values are zero, and no network runs for it.
    """

    def __init__(self, networks: Networks, modality: str, probe: FilmProbe):
        self._modality = modality
        self._rows = networks.rows(modality)
        self._start_us = probe.start_us
        self._seconds: list[int] = []
        self._present: list[bool] = []

    def add(self, window: AudioWindow) -> None:
        """Takes the samples of the next second."""
        if window.t % BATCHES_RESTART_EVERY_S == 0:
            self._rows.flush()
        if window.present:
            self._rows.add(window.samples)
        self._present.append(window.present)
        self._seconds.append(window.t)

    def finish(self, descriptions: Mapping[str, Mapping[str, Any]]) -> dict[str, FeatureTrack]:
        """Runs the rest and returns the track."""
        vectors, present = self._rows.vectors(), np.array(self._present, bool)
        values = np.zeros((len(present), vectors.shape[1]), np.float32)
        values[present] = vectors
        track = FeatureTrack(
            values=values,
            present=present.astype(np.float32)[:, None],
            timestamps_us=self._start_us + 1_000_000 * np.array(self._seconds, np.int64),
            description=descriptions[self._modality],
        )
        return {self._modality: track}


PictureAccumulator = ImageAccumulator | FaceAccumulator | PictureSignals
