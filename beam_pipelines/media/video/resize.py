"""Scaling of pictures by FFmpeg: RGB to a network's input size, and a decoded frame to small grey squares of motion."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from beam_pipelines.foundation.stage_times import SCALING, count, stage
from beam_pipelines.media.video.orientation import Orientation
from beam_pipelines.media.video.picture_shape import PictureShape

# These flags give the same bytes on every kind of CPU: without them swscale's assembly rounds differently.
_EXACT = Interpolation.ACCURATE_RND | Interpolation.BITEXACT


@stage(SCALING, 1)
def resize_image(image: np.ndarray, height_px: int, width_px: int) -> np.ndarray:
    """Scales an RGB picture to exactly the given size; the aspect ratio is not kept.

    Shrinking averages over areas (each result pixel is the mean of what it covers, so nothing aliases). Enlarging, in
    either direction, is bilinear. Each channel is scaled separately: swscale would convert RGB to YUV and round twice.
    It is read where it lies if its rows are contiguous, as those of `SampledFrame.image` and of its parts are.

    Args:
        image: uint8 [height, width, 3].
        height_px: height of the result.
        width_px: width of the result.

    Returns:
        uint8 [height_px, width_px, 3], contiguous; a copy even if the size is right already.

    Raises:
        ValueError: if the picture is not uint8 [height, width, 3] or a side is less than 1.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"a picture must be uint8 [height, width, 3], this one is {image.dtype} {list(image.shape)}")
    if min(height_px, width_px, *image.shape) < 1:
        raise ValueError(f"can't scale a picture of {list(image.shape)} to {height_px} x {width_px} pixels")
    count(size_bytes=image.nbytes)
    if image.shape[:2] == (height_px, width_px):
        return image.copy()
    shrinks = height_px <= image.shape[0] and width_px <= image.shape[1]
    method = Interpolation.AREA if shrinks else Interpolation.BILINEAR
    scaled, reformatter = np.empty((height_px, width_px, 3), np.uint8), VideoReformatter()
    for channel in range(3):
        grey = reformatter.reformat(
            _grey_frame(image[:, :, channel]),
            width=width_px,
            height=height_px,
            interpolation=method | _EXACT,
            threads=1,
        )
        plane: Any = grey.planes[0]
        scaled[:, :, channel] = np.frombuffer(plane, np.uint8).reshape(height_px, plane.line_size)[:, :width_px]
    return scaled


def _grey_frame(channel: np.ndarray) -> av.VideoFrame:
    """A frame over the same memory if its rows lie there in order, pixel beside pixel; else over a copy."""
    is_in_order = channel.strides[1] == 1 and channel.strides[0] >= channel.shape[1]
    return av.VideoFrame.from_numpy_buffer(channel if is_in_order else channel.copy(), format="gray")


@dataclass(frozen=True, eq=False)
class FramePair:
    """Two frames that are shown one after the other, small and grey (`ToSmallGrey`).

    Attributes:
        first, second: uint8 [height, width]; the first is the picture of the second.
        apart_s: by how much the second frame is shown later.
    """

    first: np.ndarray
    second: np.ndarray
    apart_s: float


class ToSmallGrey:
    """Turns a film's decoded frames into small grey pictures of square pixels, as shown; for one thread.

    Args:
        shape: the shape of the film's pictures; its black bars are cut off.
        orientation: the turn from stored to shown.
        longest_px: the longer side of a result; smaller pictures keep their size.
    """

    def __init__(self, shape: PictureShape, orientation: Orientation, longest_px: int = 160):
        height, width = Fraction(shape.height_px), shape.width_px * shape.pixel_aspect
        scale = min(Fraction(1), longest_px / max(height, width))
        self._height_px, self._width_px = max(1, round(height * scale)), max(1, round(width * scale))
        self._orientation, self._reformatter = orientation, VideoReformatter()
        across, down = self._width_px / shape.width_px, self._height_px / shape.height_px
        bars = shape.bars
        self._rows = slice(round(bars.top_px * down), self._height_px - round(bars.bottom_px * down))
        self._columns = slice(round(bars.left_px * across), self._width_px - round(bars.right_px * across))

    def __call__(self, frame: Any) -> np.ndarray:
        """uint8 [height, width]: the frame's luma, from 0 (black) to 255."""
        sides_px = (self._width_px, self._height_px)
        width_px, height_px = reversed(sides_px) if self._orientation.swaps_sides else sides_px
        # Only luma counts here, so that any matrix will do, also one that FFmpeg can't convert.
        small = self._reformatter.reformat(
            frame,
            width=width_px,
            height=height_px,
            format="gray",
            src_colorspace=Colorspace.ITU709,
            interpolation=Interpolation.AREA | _EXACT,
            threads=1,
        )
        plane: Any = small.planes[0]
        stored = np.frombuffer(plane, np.uint8).reshape(height_px, plane.line_size)[:, :width_px]
        shown = self._orientation.apply(stored)
        return np.ascontiguousarray(shown[self._rows, self._columns])
