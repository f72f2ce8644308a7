"""From a film to its feature tracks: the pure heart of the extract job, callable in a REPL.

Each accumulator takes what media yields second by second, runs its network on fixed batches (second t is always in
batch t // B, whatever else runs), and ends as a `FeatureTrack`. Memory holds one batch of pictures, never a film's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from beam_pipelines.extractors.config import AudioConfig, ExtractConfig, FaceConfig, ImageConfig
from beam_pipelines.extractors.faces import FaceBox, FaceDetector, crop_face
from beam_pipelines.extractors.inception_resnet_v1 import InceptionResnetV1Face
from beam_pipelines.extractors.inception_v3 import InceptionV3Image
from beam_pipelines.extractors.vggish import VGGishAudio
from beam_pipelines.media.audio_windows import AudioWindow, audio_windows
from beam_pipelines.media.damage import describe_damage, refuse_too_damaged
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import FilmProbe, MediaLimits
from beam_pipelines.media.resize import resize_image
from beam_pipelines.media.sample_frames import SampledFrame, sample_frames
from beam_pipelines.records import FeatureTrack, slots_of

FACES = slots_of("face")


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
    def audio(self) -> VGGishAudio:
        """VGGish for the sound."""
        config = self.config.audio
        return VGGishAudio(config.weights, config.seed, config.batch_size)

    @cached_property
    def face(self) -> InceptionResnetV1Face:
        """Inception-ResNet-v1 for cut-out faces."""
        config = self.config.face
        return InceptionResnetV1Face(config.weights, config.seed, config.batch_size)

    @cached_property
    def detector(self) -> FaceDetector:
        """MTCNN for finding faces."""
        config = self.config.face
        return FaceDetector(
            config.thresholds, config.smallest_face_px, config.pyramid_factor, config.detector_batch_size
        )


def describe_tracks(config: ExtractConfig) -> dict[str, dict[str, Any]]:
    """Modality -> what its features depend on: the fingerprints' content, without building a network.

    Raises:
        WeightsError: for weights that are not in the cache or not the published ones.
    """
    image, audio, face = config.image, config.audio, config.face
    clock = {"rate_hz": 1, **config.decode.describe(), "resize": "area_or_bilinear"}
    descriptions: dict[str, dict[str, Any]] = {}
    if "image" in config.modalities:
        descriptions["image"] = {**InceptionV3Image.describe(image.weights, image.seed), **clock}
    if "audio" in config.modalities:
        descriptions["audio"] = {
            **VGGishAudio.describe(audio.weights, audio.seed),
            "rate_hz": 1,
            "mix": "mono_16khz",
            "window_s": audio.window_s,
        }
    if "face" in config.modalities:
        detector = FaceDetector.describe(face.thresholds, face.smallest_face_px, face.pyramid_factor)
        descriptions["face"] = {
            **InceptionResnetV1Face.describe(face.weights, face.seed),
            **clock,
            "detector": {**detector, "detect_height_px": face.detect_height_px},
            "faces": FACES,
            "margin": face.margin,
        }
    return descriptions


def extract_tracks(
    path: str | Path,
    probe: FilmProbe,
    networks: Networks,
    descriptions: Mapping[str, Mapping[str, Any]],
    limits: MediaLimits,
) -> tuple[dict[str, FeatureTrack], dict[str, dict[str, Any]]]:
    """Extracts the modalities that `descriptions` names from one film.

    Args:
        path: a local file.
        probe: of that file.
        networks: built with the configuration that the descriptions come from.
        descriptions: modality -> what its track is to say of itself.
        limits: what the decoder may allocate.

    Returns:
        Modality -> track of `probe.seconds` steps; and `film` -> what the probe found, `picture` and `sound`, where
        they were decoded, -> counts of what the decoder met.

    Raises:
        FilmError: when nothing of the film can be decoded, or more is damaged than `decode.max_damaged_share`.
    """
    tracks: dict[str, FeatureTrack] = {}
    quality: dict[str, dict[str, Any]] = {"film": describe_damage(probe)}
    if "image" in descriptions or "face" in descriptions:
        found, quality["picture"] = _extract_from_pictures(path, probe, networks, descriptions, limits)
        tracks.update(found)
    if "audio" in descriptions:
        tracks["audio"], quality["sound"] = _extract_from_sound(path, probe, networks, descriptions["audio"])
    return tracks, quality


def _extract_from_pictures(
    path: str | Path,
    probe: FilmProbe,
    networks: Networks,
    descriptions: Mapping[str, Mapping[str, Any]],
    limits: MediaLimits,
) -> tuple[dict[str, FeatureTrack], dict[str, int]]:
    accumulators: dict[str, ImageAccumulator | FaceAccumulator] = {}
    if "image" in descriptions:
        accumulators["image"] = ImageAccumulator(networks, networks.config.image)
    if "face" in descriptions:
        accumulators["face"] = FaceAccumulator(networks, networks.config.face)
    counts = DecodeQuality()
    stale = 0
    mode = networks.config.decode.mode()
    for frame in sample_frames(path, probe, quality=counts, limits=limits, mode=mode):
        stale += not frame.fresh
        for accumulator in accumulators.values():
            accumulator.add(frame)
    tracks = {modality: accumulator.finish(descriptions[modality]) for modality, accumulator in accumulators.items()}
    refuse_too_damaged(str(path), "picture", counts, networks.config.decode.max_damaged_share)
    return tracks, {**asdict(counts), "seconds_without_a_fresh_frame": stale}


def _extract_from_sound(
    path: str | Path, probe: FilmProbe, networks: Networks, description: Mapping[str, Any]
) -> tuple[FeatureTrack, dict[str, int]]:
    accumulator = AudioAccumulator(networks, networks.config.audio, probe)
    counts = DecodeQuality()
    for window in audio_windows(path, probe, window_s=networks.config.audio.window_s, quality=counts):
        accumulator.add(window)
    refuse_too_damaged(str(path), "sound", counts, networks.config.decode.max_damaged_share)
    return accumulator.finish(description), asdict(counts)


class ImageAccumulator:
    """Pictures of successive seconds -> the image track, float32 [T, 2048]."""

    def __init__(self, networks: Networks, config: ImageConfig):
        self._networks = networks
        self._batch_size = config.batch_size
        self._waiting: list[np.ndarray] = []
        self._vectors: list[np.ndarray] = []
        self._timestamps_us: list[int] = []

    def add(self, frame: SampledFrame) -> None:
        """Takes the picture of the next second."""
        size_px = InceptionV3Image.image_size_px
        self._waiting.append(resize_image(frame.image, size_px, size_px))
        self._timestamps_us.append(frame.timestamp_us)
        if len(self._waiting) == self._batch_size:
            self._run()

    def finish(self, description: Mapping[str, Any]) -> FeatureTrack:
        """Runs what is left and returns the track."""
        self._run()
        steps = len(self._timestamps_us)
        return FeatureTrack(
            values=np.concatenate(self._vectors),
            present=np.ones((steps, 1), np.float32),
            timestamps_us=np.array(self._timestamps_us, np.int64),
            description=description,
        )

    def _run(self) -> None:
        if self._waiting:
            self._vectors.append(self._networks.image(np.stack(self._waiting)))
            self._waiting = []


class AudioAccumulator:
    """Sound windows of successive seconds -> the audio track, float32 [T, 128]; silence of no sound is absent."""

    def __init__(self, networks: Networks, config: AudioConfig, probe: FilmProbe):
        self._networks = networks
        self._batch_size = config.batch_size
        self._start_us = start_us(probe)
        self._waiting: list[np.ndarray] = []
        self._vectors: list[np.ndarray] = []
        self._present: list[bool] = []

    def add(self, window: AudioWindow) -> None:
        """Takes the samples of the next second."""
        self._waiting.append(window.samples)
        self._present.append(window.present)
        if len(self._waiting) == self._batch_size:
            self._run()

    def finish(self, description: Mapping[str, Any]) -> FeatureTrack:
        """Runs what is left and returns the track."""
        self._run()
        present = np.array(self._present, np.float32)[:, None]
        return FeatureTrack(
            values=np.concatenate(self._vectors) * present,
            present=present,
            timestamps_us=self._start_us + 1_000_000 * np.arange(len(present), dtype=np.int64),
            description=description,
        )

    def _run(self) -> None:
        if not self._waiting:
            return
        if any(self._present[-len(self._waiting) :]):
            self._vectors.append(self._networks.audio(np.stack(self._waiting)))
        else:
            # A film without sound costs no network; the vectors would be multiplied by zero anyway.
            self._vectors.append(np.zeros((len(self._waiting), VGGishAudio.dimensions), np.float32))
        self._waiting = []


class FaceAccumulator:
    """Pictures of successive seconds -> the face track, float32 [T, 2 x 512], largest face first."""

    def __init__(self, networks: Networks, config: FaceConfig):
        self._networks = networks
        self._config = config
        self._waiting: list[np.ndarray] = []
        self._vectors: list[np.ndarray] = []
        self._boxes: list[np.ndarray] = []
        self._scores: list[np.ndarray] = []
        self._timestamps_us: list[int] = []

    def add(self, frame: SampledFrame) -> None:
        """Takes the picture of the next second."""
        self._waiting.append(frame.image)
        self._timestamps_us.append(frame.timestamp_us)
        if len(self._waiting) == self._config.detector_batch_size:
            self._run()

    def finish(self, description: Mapping[str, Any]) -> FeatureTrack:
        """Runs what is left and returns the track."""
        self._run()
        scores = np.concatenate(self._scores)
        return FeatureTrack(
            values=np.concatenate(self._vectors),
            present=(scores > 0).astype(np.float32),
            timestamps_us=np.array(self._timestamps_us, np.int64),
            description=description,
            boxes=np.concatenate(self._boxes),
            scores=scores,
        )

    def _run(self) -> None:
        if not self._waiting:
            return
        images, self._waiting = self._waiting, []
        found = self._detect(images)
        boxes = np.zeros((len(images), FACES, 4), np.float32)
        scores = np.zeros((len(images), FACES), np.float32)
        crops, places = [], []
        for second, (image, faces) in enumerate(zip(images, found, strict=True)):
            height_px, width_px = image.shape[:2]
            for slot, face in enumerate(faces[:FACES]):
                crops.append(crop_face(image, face, self._config.margin, InceptionResnetV1Face.image_size_px))
                places.append((second, slot))
                boxes[second, slot] = _relative_box(face, width_px, height_px)
                scores[second, slot] = face.score
        vectors = np.zeros((len(images), FACES, InceptionResnetV1Face.dimensions), np.float32)
        if crops:
            vectors[tuple(np.transpose(places))] = self._networks.face(np.stack(crops))
        self._vectors.append(vectors.reshape(len(images), -1))
        self._boxes.append(boxes)
        self._scores.append(scores)

    def _detect(self, images: Sequence[np.ndarray]) -> list[list[FaceBox]]:
        """Finds faces on pictures shrunk to `detect_height_px` lines; boxes come back on the full picture."""
        height_px, width_px = images[0].shape[:2]
        scale = min(1.0, self._config.detect_height_px / height_px)
        if scale == 1.0:
            return self._networks.detector(np.stack(images))
        small_height_px, small_width_px = round(height_px * scale), max(1, round(width_px * scale))
        small = np.stack([resize_image(image, small_height_px, small_width_px) for image in images])
        return [
            [face.scaled(width_px / small_width_px, height_px / small_height_px) for face in faces]
            for faces in self._networks.detector(small)
        ]


def start_us(probe: FilmProbe) -> int:
    """The timestamp of second 0 on the container's clock, in microseconds."""
    return round(probe.first_pts_s * 1_000_000)


def _relative_box(face: FaceBox, width_px: int, height_px: int) -> tuple[float, float, float, float]:
    left, top = face.x_px / width_px, face.y_px / height_px
    return left, top, left + face.width_px / width_px, top + face.height_px / height_px
