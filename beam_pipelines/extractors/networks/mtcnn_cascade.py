"""The three networks of MTCNN (Zhang et al. 2016), run so that a picture's boxes depend on that picture alone.

Networks, weights and box arithmetic are those of the package `mtcnn`. Only the code that runs them is ours, for four
reasons:

- the package unpickles `./pnet.lz4` of the working directory if it exists. Here the package's own files are read once,
  their sha256 is compared, and exactly those bytes are loaded;
- it treats every `InvalidArgumentError` as "no face". With a smallest face of 60 px its image pyramid has steps too
  small for the first network, so it never finds a face. Our pyramid ends in time, and errors stay errors;
- it gives all candidates of a batch to the second and third network at once, in a shape that depends on all pictures;
  here they run in blocks of one size;
- it sorts the candidates of all pictures together; here each picture is sorted separately.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterator, Mapping
from importlib import resources
from types import MappingProxyType
from typing import Any

import numpy as np

from beam_pipelines.foundation.errors import ConfigurationError, WeightsError

PACKAGE = "mtcnn"
WEIGHT_FILES: Mapping[str, str] = MappingProxyType(
    {
        "pnet.lz4": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
        "rnet.lz4": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
        "onet.lz4": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
    }
)
"""sha256 of the weight files inside the package `mtcnn` 1.0.0."""

CELL_PX, CELL_STEP_PX = 12, 2
"""The side of the first network's field, which is the smallest face at scale 1, and the step to the next field."""

OVERLAP_IN_SCALE, OVERLAP_ACROSS_SCALES, OVERLAP_REFINED = 0.5, 0.7, 0.7
REFINE_SIZE_PX, REFINE_BLOCK = 24, 128
OUTPUT_SIZE_PX, OUTPUT_BLOCK = 48, 16

NO_BOXES = np.empty((0, 6))
"""Boxes are float64 [k, 6]: picture, x1, y1, x2, y2 (px), score."""


def read_weight_file(name: str) -> bytes:
    """The bytes of one of the package's weight files, whose hash is compared.

    Raises:
        WeightsError: if the installed file isn't the known one; the text names file and hash.
    """
    file = resources.files(PACKAGE).joinpath("assets", "weights", name)
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise WeightsError(f"{file}: absent; install mtcnn==1.0.0 again") from error
    found = hashlib.sha256(content).hexdigest()
    if found != WEIGHT_FILES[name]:
        raise WeightsError(
            f"{file}: sha256 {found}, not {WEIGHT_FILES[name]}: not loaded, since loading would execute what the file "
            f"says; install mtcnn==1.0.0 again"
        )
    return content


def weights_digest() -> str:
    """One sha256 for the three files together, for fingerprints."""
    return hashlib.sha256("".join(WEIGHT_FILES[name] for name in sorted(WEIGHT_FILES)).encode()).hexdigest()


def pyramid_scales(height_px: int, width_px: int, smallest_face_px: int, factor: float) -> list[float]:
    """The scales of the image pyramid: 12 / smallest face, then smaller by `factor` down to a side of 12 px."""
    first = CELL_PX / smallest_face_px
    steps = math.log(CELL_PX / (min(height_px, width_px) * first)) / math.log(factor)
    return [first * factor**step for step in range(math.floor(steps + 1e-9) + 1)] if steps > -1e-9 else []


class Cascade:
    """The three networks on one device.

    Args:
        device: TensorFlow's name of the device, `CPU:0` or `GPU:0`.

    Raises:
        WeightsError: if the package's weight files aren't the known ones.
        ConfigurationError: if Keras has another backend than TensorFlow.
    """

    def __init__(self, device: str = "CPU:0"):
        import keras

        if keras.config.backend() != "tensorflow":
            raise ConfigurationError(
                f"the face detector (mtcnn) runs on TensorFlow only, KERAS_BACKEND is {keras.config.backend()}"
            )
        contents = {name: read_weight_file(name) for name in WEIGHT_FILES}
        import joblib
        import tensorflow as tf
        from mtcnn.network.onet import ONet
        from mtcnn.network.pnet import PNet
        from mtcnn.network.rnet import RNet

        self._device = device
        networks = []
        with tf.device(device):
            for kind, name in ((PNet, "pnet.lz4"), (RNet, "rnet.lz4"), (ONet, "onet.lz4")):
                network = kind()
                network.build()
                network.set_weights(joblib.load(io.BytesIO(contents[name])))
                # One graph for all sizes of pictures: tracing at every step of every pyramid would cost more.
                anything = tf.TensorSpec([None, None, None, 3], tf.float32)
                networks.append(tf.function(network, input_signature=[anything]))
        self._propose_network, self._refine_network, self._output_network = networks

    def __call__(
        self, images: np.ndarray, thresholds: tuple[float, float, float], smallest_face_px: int, pyramid_factor: float
    ) -> list[np.ndarray]:
        """Finds the faces of a batch.

        Args:
            images: uint8 [n, H, W, 3] RGB.
            thresholds: smallest score after each network.
            smallest_face_px: side of the smallest face to find.
            pyramid_factor: ratio of one scale of the image pyramid to the one before.

        Returns:
            The boxes of each image, float64 [k, 6], best score first, not yet clipped to the image.
        """
        import tensorflow as tf
        from mtcnn.utils.bboxes import resize_to_square

        scales = pyramid_scales(images.shape[1], images.shape[2], smallest_face_px, pyramid_factor)
        with tf.device(self._device):
            pixels = tf.constant((images.astype(np.float32) - 127.5) / 128.0)
            boxes = resize_to_square(self._propose(pixels, scales, thresholds[0]))
            boxes = self._judge(self._refine_network, pixels, boxes, REFINE_SIZE_PX, REFINE_BLOCK)
            boxes = resize_to_square(_keep(boxes, thresholds[1], "union"))
            boxes = self._judge(self._output_network, pixels, boxes, OUTPUT_SIZE_PX, OUTPUT_BLOCK)
            boxes = _keep(boxes, thresholds[2], "min")
        return [boxes[boxes[:, 0] == number] for number in range(len(images))]

    def _propose(self, pixels: Any, scales: list[float], threshold: float) -> np.ndarray:
        """The first network's candidates over the whole image pyramid, picture by picture."""
        import tensorflow as tf
        from mtcnn.utils.bboxes import smart_nms_from_bboxes

        found: list[list[np.ndarray]] = [[] for _ in range(pixels.shape[0])]
        for scale in scales:
            size = [int(pixels.shape[1] * scale), int(pixels.shape[2] * scale)]
            offsets, scores = self._propose_network(tf.image.resize(pixels, size, tf.image.ResizeMethod.AREA))
            offsets, scores = offsets.numpy(), scores.numpy()[..., 1]
            for number, boxes in enumerate(found):
                here = _candidates(number, offsets[number], scores[number], threshold)
                if len(here):
                    here[:, 1:5] /= scale
                    boxes.append(smart_nms_from_bboxes(here, OVERLAP_IN_SCALE, initial_sort=False))
        kept = [
            smart_nms_from_bboxes(np.concatenate(boxes), OVERLAP_ACROSS_SCALES, initial_sort=True)
            for boxes in found
            if boxes
        ]
        return np.concatenate(kept) if kept else NO_BOXES

    def _judge(self, network: Any, pixels: Any, boxes: np.ndarray, size_px: int, block: int) -> np.ndarray:
        """Cuts the boxes out, gives them a network's scores and moves them by its offsets."""
        from mtcnn.utils.bboxes import adjust_bboxes
        from mtcnn.utils.images import extract_patches

        judged = []
        for part, real in _blocks(boxes, block):
            answers = network(extract_patches(pixels, part, expected_size=(size_px, size_px)))
            part[:, 5] = answers[-1][:, 1]
            judged.append(adjust_bboxes(part, answers[0].numpy())[:real])
        return np.concatenate(judged) if judged else NO_BOXES


def _candidates(number: int, offsets: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """The boxes of one picture's cells that score above a threshold, best first.

    They equal those of the package's `generate_bounding_box` to the bit, but are computed in NumPy: slicing a picture
    out of TensorFlow's result costs more than all of this, and most pictures have no such cell at most scales.
    """
    rows, columns = np.nonzero(scores > threshold)
    if not len(rows):
        return NO_BOXES
    corners = np.stack([columns, rows, columns, rows], 1) * CELL_STEP_PX + [1, 1, CELL_PX, CELL_PX]
    moved = corners + offsets[rows, columns].astype(np.float64) * (CELL_PX - 1)
    found = scores[rows, columns]
    boxes = np.column_stack([np.full(len(rows), number), moved, found])
    return boxes[np.argsort(found.astype(np.float64))[::-1]]


def _keep(boxes: np.ndarray, threshold: float, overlap: str) -> np.ndarray:
    """The boxes above a score, without those that overlap with a better one of their picture."""
    from mtcnn.utils.bboxes import smart_nms_from_bboxes

    boxes = boxes[boxes[:, 5] > threshold]
    kept = [
        smart_nms_from_bboxes(boxes[boxes[:, 0] == number], OVERLAP_REFINED, method=overlap, initial_sort=True)
        for number in np.unique(boxes[:, 0])
    ]
    return np.concatenate(kept) if kept else NO_BOXES


def _blocks(boxes: np.ndarray, block: int) -> Iterator[tuple[np.ndarray, int]]:
    """Copies of `boxes` in blocks of one size; the last is filled with boxes of no size in picture 0."""
    for start in range(0, len(boxes), block):
        rows = boxes[start : start + block]
        part = np.zeros((block, boxes.shape[1]))
        part[: len(rows)] = rows
        yield part, len(rows)
