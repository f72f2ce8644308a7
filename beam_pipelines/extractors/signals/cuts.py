"""How much a picture differs from that of the second before, and whether a cut lies between them.

Both are taken from thumbnails once all seconds of a film are known, so that nothing depends on how it was cut in parts.
A cut changes the colours, and no shift makes the pictures alike. So does fast motion, but over several seconds: what
the seconds before and after show too doesn't count. Encoders put a key frame at a cut: where one comes earlier than
they come otherwise, less of a difference will do. benchmarks/extraction.md says how many cuts that finds.
"""

from __future__ import annotations

import numpy as np

from beam_pipelines.extractors.signals.light import luma_of
from beam_pipelines.media.video.resize import resize_image

THUMBNAIL_PX = (36, 64)
"""Height and width of a thumbnail."""

_LUMA_PX = (18, 32)
_SHADES = 4
_COLOURS = _SHADES**3
# Thumbnails are compared after shifts of up to a quarter of their sides, in luma pixels.
_FURTHEST_PX = (4, 8)
_LEAST_CONTRAST = 1.0
# Chosen on edited films (benchmarks/cuts.py), whose seeds are other ones than those of the table.
_OF_NEIGHBOURS, _CUT_ABOVE, _CUT_ABOVE_AT_KEY = 0.75, 0.95, 0.6
_EARLY, _MOST_EARLY = 0.9, 0.6


def thumbnail_of(image: np.ndarray) -> np.ndarray:
    """What is kept of a picture, float32 [64 + 18 * 32]: shares of 64 colours, and luma from 0 (black) to 255."""
    small = resize_image(image, *THUMBNAIL_PX)
    red, green, blue = (small // (256 // _SHADES)).astype(np.int64).reshape(-1, 3).T
    colours = np.bincount((red * _SHADES + green) * _SHADES + blue, minlength=_COLOURS) / red.size
    luma = luma_of(small).reshape(_LUMA_PX[0], 2, _LUMA_PX[1], 2).mean(axis=(1, 3))
    return np.concatenate([colours.astype(np.float32), luma.ravel()])


def change_columns(thumbnails: np.ndarray, key_gaps_s: np.ndarray) -> np.ndarray:
    """The last columns of a film's pictures.

    Args:
        thumbnails: float32 [T, 64 + 18 * 32], of `thumbnail_of`.
        key_gaps_s: float [T], `SampledFrame.key_gap_s`.

    Returns:
        float64 [T, 3]: the mean absolute difference of luma from the thumbnail before, as a share of white, 0 for the
        first; cuts in the last 10 and 30 s.
    """
    luma = thumbnails[:, _COLOURS:]
    change = np.zeros(len(thumbnails))
    change[1:] = np.abs(np.diff(luma, axis=0)).mean(axis=1, dtype=np.float64) / 255
    cut = is_cut(thumbnails, key_gaps_s)
    return np.stack([change, *(_in_last(cut, seconds) for seconds in (10, 30))], axis=1)


def is_cut(thumbnails: np.ndarray, key_gaps_s: np.ndarray) -> np.ndarray:
    """bool [T]: whether a cut lies between a second's picture and the one before; arguments of `change_columns`."""
    differs = np.zeros(len(thumbnails) + 1)
    if len(thumbnails) > 1:
        colours = np.abs(np.diff(thumbnails[:, :_COLOURS], axis=0)).sum(axis=1, dtype=np.float64) / 2
        differs[1:-1] = colours + _unlikeness(thumbnails[:, _COLOURS:].reshape(-1, *_LUMA_PX))
    neighbours = np.minimum(np.concatenate([[0.0], differs[:-2]]), differs[1:])
    early = (key_gaps_s > 0) & (key_gaps_s < _EARLY * key_gaps_s.max(initial=0.0))
    if early.mean() > _MOST_EARLY:
        # They come at no interval at all, and say nothing.
        early[:] = False
    found: np.ndarray = differs[:-1] - _OF_NEIGHBOURS * neighbours > _CUT_ABOVE
    return found | (early & (differs[:-1] > _CUT_ABOVE_AT_KEY))


def _unlikeness(luma: np.ndarray) -> np.ndarray:
    """float64 [T - 1]: 1 - the highest correlation of two successive thumbnails, after all shifts."""
    height, width = _LUMA_PX
    highest = np.full(len(luma) - 1, -1.0)
    for down in range(-_FURTHEST_PX[0], _FURTHEST_PX[0] + 1):
        for right in range(-_FURTHEST_PX[1], _FURTHEST_PX[1] + 1):
            first = luma[:-1, max(0, down) : height + down, max(0, right) : width + right]
            second = luma[1:, max(0, -down) : height - down, max(0, -right) : width - right]
            np.maximum(highest, _correlation(first, second), out=highest)
    return 1 - highest


def _correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """float64 [n]; 1 if one of the pictures is even, which says nothing."""
    first, second = (each - each.mean(axis=(1, 2), keepdims=True) for each in (first, second))
    spread = np.sqrt((first**2).sum(axis=(1, 2)) * (second**2).sum(axis=(1, 2)))
    products = (first * second).sum(axis=(1, 2))
    likeness: np.ndarray = np.where(spread > _LEAST_CONTRAST, products / np.maximum(spread, _LEAST_CONTRAST), 1.0)
    return likeness.astype(np.float64)


def _in_last(cut: np.ndarray, seconds: int) -> np.ndarray:
    """How many of the last so many seconds have a cut."""
    sums = np.concatenate([np.zeros(seconds), np.cumsum(cut)])
    counts: np.ndarray = sums[seconds:] - sums[:-seconds]
    return counts
