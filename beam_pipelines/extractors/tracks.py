"""From a film to its feature tracks: the core of the extract job, without Beam and callable in a REPL.

Each accumulator takes pictures or sound second by second, gives them to its network in fixed batches (`film_rows`,
`shared_batches`), and returns a `FeatureTrack`. Memory holds one batch of pictures, never all of a film. The detector
always gets second t in batch t % 300 // B of its stretch of 300 s, whatever else runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from beam_pipelines.contracts.records import quantisation
from beam_pipelines.contracts.records.feature_track import FeatureTrack
from beam_pipelines.extractors.configured_networks import PICTURE_NETWORKS, Networks
from beam_pipelines.extractors.face_track import FaceAccumulator
from beam_pipelines.extractors.networks.opensmile_is10 import OpenSmileIS10
from beam_pipelines.extractors.sound_context import centred_windows, seconds_around
from beam_pipelines.media.audio.audio_windows import AudioWindow
from beam_pipelines.media.audio.sound_entry import ENTRY_EVERY_S
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import FilmProbe, MediaLimits
from beam_pipelines.media.video.resize import resize_image
from beam_pipelines.media.video.sample_frames import SampledFrame
from beam_pipelines.media.worker.decoding_process import DecodingProcess

BATCHES_RESTART_EVERY_S = ENTRY_EVERY_S
"""A batch never crosses multiples of this, so that a part of a film is computed in the same batches as the whole."""

_SMILE_REACH_S = 2


@dataclass(frozen=True, eq=False)
class FilmPart:
    """The features of some seconds of a film.

    Attributes:
        tracks: modality -> track of these seconds.
        without_a_fresh_frame: seconds whose picture is that of the second before; None if no pictures were decoded.
        picture, sound: the decoder's counts; None if it didn't decode pictures or sound.
    """

    tracks: Mapping[str, FeatureTrack]
    without_a_fresh_frame: int | None = None
    picture: DecodeQuality | None = None
    sound: DecodeQuality | None = None


def extract_tracks(
    path: str | Path,
    probe: FilmProbe,
    networks: Networks,
    descriptions: Mapping[str, Mapping[str, Any]],
    limits: MediaLimits,
    decoder: DecodingProcess,
    seconds: range | None = None,
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

    Raises:
        FilmError: if nothing of the film can be decoded.
    """
    seconds = range(probe.seconds) if seconds is None else seconds
    accumulators: dict[str, ImageAccumulator | FaceAccumulator | AudioAccumulator] = {}
    stale: int | None = None
    picture: DecodeQuality | None = None
    sound: DecodeQuality | None = None
    with networks.film():
        if descriptions.keys() & {*PICTURE_NETWORKS, "face"}:
            picture = DecodeQuality()
            frames = decoder.pictures(path, probe, seconds, picture, limits, networks.config.decode.mode())
            found, stale = _take_pictures(frames, networks, descriptions, probe)
            accumulators.update(found)
        if "audio" in descriptions:
            sound = DecodeQuality()
            windows = decoder.sound(path, probe, seconds, sound, networks.config.audio.window_s)
            accumulators["audio"] = _take_sound(windows, networks, "audio", probe)
        if OpenSmileIS10.modality in descriptions:
            counts = DecodeQuality()
            windows = _five_seconds(path, probe, decoder, seconds, counts)
            accumulators[OpenSmileIS10.modality] = _take_sound(windows, networks, OpenSmileIS10.modality, probe)
            sound = sound or counts
        # All vectors are asked for at the end, since a film that asks may have to wait for others.
        tracks = {modality: made.finish(descriptions[modality]) for modality, made in accumulators.items()}
    for modality, track in tracks.items():
        if quantisation.stored_form(track.description) == quantisation.FLOAT16:
            tracks[modality] = quantisation.as_stored(track, quantisation.FLOAT16, str(path))
    return FilmPart(tracks, stale, picture, sound)


def _five_seconds(
    path: str | Path, probe: FilmProbe, decoder: DecodingProcess, seconds: range, quality: DecodeQuality
) -> Iterator[AudioWindow]:
    """openSMILE's windows. `quality` counts only sound of `seconds`, not what is decoded around them."""
    before, after = seconds_around(seconds, _SMILE_REACH_S, probe.seconds)
    pieces = chain.from_iterable(
        decoder.sound(path, probe, part, counts, 1.0)
        for part, counts in ((before, DecodeQuality()), (seconds, quality), (after, DecodeQuality()))
        if part
    )
    return centred_windows(pieces, seconds, _SMILE_REACH_S)


def _take_pictures(
    frames: Iterable[SampledFrame], networks: Networks, descriptions: Mapping[str, Mapping[str, Any]], probe: FilmProbe
) -> tuple[dict[str, ImageAccumulator | FaceAccumulator], int]:
    """The accumulators with all pictures, and the number of seconds whose picture is that of the second before."""
    accumulators: dict[str, ImageAccumulator | FaceAccumulator] = {}
    for modality in PICTURE_NETWORKS:
        if modality in descriptions:
            accumulators[modality] = ImageAccumulator(networks, modality)
    if "face" in descriptions:
        accumulators["face"] = FaceAccumulator(networks, networks.config.face, probe.shape)
    stale = 0
    for frame in frames:
        stale += not frame.fresh
        for accumulator in accumulators.values():
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
    """Turns pictures of successive seconds into the track of a modality of `PICTURE_NETWORKS`, float32 [T, D]."""

    def __init__(self, networks: Networks, modality: str):
        self._size_px = PICTURE_NETWORKS[modality].image_size_px
        self._rows = networks.rows(modality)
        self._timestamps_us: list[int] = []

    def add(self, frame: SampledFrame) -> None:
        """Takes the picture of the next second."""
        self._rows.add(resize_image(frame.image, self._size_px, self._size_px))
        self._timestamps_us.append(frame.timestamp_us)

    def flush(self) -> None:
        """Begins a new stretch of the film."""
        self._rows.flush()

    def finish(self, description: Mapping[str, Any]) -> FeatureTrack:
        """Runs the rest and returns the track."""
        return FeatureTrack(
            values=self._rows.vectors(),
            present=np.ones((len(self._timestamps_us), 1), np.float32),
            timestamps_us=np.array(self._timestamps_us, np.int64),
            description=description,
        )


class AudioAccumulator:
    """Turns windows of sound of successive seconds into the track of a sound modality, float32 [T, D].

    A second without sound is absent: its values are zero, and no network runs for it.
    """

    def __init__(self, networks: Networks, modality: str, probe: FilmProbe):
        self._rows = networks.rows(modality)
        self._start_us = start_us(probe)
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

    def finish(self, description: Mapping[str, Any]) -> FeatureTrack:
        """Runs the rest and returns the track."""
        vectors, present = self._rows.vectors(), np.array(self._present, bool)
        values = np.zeros((len(present), vectors.shape[1]), np.float32)
        values[present] = vectors
        return FeatureTrack(
            values=values,
            present=present.astype(np.float32)[:, None],
            timestamps_us=self._start_us + 1_000_000 * np.array(self._seconds, np.int64),
            description=description,
        )


def start_us(probe: FilmProbe) -> int:
    """The timestamp of second 0 on the container's clock, in microseconds."""
    return round(probe.first_pts_s * 1_000_000)
