"""The shape of a film's pictures: pixels that aren't square, two fields in a picture, black bars around it.

Pictures keep the pixels that the file stores. Whatever looks at shapes, as the face detector does, asks here.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

SQUARE = Fraction(1)
MOST_OBLONG = 16
"""A pixel can't be more oblong than this (ours): such an aspect ratio is a broken header's, and counts as square."""


@dataclass(frozen=True)
class BlackBars:
    """Black bars at the four sides of the pictures as shown, in pixels."""

    left_px: int = 0
    top_px: int = 0
    right_px: int = 0
    bottom_px: int = 0

    def without(self, planes: np.ndarray) -> np.ndarray:
        """Planes `[channels, height, width]` without the bars, contiguous; the same object if there are none."""
        if self == NO_BARS:
            return planes
        height_px, width_px = planes.shape[1:]
        inside = planes[:, self.top_px : height_px - self.bottom_px, self.left_px : width_px - self.right_px]
        return np.ascontiguousarray(inside)


NO_BARS = BlackBars()


@dataclass(frozen=True)
class PictureShape:
    """How to look at a film's pictures.

    Attributes:
        width_px, height_px: size of the picture as shown, bars included; in pixels as stored.
        pixel_aspect: width of a pixel as shown, divided by its height.
        interlaced: most of the key frames looked at hold two fields: their lines belong to two moments by turns.
        fields_in_columns: these lines are columns of the picture as shown, since it is turned by 90 degrees.
        bars: the black bars that are cut off its images.
    """

    width_px: int = 0
    height_px: int = 0
    pixel_aspect: Fraction = SQUARE
    interlaced: bool = False
    fields_in_columns: bool = False
    bars: BlackBars = NO_BARS

    def one_moment(self, image: np.ndarray) -> np.ndarray:
        """The lines of an image that belong to one moment: every second one of an interlaced picture; a view."""
        if not self.interlaced:
            return image
        return image[:, ::2] if self.fields_in_columns else image[::2]

    def square_size_px(self, height_px: int, width_px: int, most_lines: int | None = None) -> tuple[int, int]:
        """Height and width in square pixels of what `one_moment` gives, with `height_px` lines and `width_px` columns.

        No side gets fewer pixels than the image has, unless the result would have more than `most_lines` lines.
        """
        aspect = self.pixel_aspect
        if self.interlaced:
            aspect = aspect * 2 if self.fields_in_columns else aspect / 2
        height, width = (height_px, width_px * aspect) if aspect > 1 else (height_px / aspect, Fraction(width_px))
        scale = Fraction(1) if most_lines is None else min(Fraction(1), most_lines / Fraction(height))
        return max(1, round(height * scale)), max(1, round(width * scale))

    def share_of_picture(self, x: float, y: float) -> tuple[float, float]:
        """A point of an image, as shares of its sides, as shares of the whole picture with its bars."""
        if self.bars == NO_BARS:
            return x, y
        inner_width = self.width_px - self.bars.left_px - self.bars.right_px
        inner_height = self.height_px - self.bars.top_px - self.bars.bottom_px
        return (
            (self.bars.left_px + x * inner_width) / self.width_px,
            (self.bars.top_px + y * inner_height) / self.height_px,
        )


def pixel_aspect_of(video: Any, swaps_sides: bool) -> Fraction:
    """The aspect of a pixel as shown: the sample aspect ratio of the container, else of the stream."""
    stored = video.sample_aspect_ratio
    if not stored or not Fraction(1, MOST_OBLONG) <= stored <= MOST_OBLONG:
        return SQUARE
    return 1 / stored if swaps_sides else Fraction(stored)
