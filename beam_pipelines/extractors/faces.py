"""Faces in a picture: finding them (MTCNN; `onnx_networks.detector` for others), and cutting them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beam_pipelines.extractors.batching.fixed_batch import fixed_batches
from beam_pipelines.extractors.networks.engine import Engine
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.media.video.resize import resize_image

CROP_MARGIN = 0.2
"""The default margin of `crop_face`."""

SMALLEST_FACE = 0.042
"""The default smallest face as a share of the picture's height: 20 px of 480, MTCNN's own default at 480 lines."""


@dataclass(frozen=True)
class FaceBox:
    """A face in a picture: the half-open rectangle [x, x + width) x [y, y + height), inside the picture, in pixels.

    Attributes:
        x_px, y_px: left and top edge.
        width_px, height_px: at least 1.
        score: the detector's confidence, between its last threshold and 1.
    """

    x_px: int
    y_px: int
    width_px: int
    height_px: int
    score: float

    @property
    def area_px2(self) -> int:
        """Width times height."""
        return self.width_px * self.height_px

    def scaled(self, horizontally: float, vertically: float) -> FaceBox:
        """The box in a picture of another size; edges are rounded, so that it stays inside."""
        left, top = round(self.x_px * horizontally), round(self.y_px * vertically)
        right = max(left + 1, round((self.x_px + self.width_px) * horizontally))
        bottom = max(top + 1, round((self.y_px + self.height_px) * vertically))
        return FaceBox(left, top, right - left, bottom - top, self.score)


class FaceDetector:
    """MTCNN over pictures of one size.

    Args:
        thresholds: smallest score after each of the three networks.
        smallest_face: side of the smallest face to find, as a share of the picture's height; faces smaller than 12 px
            are never found.
        pyramid_factor: ratio of one scale of the image pyramid to the one before, between 0 and 1.
        batch_size: pictures of every batch, the last one filled with black ones; a picture's boxes do not depend on
            the other pictures of its batch.
        device: TensorFlow's name of the device, `CPU:0` or `GPU:0`; ONNX Runtime's networks run on processors only.
        engine: what runs the networks; TensorFlow on a GPU in any case.
        threads: ONNX Runtime's compute threads of an operation.

    Raises:
        ConfigurationError: if a setting is out of range, or TensorFlow runs them and isn't Keras's backend.
        WeightsError: if the weight files in the package `mtcnn` aren't the known ones.
    """

    def __init__(
        self,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.8),
        smallest_face: float = SMALLEST_FACE,
        pyramid_factor: float = 0.709,
        batch_size: int = 8,
        device: str = "CPU:0",
        engine: Engine = "onnxruntime",
        threads: int = 1,
    ):
        from beam_pipelines.extractors.networks.mtcnn import cascade

        if len(thresholds) != 3 or not all(0 <= threshold <= 1 for threshold in thresholds):
            raise ConfigurationError(f"thresholds must be three numbers from 0 to 1, they are {thresholds}")
        if not 0 < smallest_face <= 1:
            raise ConfigurationError(f"smallest_face must be a share of the picture's height, it is {smallest_face}")
        if not 0 < pyramid_factor < 1:
            raise ConfigurationError(f"pyramid_factor must lie between 0 and 1, it is {pyramid_factor}")
        if batch_size < 1:
            raise ConfigurationError(f"batch_size must be at least 1, it is {batch_size}")
        self.thresholds = thresholds
        self.smallest_face = smallest_face
        self.pyramid_factor = pyramid_factor
        self.batch_size = batch_size
        self._cascade = cascade.Cascade(_networks(cascade.read_weight_files(), device, engine, threads))

    def __call__(self, images: np.ndarray | Sequence[np.ndarray]) -> list[list[FaceBox]]:
        """The faces of each picture, largest area first, for uint8 [n, H, W, 3] RGB, any n.

        Raises:
            ValueError: if shape or type differ.
        """
        images = np.asarray(images)
        check_pictures(images)
        smallest_px = smallest_face_px(images.shape[1], self.smallest_face)
        faces: list[list[FaceBox]] = []
        for batch, real in fixed_batches(images, self.batch_size):
            found = self._cascade(batch, self.thresholds, smallest_px, self.pyramid_factor)
            faces += [boxes_in_picture(boxes, *images.shape[1:3]) for boxes in found[:real]]
        return faces

    def description(self) -> dict[str, Any]:
        """All settings that determine the boxes, for fingerprints."""
        return self.describe(self.thresholds, self.smallest_face, self.pyramid_factor)

    @staticmethod
    def describe(thresholds: tuple[float, float, float], smallest_face: float, pyramid_factor: float) -> dict[str, Any]:
        """The same as `description`, without building the networks."""
        from beam_pipelines.extractors.networks.mtcnn.cascade import weights_digest

        return {
            "network": "mtcnn",
            "weights": weights_digest(),
            "thresholds": list(thresholds),
            "smallest_face": smallest_face,
            "pyramid_factor": pyramid_factor,
            "precision": "float32",
        }


def check_pictures(images: np.ndarray) -> None:
    """Refuses everything except uint8 [n, H, W, 3].

    Raises:
        ValueError: if shape or type differ; the text names them.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"pictures of shape {list(images.shape)} and type {images.dtype}: wanted uint8 [n, H, W, 3]")


def _networks(weights: Mapping[str, bytes], device: str, engine: Engine, threads: int) -> Any:
    if engine == "tensorflow" or not device.startswith("CPU"):
        from beam_pipelines.extractors.networks.mtcnn.on_tensorflow import TensorFlowNetworks

        return TensorFlowNetworks(weights, device)
    from beam_pipelines.extractors.networks.mtcnn.on_onnx import OnnxNetworks

    return OnnxNetworks(weights, threads)


def smallest_face_px(height_px: int, share: float) -> int:
    """The side of the smallest face to find in a picture of `height_px` lines; at least what MTCNN can see."""
    from beam_pipelines.extractors.networks.mtcnn.cascade import CELL_PX

    return max(CELL_PX, round(share * height_px))


def crop_face(image: np.ndarray, box: FaceBox, margin: float = CROP_MARGIN, size_px: int = 160) -> np.ndarray:
    """Cuts a face out with a margin and scales it to a square, as FaceNet's preparation does.

    Args:
        image: uint8 [H, W, 3].
        box: the face.
        margin: how much wider and higher than the box the crop is, as a share of the box, half of it on each side. The
            crop ends at the picture's border.
        size_px: side of the result.

    Returns:
        uint8 [size_px, size_px, 3].

    Raises:
        ValueError: if the margin is negative or the box lies outside the picture.
    """
    if margin < 0:
        raise ValueError(f"margin must not be negative, it is {margin}")
    height_px, width_px = image.shape[:2]
    beside, above = box.width_px * margin / 2, box.height_px * margin / 2
    left, right = max(0, round(box.x_px - beside)), min(width_px, round(box.x_px + box.width_px + beside))
    top, bottom = max(0, round(box.y_px - above)), min(height_px, round(box.y_px + box.height_px + above))
    if left >= right or top >= bottom:
        raise ValueError(f"{box} lies outside a picture of {width_px} x {height_px} px")
    return resize_image(image[top:bottom, left:right], size_px, size_px)


def boxes_in_picture(boxes: np.ndarray, height_px: int, width_px: int) -> list[FaceBox]:
    """Clips float boxes [k, 6] to the picture and rounds them; largest first, then by score and place."""
    clipped = np.clip(boxes[:, 1:5], 0, [width_px - 1, height_px - 1] * 2)
    rounded = np.stack([clipped[:, 0], clipped[:, 1], clipped[:, 2] - clipped[:, 0], clipped[:, 3] - clipped[:, 1]], 1)
    faces = [
        FaceBox(x, y, width, height, float(score))
        for (x, y, width, height), score in zip(rounded.round().astype(int).tolist(), boxes[:, 5], strict=True)
        if width > 0 and height > 0
    ]
    return sorted(faces, key=lambda face: (-face.area_px2, -face.score, face.x_px, face.y_px))
