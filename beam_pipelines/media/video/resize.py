"""Scaling of pictures to a network's input size: FFmpeg's scaler, without a detour through another colour space."""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import Interpolation

# These flags give the same bytes on every kind of CPU: without them swscale's assembly rounds differently.
_EXACT = Interpolation.ACCURATE_RND | Interpolation.BITEXACT


def resize_image(image: np.ndarray, height_px: int, width_px: int) -> np.ndarray:
    """Scales an RGB picture to exactly the given size; the aspect ratio is not kept.

    Shrinking averages over areas (each result pixel is the mean of what it covers, so nothing aliases). Enlarging, in
    either direction, is bilinear. Each channel is scaled separately: swscale would convert RGB to YUV and round twice.

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
    if image.shape[:2] == (height_px, width_px):
        return image.copy()
    shrinks = height_px <= image.shape[0] and width_px <= image.shape[1]
    method = Interpolation.AREA if shrinks else Interpolation.BILINEAR
    # yuv444p only means three full planes here; source and result both have it, so no colour is converted.
    planes = np.ascontiguousarray(np.moveaxis(image, -1, 0))
    frame = av.VideoFrame.from_ndarray(planes, format="yuv444p")
    scaled = frame.reformat(width=width_px, height=height_px, interpolation=method | _EXACT, threads=1)
    return np.ascontiguousarray(np.moveaxis(scaled.to_ndarray(), 0, -1))
