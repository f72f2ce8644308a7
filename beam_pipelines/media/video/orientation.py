"""How a picture must be turned for display, read from a frame's display matrix.

Phones store the sensor's picture and a matrix. With the matrix rows (a, b, u), (c, d, v), (x, y, w) a stored point
(p, q) is shown at (a p + c q + x, b p + d q + y). Cameras write the eight combinations of quarter turns and mirroring;
any other angle is rounded to the nearest quarter turn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

_QUARTER_TURN_DEG = 90


@dataclass(frozen=True)
class Orientation:
    """A clockwise turn by `rotation_deg` (0, 90, 180 or 270), then, if `mirrored`, left and right exchanged."""

    rotation_deg: int = 0
    mirrored: bool = False

    @property
    def swaps_sides(self) -> bool:
        """Whether height and width are exchanged."""
        return self.rotation_deg in (90, 270)

    def apply(self, image: np.ndarray, axes: tuple[int, int] = (0, 1)) -> np.ndarray:
        """Turns an image, whose height and width are these axes; the result is contiguous."""
        turned = np.rot90(image, -(self.rotation_deg // _QUARTER_TURN_DEG), axes)
        return np.ascontiguousarray(np.flip(turned, axes[1]) if self.mirrored else turned)


def orientation_of(frame: Any) -> Orientation:
    """The orientation of a decoded video frame; no turn if it has no usable display matrix."""
    for side_data in frame.side_data:
        if side_data.type.name == "DISPLAYMATRIX":
            return _from_matrix(np.frombuffer(bytes(side_data), dtype=np.int32, count=9))
    return Orientation()


def _from_matrix(matrix: np.ndarray) -> Orientation:
    a, b, c, d = (int(matrix[i]) for i in (0, 1, 3, 4))
    mirrored = a * d - b * c < 0
    if mirrored:
        # Mirroring comes last and negates the shown column; without it, a pure turn is left.
        a, c = -a, -c
    turns = round(math.degrees(math.atan2(b - c, a + d)) / _QUARTER_TURN_DEG)
    return Orientation(turns % 4 * _QUARTER_TURN_DEG, mirrored)
