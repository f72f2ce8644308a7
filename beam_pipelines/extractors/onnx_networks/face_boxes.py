"""From a detector's outputs to candidates: boxes as shares of the network's picture, and scores.

Candidates are float32 [n, N * 5], the vectors of such a network: left, top, right, bottom, score of each of N boxes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from beam_pipelines.extractors.onnx_networks.config import several
from beam_pipelines.extractors.onnx_networks.detector_config import DetectorConfig
from beam_pipelines.foundation.errors import ConfigurationError

VALUES = 5
WITHOUT_CHOICE = "export the network without non-maximum suppression, so that it gives all boxes of every picture"
_LARGEST_LOG = 20.0
"""A box of exp(20) cells holds any picture; beyond 88, float32 is infinite."""

_ROUNDING = 1e-3
"""How far beyond [0, 1] a score in half precision or 8 bits may lie."""

_FARTHEST, _NEAREST = 4.0, 0.02
"""Between these the middle of all coordinates must lie, as shares of the picture (ours)."""


def candidates(section: DetectorConfig, outputs: Sequence[np.ndarray]) -> np.ndarray:
    """The candidates of a batch, of the outputs that the section names, in its order.

    Raises:
        ValueError: if an output has another shape, or there is no box; the text says why.
        FloatingPointError: if a score lies outside [0, 1] or is NaN.
    """
    grids = len(several(section.boxes))
    parts = []
    for number in range(grids):
        corners = _corners(section, outputs[number], number)
        scores = _scores(outputs[grids + number], corners.shape[:2])
        if section.objectness is not None:
            scores = np.sqrt(scores * _scores(outputs[2 * grids + number], corners.shape[:2]))
        parts.append(np.concatenate([corners, scores[..., None]], axis=2))
    found = np.concatenate(parts, axis=1)
    return found.reshape(len(found), -1)


def _corners(section: DetectorConfig, boxes: np.ndarray, number: int) -> np.ndarray:
    """Boxes float32 [n, N, 4] as shares of the network's picture."""
    if boxes.ndim != 3 or boxes.shape[2] != 4:
        raise ValueError(f"boxes of shape {list(boxes.shape)}, wanted [n, N, 4]")
    if not boxes.size:
        raise ValueError(f"no box for a picture: {WITHOUT_CHOICE}")
    boxes = boxes.astype(np.float32)
    if section.coding == "corners_in_shares":
        return boxes
    takes = section.network_input()
    if section.coding == "cells":
        side_px = section.strides_px[number]
        rows, columns = np.mgrid[: takes.height_px // side_px, : takes.width_px // side_px]
        if boxes.shape[1] != rows.size:
            raise ValueError(
                f"boxes of shape {list(boxes.shape)} for {rows.size} cells of {side_px} px in a picture of "
                f"{takes.height_px} x {takes.width_px} px"
            )
        centres = np.stack([columns.ravel(), rows.ravel()], axis=1) + boxes[..., :2]
        halves = np.exp(np.minimum(boxes[..., 2:], _LARGEST_LOG)) / 2
        boxes = np.concatenate([centres - halves, centres + halves], axis=2) * side_px
    return (boxes / np.array([takes.width_px, takes.height_px] * 2)).astype(np.float32)


def _scores(scores: np.ndarray, wanted: tuple[int, ...]) -> np.ndarray:
    """Scores float32 [n, N], the last of two classes."""
    if scores.shape not in (wanted, (*wanted, 1), (*wanted, 2)):
        raise ValueError(
            f"scores of shape {list(scores.shape)}, wanted {list(wanted)}, with an axis of 1 or 2, or none"
        )
    scores = scores.astype(np.float32).reshape(*wanted, -1)[..., -1]
    if scores.size and not (scores.min() >= -_ROUNDING and scores.max() <= 1 + _ROUNDING):
        raise FloatingPointError(
            f"scores from {scores.min():.4g} to {scores.max():.4g}, which are no probabilities: export the network "
            "with the sigmoid or softmax that makes them"
        )
    return np.clip(scores, 0, 1)


def refuse_odd_boxes(section: DetectorConfig, found: np.ndarray) -> None:
    """Refuses candidates that lie as no detector's do: their numbers are something else than the section says.

    Args:
        section: the detector's section.
        found: candidates of some pictures, float32 [n, N * 5].

    Raises:
        ConfigurationError: if most boxes end before they begin, or lie far outside the picture, or all in its corner.
    """
    boxes = found.reshape(-1, VALUES)[:, :4]
    boxes = boxes[np.any(boxes != 0, axis=1)]  # a file that leaves boxes out itself fills them up with zeros
    if not len(boxes):
        return
    place = f"{section.place('')}.coding: {section.coding}"
    if np.mean(np.all(boxes[:, 2:] > boxes[:, :2], axis=1)) < 0.5:
        raise ConfigurationError(f"{place}: most boxes then end left of or above where they begin")
    middle = float(np.median(np.abs(boxes)))
    if not _NEAREST <= middle <= _FARTHEST:
        raise ConfigurationError(
            f"{place}: the middle of all coordinates is then {middle:.3g} of the picture's side: are they shares of "
            "the picture, or pixels, and is size_px right?"
        )
