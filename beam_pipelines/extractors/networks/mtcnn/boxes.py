"""The box arithmetic of MTCNN, as in `mtcnn.utils.bboxes` 1.0.0 (MIT, Iván de Paz Centeno), which needs TensorFlow.

Boxes are float64 [k, 6]: picture, x1, y1, x2, y2 (px), score. A test compares each function with the package's.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

NO_BOXES = np.empty((0, 6))

REFINE_SIZE_PX, OUTPUT_SIZE_PX = 24, 48
"""The sides to which boxes are scaled for the second and the third network."""


def without_overlaps(boxes: np.ndarray, threshold: float, method: Literal["union", "min"] = "union") -> np.ndarray:
    """One picture's boxes, best score first, without those that overlap with a better one by more than a threshold.

    Args:
        boxes: the boxes, in any order.
        threshold: the largest overlap that stays.
        method: an overlap is a share of both boxes' union, or of the smaller one.
    """
    boxes = boxes[np.argsort(boxes[:, 5])[::-1]]
    x1, y1, x2, y2 = boxes[:, 1:5].T
    area = (x2 - x1) * (y2 - y1)
    width = np.maximum(0, np.minimum(x2[:, None], x2) - np.maximum(x1[:, None], x1))
    height = np.maximum(0, np.minimum(y2[:, None], y2) - np.maximum(y1[:, None], y1))
    shared = width * height
    whole = area[:, None] + area - shared if method == "union" else np.minimum(area[:, None], area)
    # A box of no area shares nothing with any other.
    overlap = np.divide(shared, whole, out=np.zeros_like(shared), where=whole != 0)
    return boxes[~np.triu(overlap > threshold, k=1).any(axis=0)]


def as_squares(boxes: np.ndarray) -> np.ndarray:
    """The squares around the boxes' centres, with the longer side of each."""
    squares = boxes.copy()
    sides = boxes[:, 3:5] - boxes[:, 1:3]
    longest = sides.max(axis=1, keepdims=True)
    squares[:, 1:3] = boxes[:, 1:3] + sides * 0.5 - longest * 0.5
    squares[:, 3:5] = squares[:, 1:3] + longest
    return squares


def moved(boxes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The boxes moved by offsets [k, 4], which are shares of their width and height plus one pixel."""
    result = boxes.copy()
    sides = boxes[:, 3:5] - boxes[:, 1:3] + 1
    result[:, 1:5] += offsets * np.concatenate([sides, sides], axis=1)
    return result
