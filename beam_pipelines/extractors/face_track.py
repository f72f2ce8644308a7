"""From pictures to the face track: the two largest faces of each second, found, cut out and embedded.

pictures ──▶ batches of pictures ──▶ detector ──▶ cut-out faces ──▶ batches of faces ──▶ network ──▶ vectors

Faces are looked for in square pixels and in the lines of one moment, as `PictureShape` has them; they are cut out of
the same lines. Faces wait until their own batch is full, which may take many batches of pictures: most pictures have
few faces, and a batch costs the same however few faces it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from beam_pipelines.contracts.records.feature_track import FeatureTrack, slots_of
from beam_pipelines.extractors.batching.film_rows import FilmRows
from beam_pipelines.extractors.config import FaceConfig
from beam_pipelines.extractors.faces import FaceBox, crop_face
from beam_pipelines.extractors.network_inputs import FaceInput
from beam_pipelines.foundation.stage_times import stage
from beam_pipelines.media.video.picture_shape import PictureShape
from beam_pipelines.media.video.resize import resize_image
from beam_pipelines.media.video.sample_frames import SampledFrame

FACES = slots_of("face")


class FaceNetworks(Protocol):
    """The networks that find faces and embed them."""

    @property
    def detector(self) -> Callable[[Sequence[np.ndarray]], list[list[FaceBox]]]:
        """What finds the faces of pictures uint8 [H, W, 3] of one size in square pixels."""

    def rows(self, modality: str) -> FilmRows:
        """The object that takes cut-out faces and returns their vectors."""


class FaceAccumulator:
    """Turns pictures of successive seconds into tracks of faces, float32 [T, 2 x D], largest face first.

    Faces are found once, however many networks take them.
    """

    def __init__(self, networks: FaceNetworks, config: FaceConfig, shape: PictureShape, takes: Mapping[str, FaceInput]):
        self._networks = networks
        self._config = config
        self._shape = shape
        self._pictures: list[np.ndarray] = []
        self._takes = takes
        self._faces = {modality: networks.rows(modality) for modality in takes}
        # Second and slot of each face in the order in which the network got them.
        self._places: list[tuple[int, int]] = []
        self._boxes: list[np.ndarray] = []
        self._scores: list[np.ndarray] = []
        self._timestamps_us: list[int] = []

    def add(self, frame: SampledFrame) -> None:
        """Takes the picture of the next second."""
        self._pictures.append(self._shape.one_moment(frame.image))
        self._timestamps_us.append(frame.timestamp_us)
        if len(self._pictures) == self._config.detector_batch_size:
            self._find()

    def finish(self, descriptions: Mapping[str, Mapping[str, Any]]) -> dict[str, FeatureTrack]:
        """Runs the waiting pictures and faces, and returns the track of each modality."""
        self.flush()
        return {modality: self._track(rows.vectors(), descriptions[modality]) for modality, rows in self._faces.items()}

    def _track(self, found: np.ndarray, description: Mapping[str, Any]) -> FeatureTrack:
        seconds = len(self._timestamps_us)
        vectors = np.zeros((seconds, FACES, found.shape[1]), np.float32)
        if self._places:
            vectors[tuple(np.transpose(self._places))] = found
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
        for rows in self._faces.values():
            rows.flush()

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
                for modality, takes in self._takes.items():
                    self._faces[modality].add(crop_face(image, face, takes.margin, takes.size_px))
                self._places.append((first + number, slot))
                boxes[number, slot] = self._relative_box(face, width_px, height_px)
                scores[number, slot] = face.score
        self._boxes.append(boxes)
        self._scores.append(scores)

    def _detect(self, images: Sequence[np.ndarray]) -> list[list[FaceBox]]:
        """Finds faces in square pixels, in as many as MTCNN gets; boxes are those in the images' own pixels."""
        height_px, width_px = images[0].shape[:2]
        sides_px = self._shape.square_size_px(height_px, width_px, self._config.most_lines)
        if sides_px == (height_px, width_px):
            return self._faces_in(images)
        small = [resize_image(image, *sides_px) for image in images]
        return [
            [face.scaled(width_px / sides_px[1], height_px / sides_px[0]) for face in faces]
            for faces in self._faces_in(small)
        ]

    def _faces_in(self, pictures: Sequence[np.ndarray]) -> list[list[FaceBox]]:
        with stage("face detector", len(pictures), sum(picture.nbytes for picture in pictures)):
            return self._networks.detector(pictures)

    def _relative_box(self, face: FaceBox, width_px: int, height_px: int) -> tuple[float, float, float, float]:
        """The box as shares of the whole picture."""
        left, top = face.x_px / width_px, face.y_px / height_px
        right, bottom = left + face.width_px / width_px, top + face.height_px / height_px
        return (*self._shape.share_of_picture(left, top), *self._shape.share_of_picture(right, bottom))
