"""How fast things move from one frame to the next: block flow by Lucas and Kanade (1981), from coarse to fine.

Blocks of 8 x 8 pixels are followed from the first frame to the second, on a pyramid of halved pictures. A block without
texture in two directions, or whose texture isn't found again (a cut, a flash), says nothing.
"""

from __future__ import annotations

import numpy as np

from beam_pipelines.media.video.resize import FramePair

BLOCK_PX = 8
_LEVELS, _STEPS_AT_FIRST, _STEPS = 4, 3, 2
# The least texture that tells a direction, in grey levels squared a pixel, and how much of it may stay unexplained.
_LEAST_TEXTURE, _MOST_UNEXPLAINED = 4.0, 0.3
_LEAST_FOLLOWED = 0.2


def motion_of(pair: FramePair | None) -> tuple[float, float, float]:
    """The difference of two frames, and the median and 90th percentile of the speed of their blocks.

    Args:
        pair: the frames; None if the picture stands still for more than a second, which is no motion.

    Returns:
        Mean absolute difference as a share of white; speeds in picture heights a second.
    """
    if pair is None:
        return 0.0, 0.0, 0.0
    first, second = pair.first.astype(np.float32), pair.second.astype(np.float32)
    difference = float(np.abs(second - first).mean(dtype=np.float64)) / 255
    if not difference:
        return 0.0, 0.0, 0.0
    flow, followed, textured = block_flow(first, second)
    if not followed.any() or followed.sum() < _LEAST_FOLLOWED * textured.sum():
        # A cut, or too fast: the few blocks that seem to be found again are chance.
        return difference, 0.0, 0.0
    speeds = np.hypot(*flow[followed].T) / (first.shape[0] * pair.apart_s)
    return difference, float(np.median(speeds)), float(np.percentile(speeds, 90))


def block_flow(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the blocks of a frame go.

    Args:
        first, second: float32 [height, width].

    Returns:
        float32 [blocks, 2] (right, down) in pixels; bool [blocks]: the block was found again; and: it has texture.
    """
    corners = _corners(first.shape)
    flow = np.zeros((len(corners), 2), np.float32)
    followed = textured = np.zeros(len(corners), bool)
    if not len(corners):
        return flow, followed, textured
    pyramid = [(first, second)]
    while len(pyramid) < _LEVELS and min(pyramid[-1][0].shape) >= 4 * BLOCK_PX:
        pyramid.append(tuple(map(_halved, pyramid[-1])))  # type: ignore[arg-type]
    # On coarse levels blocks overlap: their windows keep the size and the middle.
    middles = corners + (BLOCK_PX - 1) / 2
    steps = _STEPS_AT_FIRST
    for level, frames in reversed(list(enumerate(pyramid))):
        at = (middles + 0.5) / 2**level - BLOCK_PX / 2
        flow, textured, patch = _follow(frames[0], frames[1], at, flow * 2, steps)
        steps = _STEPS
    error = patch - _patches(_bordered(second), corners + flow)
    contrast = ((patch - patch.mean(axis=(0, 1))) ** 2).sum(axis=(0, 1))
    explained = (error**2).sum(axis=(0, 1)) <= _MOST_UNEXPLAINED * contrast
    return flow, textured & explained, textured


def _corners(shape: tuple[int, ...]) -> np.ndarray:
    """float32 [blocks, 2] (x, y): the blocks' first pixels; a border of half a block is left out."""
    rows, columns = (np.arange(BLOCK_PX // 2, side - BLOCK_PX - BLOCK_PX // 2 + 1, BLOCK_PX) for side in shape[:2])
    x, y = np.meshgrid(columns, rows)
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def _halved(frame: np.ndarray) -> np.ndarray:
    height, width = (side // 2 * 2 for side in frame.shape)
    even = frame[:height, :width]
    halved: np.ndarray = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
    return halved


def _follow(
    first: np.ndarray, second: np.ndarray, corners: np.ndarray, flow: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The better flow at one level, whether blocks have texture, and the blocks; `corners` are their first pixels."""
    patch = _patches(_bordered(first), corners)
    right, down = np.zeros_like(patch), np.zeros_like(patch)
    right[:, 1:-1] = (patch[:, 2:] - patch[:, :-2]) / 2
    down[1:-1] = (patch[2:] - patch[:-2]) / 2
    xx, yy, xy = ((a * b).sum(axis=(0, 1)) for a, b in ((right, right), (down, down), (right, down)))
    determinant = xx * yy - xy * xy
    smallest = (xx + yy - np.sqrt((xx - yy) ** 2 + 4 * xy * xy)) / 2
    textured = smallest > _LEAST_TEXTURE * BLOCK_PX**2 / 4
    safe = np.where(textured, determinant, 1)
    flow, bordered = flow.copy(), _bordered(second)
    for _ in range(steps):
        error = patch - _patches(bordered, corners + flow)
        across, along = ((error * slope).sum(axis=(0, 1)) for slope in (right, down))
        step = np.stack([yy * across - xy * along, xx * along - xy * across], axis=1) / safe[:, None]
        flow += np.where(textured[:, None], np.clip(step, -BLOCK_PX / 2, BLOCK_PX / 2), 0)
    return flow, textured, patch


def _bordered(frame: np.ndarray) -> np.ndarray:
    return np.pad(frame, BLOCK_PX, mode="edge")


def _patches(bordered: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """float32 [8, 8, blocks]: blocks of a frame from any point on, between the pixels; its border goes on outside.

    The blocks are the last axis: NumPy is fast along a long one.
    """
    height, width = bordered.shape
    whole = np.floor(corners)
    x_share, y_share = (corners - whole).T
    x, y = whole.T.astype(np.intp) + BLOCK_PX
    begin = np.clip(y, 0, height - BLOCK_PX - 1) * width + np.clip(x, 0, width - BLOCK_PX - 1)
    offsets = np.arange(BLOCK_PX + 1)
    pixels = bordered.take(begin + (offsets[:, None] * width + offsets)[:, :, None])
    across = pixels[:, :-1] * (1 - x_share) + pixels[:, 1:] * x_share
    patches: np.ndarray = across[:-1] * (1 - y_share) + across[1:] * y_share
    return patches
