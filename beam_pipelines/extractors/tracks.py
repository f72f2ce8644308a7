"""From a film to its feature tracks: the pure heart of the extract job, callable in a REPL.

Each accumulator takes what media yields second by second, runs its network on fixed batches (second t is always
in batch t % 300 // B of its stretch of 300 s, whatever else runs), and ends as a `FeatureTrack`. Memory holds one batch
of pictures, never a film's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from beam_pipelines import quantisation
from beam_pipelines.extractors import weights as weight_files
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.face_track import FACES, FaceAccumulator
from beam_pipelines.extractors.faces import FaceDetector
from beam_pipelines.extractors.inception_resnet_v1 import InceptionResnetV1Face
from beam_pipelines.extractors.inception_v3 import InceptionV3Image
from beam_pipelines.extractors.opensmile_is10 import OpenSmileIS10
from beam_pipelines.extractors.sound_context import centred_windows, seconds_around
from beam_pipelines.extractors.vgg16 import VGG16Image
from beam_pipelines.extractors.vggish import VGGishAudio
from beam_pipelines.extractors.vggish_postprocess import VGGishPostprocessor
from beam_pipelines.media.audio_windows import AudioWindow
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.decoding_process import DecodingProcess
from beam_pipelines.media.probe import FilmProbe, MediaLimits
from beam_pipelines.media.resize import resize_image
from beam_pipelines.media.sample_frames import SampledFrame
from beam_pipelines.media.sound_entry import ENTRY_EVERY_S
from beam_pipelines.records import FeatureTrack

BATCHES_RESTART_EVERY_S = ENTRY_EVERY_S
"""A batch never reaches over these seconds, so that a part of a film is computed in the batches of the whole."""


PICTURE_NETWORKS: Mapping[str, type[InceptionV3Image] | type[VGG16Image]] = {
    "image": InceptionV3Image,
    "vgg16": VGG16Image,
}
"""Modalities that are one vector of the whole picture."""

_PCA = "vggish_pca"
_SMILE_REACH_S = 2
_SMILE_BATCH = 16


class Networks:
    """The networks of a configuration, each built when it is first needed and then kept: one copy a process."""

    def __init__(self, config: ExtractConfig):
        self.config = config

    @cached_property
    def image(self) -> InceptionV3Image:
        """InceptionV3 for the whole picture."""
        config = self.config.image
        return InceptionV3Image(config.weights, config.seed, config.batch_size)

    @cached_property
    def vgg16(self) -> VGG16Image:
        """VGG16 for the whole picture."""
        config = self.config.vgg16
        return VGG16Image(config.weights, config.seed, config.batch_size)

    @cached_property
    def audio(self) -> Callable[[np.ndarray], np.ndarray]:
        """VGGish for the sound; with `postprocess: youtube8m` its vectors as they come back from 8 bits."""
        config = self.config.audio
        network = VGGishAudio(config.weights, config.seed, config.batch_size)
        if config.postprocess == "none":
            return network
        postprocessor = VGGishPostprocessor(_PCA)
        return lambda samples: quantisation.dequantise(postprocessor(network(samples)))

    @cached_property
    def opensmile_is10(self) -> OpenSmileIS10:
        """openSMILE for the sound, in a process of its own."""
        return OpenSmileIS10()

    @cached_property
    def face(self) -> InceptionResnetV1Face:
        """Inception-ResNet-v1 for cut-out faces."""
        config = self.config.face
        return InceptionResnetV1Face(config.weights, config.seed, config.batch_size)

    @cached_property
    def detector(self) -> FaceDetector:
        """MTCNN for finding faces."""
        config = self.config.face
        return FaceDetector(config.thresholds, config.smallest_face, config.pyramid_factor, config.detector_batch_size)


def describe_tracks(config: ExtractConfig) -> dict[str, dict[str, Any]]:
    """Modality -> what its features depend on: the fingerprints' content, without building a network.

    Raises:
        WeightsError: for weights that are not in the cache or not the published ones.
        ConfigurationError: where openSMILE is wanted and isn't installed.
    """
    audio, face = config.audio, config.face
    clock = {"rate_hz": 1, **config.decode.describe(), "resize": "area_or_bilinear"}
    descriptions: dict[str, dict[str, Any]] = {}
    for modality, network in PICTURE_NETWORKS.items():
        if modality in config.modalities:
            settings = getattr(config, modality)
            descriptions[modality] = {**network.describe(settings.weights, settings.seed), **clock}
    if "audio" in config.modalities:
        descriptions["audio"] = {
            **VGGishAudio.describe(audio.weights, audio.seed),
            "rate_hz": 1,
            "mix": "mono_16khz",
            "window_s": audio.window_s,
        }
        if audio.postprocess == "youtube8m":
            descriptions["audio"]["postprocess"] = {"pca": weight_files.identity(_PCA)}
            descriptions["audio"][quantisation.STORED] = quantisation.UINT8
    if "face" in config.modalities:
        detector = FaceDetector.describe(face.thresholds, face.smallest_face, face.pyramid_factor)
        descriptions["face"] = {
            **InceptionResnetV1Face.describe(face.weights, face.seed),
            **clock,
            "detector": {**detector, "detect_height_px": face.detect_height_px},
            "faces": FACES,
            "margin": face.margin,
        }
    if config.encoding == quantisation.FLOAT16:
        for description in descriptions.values():
            description.setdefault(quantisation.STORED, quantisation.FLOAT16)
    if OpenSmileIS10.modality in config.modalities:
        descriptions[OpenSmileIS10.modality] = {**OpenSmileIS10.describe(), "rate_hz": 1, "mix": "mono_16khz"}
    return descriptions


@dataclass(frozen=True, eq=False)
class FilmPart:
    """The features of some seconds of a film.

    Attributes:
        tracks: modality -> track of these seconds.
        without_a_fresh_frame: seconds whose picture is that of the second before; None where no picture was wanted.
        picture, sound: counts of what the decoder met, where it was asked for it.
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
        probe: of that file.
        networks: built with the configuration that the descriptions come from.
        descriptions: modality -> what its track is to say of itself.
        limits: what the decoder may allocate.
        decoder: decodes while the networks compute.
        seconds: without it the whole film. From a multiple of `BATCHES_RESTART_EVERY_S` on, features are bit for bit
            those of the whole film.

    Raises:
        FilmError: when nothing of the film can be decoded.
    """
    seconds = range(probe.seconds) if seconds is None else seconds
    tracks: dict[str, FeatureTrack] = {}
    stale: int | None = None
    picture: DecodeQuality | None = None
    sound: DecodeQuality | None = None
    if descriptions.keys() & {*PICTURE_NETWORKS, "face"}:
        picture = DecodeQuality()
        frames = decoder.pictures(path, probe, seconds, picture, limits, networks.config.decode.mode())
        found, stale = _extract_from_pictures(frames, networks, descriptions)
        tracks.update(found)
    if "audio" in descriptions:
        sound = DecodeQuality()
        settings = networks.config.audio
        windows = decoder.sound(path, probe, seconds, sound, settings.window_s)
        accumulator = AudioAccumulator(networks, "audio", VGGishAudio.dimensions, settings.batch_size)
        tracks["audio"] = accumulator.of(windows, probe, descriptions["audio"])
    if OpenSmileIS10.modality in descriptions:
        counts = DecodeQuality()
        windows = _five_seconds(path, probe, decoder, seconds, counts)
        accumulator = AudioAccumulator(networks, OpenSmileIS10.modality, OpenSmileIS10.dimensions, _SMILE_BATCH)
        tracks[OpenSmileIS10.modality] = accumulator.of(windows, probe, descriptions[OpenSmileIS10.modality])
        sound = sound or counts
    for modality, track in tracks.items():
        if quantisation.stored_form(track.description) == quantisation.FLOAT16:
            tracks[modality] = quantisation.as_stored(track, quantisation.FLOAT16, str(path))
    return FilmPart(tracks, stale, picture, sound)


def _five_seconds(
    path: str | Path, probe: FilmProbe, decoder: DecodingProcess, seconds: range, quality: DecodeQuality
) -> Iterator[AudioWindow]:
    """openSMILE's windows; what is decoded around `seconds` is counted by the part of the film that it belongs to."""
    before, after = seconds_around(seconds, _SMILE_REACH_S, probe.seconds)
    pieces = chain.from_iterable(
        decoder.sound(path, probe, part, counts, 1.0)
        for part, counts in ((before, DecodeQuality()), (seconds, quality), (after, DecodeQuality()))
        if part
    )
    return centred_windows(pieces, seconds, _SMILE_REACH_S)


def _extract_from_pictures(
    frames: Iterable[SampledFrame], networks: Networks, descriptions: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, FeatureTrack], int]:
    accumulators: dict[str, ImageAccumulator | FaceAccumulator] = {}
    for modality in PICTURE_NETWORKS:
        if modality in descriptions:
            accumulators[modality] = ImageAccumulator(networks, modality)
    if "face" in descriptions:
        accumulators["face"] = FaceAccumulator(networks, networks.config.face)
    stale = 0
    for frame in frames:
        stale += not frame.fresh
        for accumulator in accumulators.values():
            if frame.t % BATCHES_RESTART_EVERY_S == 0:
                accumulator.flush()
            accumulator.add(frame)
    return {
        modality: accumulator.finish(descriptions[modality]) for modality, accumulator in accumulators.items()
    }, stale


class ImageAccumulator:
    """Pictures of successive seconds -> the track of a modality of `PICTURE_NETWORKS`, float32 [T, D]."""

    def __init__(self, networks: Networks, modality: str):
        self._networks = networks
        self._modality = modality
        self._size_px = PICTURE_NETWORKS[modality].image_size_px
        self._batch_size: int = getattr(networks.config, modality).batch_size
        self._waiting: list[np.ndarray] = []
        self._vectors: list[np.ndarray] = []
        self._timestamps_us: list[int] = []

    def add(self, frame: SampledFrame) -> None:
        """Takes the picture of the next second."""
        self._waiting.append(resize_image(frame.image, self._size_px, self._size_px))
        self._timestamps_us.append(frame.timestamp_us)
        if len(self._waiting) == self._batch_size:
            self.flush()

    def finish(self, description: Mapping[str, Any]) -> FeatureTrack:
        """Runs what is left and returns the track."""
        self.flush()
        steps = len(self._timestamps_us)
        return FeatureTrack(
            values=np.concatenate(self._vectors),
            present=np.ones((steps, 1), np.float32),
            timestamps_us=np.array(self._timestamps_us, np.int64),
            description=description,
        )

    def flush(self) -> None:
        """Runs what is waiting, though the batch isn't full."""
        if self._waiting:
            self._vectors.append(getattr(self._networks, self._modality)(np.stack(self._waiting)))
            self._waiting = []


class AudioAccumulator:
    """Sound windows of successive seconds -> the track of a sound modality, float32 [T, D]; no sound is absent."""

    def __init__(self, networks: Networks, modality: str, dimensions: int, batch_size: int):
        self._networks = networks
        self._modality = modality
        self._dimensions = dimensions
        self._batch_size = batch_size
        self._seconds: list[int] = []
        self._waiting: list[np.ndarray] = []
        self._vectors: list[np.ndarray] = []
        self._present: list[bool] = []

    def add(self, window: AudioWindow) -> None:
        """Takes the samples of the next second."""
        self._waiting.append(window.samples)
        self._present.append(window.present)
        self._seconds.append(window.t)
        if len(self._waiting) == self._batch_size:
            self.flush()

    def of(self, windows: Iterable[AudioWindow], probe: FilmProbe, description: Mapping[str, Any]) -> FeatureTrack:
        """Runs all windows and returns the track."""
        for window in windows:
            if window.t % BATCHES_RESTART_EVERY_S == 0:
                self.flush()
            self.add(window)
        self.flush()
        present = np.array(self._present, np.float32)[:, None]
        return FeatureTrack(
            values=np.concatenate(self._vectors) * present,
            present=present,
            timestamps_us=start_us(probe) + 1_000_000 * np.array(self._seconds, np.int64),
            description=description,
        )

    def flush(self) -> None:
        """Runs what is waiting, though the batch isn't full."""
        if not self._waiting:
            return
        if any(self._present[-len(self._waiting) :]):
            self._vectors.append(getattr(self._networks, self._modality)(np.stack(self._waiting)))
        else:
            # A film without sound costs no network; the vectors would be multiplied by zero anyway.
            self._vectors.append(np.zeros((len(self._waiting), self._dimensions), np.float32))
        self._waiting = []


def start_us(probe: FilmProbe) -> int:
    """The timestamp of second 0 on the container's clock, in microseconds."""
    return round(probe.first_pts_s * 1_000_000)
