"""The three networks of MTCNN (Zhang et al. 2016), run so that a picture's boxes depend on that picture alone.

Networks, weights and box arithmetic are those of the package `mtcnn`. The code that runs them is ours, for four
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
import math
from collections.abc import Callable, Iterator, Mapping
from importlib import util
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np

from beam_pipelines.extractors.networks.mtcnn.boxes import NO_BOXES, as_squares, moved, without_overlaps
from beam_pipelines.foundation.errors import WeightsError

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
REFINE_BLOCK, OUTPUT_BLOCK = 32, 16
"""Boxes that the second and the third network get at once."""


def read_weight_file(name: str) -> bytes:
    """The bytes of one of the package's weight files, whose hash is compared.

    Raises:
        WeightsError: if the installed file isn't the known one; the text names file and hash.
    """
    # The package is found but not imported, since it imports TensorFlow.
    package = util.find_spec(PACKAGE)
    folder = Path(package.origin).parent if package and package.origin else Path(PACKAGE)
    file = folder / "assets" / "weights" / name
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


def read_weight_files() -> dict[str, bytes]:
    """The package's weight files by name, whose hashes are right.

    Raises:
        WeightsError: as `read_weight_file` does.
    """
    return {name: read_weight_file(name) for name in WEIGHT_FILES}


def weights_digest() -> str:
    """One sha256 for the three files together, for fingerprints."""
    return hashlib.sha256("".join(WEIGHT_FILES[name] for name in sorted(WEIGHT_FILES)).encode()).hexdigest()


def pyramid_scales(height_px: int, width_px: int, smallest_face_px: int, factor: float) -> list[float]:
    """The scales of the image pyramid: 12 / smallest face, then smaller by `factor` down to a side of 12 px."""
    first = CELL_PX / smallest_face_px
    steps = math.log(CELL_PX / (min(height_px, width_px) * first)) / math.log(factor)
    return [first * factor**step for step in range(math.floor(steps + 1e-9) + 1)] if steps > -1e-9 else []


class Networks(Protocol):
    """The three networks on an engine; `on_onnx` and `on_tensorflow` have one each."""

    def pixels(self, images: np.ndarray) -> Any:
        """Pictures float32 [n, H, W, 3] as the methods below take them."""

    def propose(self, pixels: Any, height_px: int, width_px: int) -> tuple[np.ndarray, np.ndarray]:
        """Offsets [n, h, w, 4] and scores [n, h, w] of the first network's cells in pictures shrunk to a size."""

    def refine(self, pixels: Any, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Offsets [k, 4] and scores [k] of boxes by the second network."""

    def finish(self, pixels: Any, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Offsets [k, 4] and scores [k] of boxes by the third network."""


class Cascade:
    """The three networks, one after the other."""

    def __init__(self, networks: Networks):
        self._networks = networks

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
        height_px, width_px = images.shape[1:3]
        scales = pyramid_scales(height_px, width_px, smallest_face_px, pyramid_factor)
        pixels = self._networks.pixels((images.astype(np.float32) - np.float32(127.5)) / np.float32(128.0))
        sizes = [(int(height_px * scale), int(width_px * scale)) for scale in scales]
        boxes = as_squares(self._propose(pixels, len(images), list(zip(scales, sizes, strict=True)), thresholds[0]))
        boxes = _judged(self._networks.refine, pixels, boxes, REFINE_BLOCK)
        boxes = as_squares(_keep(boxes, thresholds[1], "union"))
        boxes = _judged(self._networks.finish, pixels, boxes, OUTPUT_BLOCK)
        boxes = _keep(boxes, thresholds[2], "min")
        return [boxes[boxes[:, 0] == number] for number in range(len(images))]

    def _propose(
        self, pixels: Any, pictures: int, steps: list[tuple[float, tuple[int, int]]], threshold: float
    ) -> np.ndarray:
        """The first network's candidates over the whole image pyramid, picture by picture."""
        found: list[list[np.ndarray]] = [[] for _ in range(pictures)]
        for scale, size in steps:
            offsets, scores = self._networks.propose(pixels, *size)
            for number, boxes in enumerate(found):
                here = _candidates(number, offsets[number], scores[number], threshold)
                if len(here):
                    here[:, 1:5] /= scale
                    boxes.append(without_overlaps(here, OVERLAP_IN_SCALE))
        kept = [without_overlaps(np.concatenate(boxes), OVERLAP_ACROSS_SCALES) for boxes in found if boxes]
        return np.concatenate(kept) if kept else NO_BOXES


def _judged(
    network: Callable[[Any, np.ndarray], tuple[np.ndarray, np.ndarray]], pixels: Any, boxes: np.ndarray, block: int
) -> np.ndarray:
    """Cuts the boxes out, gives them a network's scores and moves them by its offsets."""
    judged = []
    for part, real in _blocks(boxes, block):
        offsets, part[:, 5] = network(pixels, part)
        judged.append(moved(part, offsets)[:real])
    return np.concatenate(judged) if judged else NO_BOXES


def _candidates(number: int, offsets: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """The boxes of one picture's cells that score above a threshold, to the bit as the package has them."""
    rows, columns = np.nonzero(scores > threshold)
    if not len(rows):
        return NO_BOXES
    corners = np.stack([columns, rows, columns, rows], 1) * CELL_STEP_PX + [1, 1, CELL_PX, CELL_PX]
    corners = corners + offsets[rows, columns].astype(np.float64) * (CELL_PX - 1)
    found = scores[rows, columns]
    return np.column_stack([np.full(len(rows), number), corners, found])


def _keep(boxes: np.ndarray, threshold: float, overlap: Literal["union", "min"]) -> np.ndarray:
    """The boxes above a score, without those that overlap with a better one of their picture."""
    boxes = boxes[boxes[:, 5] > threshold]
    kept = [
        without_overlaps(boxes[boxes[:, 0] == number], OVERLAP_REFINED, overlap) for number in np.unique(boxes[:, 0])
    ]
    return np.concatenate(kept) if kept else NO_BOXES


def _blocks(boxes: np.ndarray, block: int) -> Iterator[tuple[np.ndarray, int]]:
    """Copies of `boxes` in blocks of one size; the last is filled with boxes of no size in picture 0."""
    for start in range(0, len(boxes), block):
        rows = boxes[start : start + block]
        part = np.zeros((block, boxes.shape[1]))
        part[: len(rows)] = rows
        yield part, len(rows)
