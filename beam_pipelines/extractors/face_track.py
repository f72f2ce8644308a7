"""From pictures to the face track: the two largest faces of each second, found, cut out and embedded.

pictures ──▶ batches of pictures ──▶ detector ──▶ cut-out faces ──▶ batches of faces ──▶ network ──▶ vectors

Faces wait until their own batch is full, which may take many batches of pictures: most pictures have few faces, and a
batch costs the same however few faces it holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from beam_pipelines.contracts.records.feature_track import FeatureTrack, slots_of
from beam_pipelines.extractors.batching.film_rows import FilmRows
from beam_pipelines.extractors.config import FaceConfig
from beam_pipelines.extractors.faces import FaceBox, FaceDetector, crop_face
from beam_pipelines.extractors.networks.inception_resnet_v1 import InceptionResnetV1Face
from beam_pipelines.media.video.resize import resize_image
from beam_pipelines.media.video.sample_frames import SampledFrame

FACES = slots_of("face")


class FaceNetworks(Protocol):
    """The networks that find faces and embed them."""

    @property
    def detector(self) -> FaceDetector:
        """The network that finds faces."""

    def rows(self, modality: str) -> FilmRows:
        """The object that takes cut-out faces and returns their vectors."""


class FaceAccumulator:
    """Turns pictures of successive seconds into the face track, float32 [T, 2 x 512], largest face first."""

    def __init__(self, networks: FaceNetworks, config: FaceConfig):
        self._networks = networks
        self._config = config
        self._pictures: list[np.ndarray] = []
        self._faces = networks.rows("face")
        # Second and slot of each face in the order in which the network got them.
        self._places: list[tuple[int, int]] = []
        self._boxes: list[np.ndarray] = []
        self._scores: list[np.ndarray] = []
        self._timestamps_us: list[int] = []

    def add(self, frame: SampledFrame) -> None:
        """Takes the picture of the next second."""
        self._pictures.append(frame.image)
        self._timestamps_us.append(frame.timestamp_us)
        if len(self._pictures) == self._config.detector_batch_size:
            self._find()

    def finish(self, description: Mapping[str, Any]) -> FeatureTrack:
        """Runs the waiting pictures and faces, and returns the track."""
        self.flush()
        seconds = len(self._timestamps_us)
        vectors = np.zeros((seconds, FACES, InceptionResnetV1Face.dimensions), np.float32)
        if self._places:
            vectors[tuple(np.transpose(self._places))] = self._faces.vectors()
        scores = np.concatenate(self._scores)
        return FeatureTrack(
            values=vectors.reshape(seconds, -1),
            present=(scores > 0).astype(np.float32),
            timestamps_us=np.array(self._timestamps_us, np.int64),
            description=description,
            boxes=np.concatenate(self._boxes),
            scores=scores,
        )

    def flush(self) -> None:
        """Begins a new stretch of the film: runs the waiting pictures, although their batch isn't full."""
        self._find()
        self._faces.flush()

    def _find(self) -> None:
        """Finds the faces of the waiting pictures, cuts them out and adds them to the network's rows."""
        if not self._pictures:
            return
        images, self._pictures = self._pictures, []
        first = len(self._timestamps_us) - len(images)
        boxes = np.zeros((len(images), FACES, 4), np.float32)
        scores = np.zeros((len(images), FACES), np.float32)
        for number, (image, faces) in enumerate(zip(images, self._detect(images), strict=True)):
            height_px, width_px = image.shape[:2]
            for slot, face in enumerate(faces[:FACES]):
                self._faces.add(crop_face(image, face, self._config.margin, InceptionResnetV1Face.image_size_px))
                self._places.append((first + number, slot))
                boxes[number, slot] = _relative_box(face, width_px, height_px)
                scores[number, slot] = face.score
        self._boxes.append(boxes)
        self._scores.append(scores)

    def _detect(self, images: Sequence[np.ndarray]) -> list[list[FaceBox]]:
        """Finds faces in pictures shrunk to `detect_height_px` lines; boxes are those in the full picture."""
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


def _relative_box(face: FaceBox, width_px: int, height_px: int) -> tuple[float, float, float, float]:
    left, top = face.x_px / width_px, face.y_px / height_px
    return left, top, left + face.width_px / width_px, top + face.height_px / height_px
