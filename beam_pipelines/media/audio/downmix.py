"""Many channels to one, after ITU-R BS.775-3 (table 2, mono from multichannel).

    1 channel      as it is
    2 channels     (L + R) / 2
    5.1            (C + 0.7071 (L + R) + 0.5 (Ls + Rs)) / 3.4142, without the effects channel

The weights of the existing channels are divided by their sum, so a sum of full-scale channels stays in [-1, 1].
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import av
import numpy as np

_CENTRE, _FRONT, _SURROUND = 1.0, math.sqrt(0.5), 0.5
_WEIGHTS = {
    **dict.fromkeys(("FC", "TFC", "BFC"), _CENTRE),
    **dict.fromkeys(("FL", "FR", "FLC", "FRC", "WL", "WR", "DL", "DR", "TFL", "TFR", "BFL", "BFR"), _FRONT),
    **dict.fromkeys(("BL", "BR", "BC", "SL", "SR", "TBL", "TBR", "TBC", "TSL", "TSR", "TC", "SDL", "SDR"), _SURROUND),
    **dict.fromkeys(("LFE", "LFE2"), 0.0),
}
_UNNAMED = "NONE"
# PyAV 18 counts a frame's planes up to a null pointer. Frames of more planes have none, so it would read beyond them.
_MOST_PLANES = 7


def mono_samples(frame: Any) -> np.ndarray:
    """The mono sound of a decoded audio frame: float32 [samples], full scale is 1, NaN becomes 0.

    Raises:
        av.FFmpegError, ValueError: if FFmpeg doesn't understand the frame's layout or sample format.
    """
    channels = len(frame.layout.channels)
    if frame.format.is_planar and channels > _MOST_PLANES:
        frame = _interleaved(frame)
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, channels).T
    weights = np.asarray(channel_weights(_channel_names(frame.layout)), dtype=np.float32)
    # No matrix product: BLAS would start threads, and add in another order on another CPU.
    mono: np.ndarray = (_full_scale_one(samples) * weights[:, None]).sum(axis=0)
    np.nan_to_num(mono, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return mono


@lru_cache(maxsize=64)
def channel_weights(names: tuple[str, ...]) -> tuple[float, ...]:
    """The share of each named channel in the mono sum; the shares add up to 1.

    If the table lacks any channel of a layout (Ambisonics, discrete channels), all its channels have equal shares.
    """
    raw = [_WEIGHTS.get(name) for name in names]
    known = [weight for weight in raw if weight is not None]
    if len(known) < len(raw) or sum(known) == 0:
        return (1 / len(names),) * len(names)
    return tuple(weight / sum(known) for weight in known)


def _channel_names(layout: Any) -> tuple[str, ...]:
    names = tuple(channel.name for channel in layout.channels)
    if _UNNAMED not in names:
        return names
    # If a file doesn't name its channels, they have the usual order for their number, as FFmpeg assumes too.
    try:
        usual = av.AudioLayout(f"{len(names)}c")
    except ValueError:
        return names
    return tuple(channel.name for channel in usual.channels)


def _interleaved(frame: Any) -> Any:
    """The same samples in one plane, rearranged by FFmpeg."""
    resampler = av.AudioResampler(format=frame.format.packed.name, layout=frame.layout, rate=frame.sample_rate)
    (interleaved,) = [*resampler.resample(frame), *resampler.resample(None)]
    return interleaved


def _full_scale_one(samples: np.ndarray) -> np.ndarray:
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    if np.issubdtype(samples.dtype, np.integer):
        return samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min)
    return samples.astype(np.float32)
