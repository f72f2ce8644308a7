"""A face detector by configuration: an ONNX file over pictures of one size, its candidates, and which of them stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from beam_pipelines.extractors.faces import FaceBox, FaceDetector, boxes_in_picture, check_pictures
from beam_pipelines.extractors.network_config import FaceConfig
from beam_pipelines.extractors.networks.mtcnn.boxes import without_overlaps
from beam_pipelines.extractors.onnx_networks.detector_config import DetectorConfig
from beam_pipelines.extractors.onnx_networks.face_boxes import VALUES
from beam_pipelines.extractors.onnx_networks.first_batch import describe_onnx
from beam_pipelines.extractors.onnx_networks.network import OnnxNetwork
from beam_pipelines.media.video.picture_shape import PictureShape

_MOST = 1000
"""So many of the best candidates of a picture are looked at; comparing each with each takes memory."""


class OnnxFaceDetector:
    """The detector of a section, over pictures in square pixels of any size.

    Args:
        section: `extract.face.detector`.
        threads: compute threads of an operation.
        gpu: whether it runs on a GPU.

    Raises:
        ConfigurationError: as `OnnxNetwork` does.
    """

    def __init__(self, section: DetectorConfig, threads: int = 1, gpu: bool = False):
        self._section = section
        self._network = OnnxNetwork("detector", section, threads, gpu)

    def __call__(self, images: np.ndarray | Sequence[np.ndarray]) -> list[list[FaceBox]]:
        """The faces of each picture, largest area first, for uint8 [n, H, W, 3] RGB, any n.

        Raises:
            ValueError: if shape or type differ.
            NotFiniteError: if a value of the network is infinite or NaN.
        """
        for image in images:
            check_pictures(image[None])
        if not len(images):
            return []
        takes, square = self._section.network_input(), PictureShape()
        found = self._network(np.stack([takes.fit(image, square) for image in images]))
        found = found.reshape(len(images), -1, VALUES)
        return [self._faces(boxes, *image.shape[:2]) for boxes, image in zip(found, images, strict=True)]

    def _faces(self, candidates: np.ndarray, height_px: int, width_px: int) -> list[FaceBox]:
        """The faces among a picture's candidates [N, 5], in the picture's own pixels."""
        takes = self._section.network_input()
        top, left, inner_height, inner_width = takes.inner(height_px, width_px)
        good = candidates[candidates[:, 4] >= self._section.least_score].astype(np.float64)
        good = good[np.argsort(-good[:, 4], kind="stable")][:_MOST]
        corners = good[:, :4] * ([takes.width_px, takes.height_px] * 2) - ([left, top] * 2)
        corners *= [width_px / inner_width, height_px / inner_height] * 2
        boxes = np.column_stack([np.zeros(len(good)), corners, good[:, 4]])
        boxes = boxes[(boxes[:, 3] > boxes[:, 1]) & (boxes[:, 4] > boxes[:, 2])]
        return boxes_in_picture(without_overlaps(boxes, self._section.most_overlap), height_px, width_px)


def describe_detector(face: FaceConfig, memory_mb: int) -> dict[str, Any]:
    """All that determines which faces are found, by MTCNN or by a file, for fingerprints.

    Raises:
        ConfigurationError: as `first_batch` does, for a file.
    """
    if isinstance(face.detector, DetectorConfig):
        return describe_onnx("detector", face.detector, memory_mb)
    detector = FaceDetector.describe(face.thresholds, face.smallest_face, face.pyramid_factor)
    return {**detector, "detect_height_px": face.detect_height_px}
