"""How much a picture differs from that of the second before, and whether a cut lies between them.

Both are taken from thumbnails once all seconds of a film are known, so that nothing depends on how it was cut in parts.
"""

from __future__ import annotations

import numpy as np

THUMBNAIL_PX = (9, 16)
"""Height and width of a thumbnail."""

_CUT_ABOVE = 0.12


def change_columns(thumbnails: np.ndarray) -> np.ndarray:
    """The last columns of a film's pictures.

    Args:
        thumbnails: float32 [T, 9 * 16 * 3], from 0 to 255.

    Returns:
        float64 [T, 3]: the mean absolute difference from the thumbnail before, as a share of white, 0 for the first;
        cuts in the last 10 and 30 s.
    """
    change = np.zeros(len(thumbnails))
    change[1:] = np.abs(np.diff(thumbnails.astype(np.float64), axis=0)).mean(axis=1) / 255
    cut = change > _CUT_ABOVE
    return np.stack([change, *(_in_last(cut, seconds) for seconds in (10, 30))], axis=1)


def _in_last(cut: np.ndarray, seconds: int) -> np.ndarray:
    """How many of the last so many seconds have a cut."""
    sums = np.concatenate([np.zeros(seconds), np.cumsum(cut)])
    counts: np.ndarray = sums[seconds:] - sums[:-seconds]
    return counts
