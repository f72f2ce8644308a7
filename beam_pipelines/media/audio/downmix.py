"""Many channels to one, after ITU-R BS.775-3 (table 2, mono from multichannel).

    1 channel      as it is
    2 channels     0.5 (L + R)
    5.1            0.7071 C + 0.5 (L + R) + 0.3536 (Ls + Rs), without the effects channel

Normalisation: the table's weights (C 1, L and R 0.7071, Ls and Rs 0.5) are divided by sqrt(2), so that the front
channels weigh what they weigh in a stereo film: the mix of a 5.1 film equals the mean of the two channels that BS.775
makes of it for stereo. Full-scale channels in phase exceed 1; whoever takes the samples clips them. Other weights need
another name in `contracts.records.feature_changes`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import av
import numpy as np

_CENTRE, _FRONT, _SURROUND = 1.0, math.sqrt(0.5), 0.5
_FRONTS = frozenset(("FL", "FR", "FLC", "FRC", "WL", "WR", "DL", "DR"))
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
    mono = mixed(channel_samples(frame), channel_names(frame.layout))
    np.nan_to_num(mono, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return mono


def mixed(samples: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """float32 [channels, samples] -> float32 [samples]: the mono sound of named channels."""
    weights = np.asarray(channel_weights(names), dtype=np.float32)
    # No matrix product: BLAS would start threads, and add in another order on another CPU.
    mono: np.ndarray = (samples * weights[:, None]).sum(axis=0)
    return mono


def channel_samples(frame: Any) -> np.ndarray:
    """The channels of a decoded audio frame: float32 [channels, samples], full scale is 1.

    Raises:
        av.FFmpegError, ValueError: if FFmpeg doesn't understand the frame's layout or sample format.
    """
    channels = len(frame.layout.channels)
    if frame.format.is_planar and channels > _MOST_PLANES:
        frame = _interleaved(frame)
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, channels).T
    return _full_scale_one(samples)


@lru_cache(maxsize=64)
def channel_weights(names: tuple[str, ...]) -> tuple[float, ...]:
    """The weight of each named channel in the mono sum.

    Without front left and right the weights add up to 1 (mono stays as it is). If the table lacks any channel of a
    layout (Ambisonics, discrete channels), all its channels have equal weights that add up to 1.
    """
    known = [_WEIGHTS.get(name, math.nan) for name in names]
    total = sum(known)
    if math.isnan(total) or total == 0:
        return (1 / len(names),) * len(names)
    has_fronts = len(_FRONTS.intersection(names)) > 1
    return tuple(weight / (math.sqrt(2) if has_fronts else total) for weight in known)


def channel_names(layout: Any) -> tuple[str, ...]:
    """FFmpeg's short names of a layout's channels; `NONE` where there is none."""
    return tuple(channel.name for channel in named_layout(layout).channels)


def named_layout(layout: Any) -> Any:
    """The layout itself, or, if a file doesn't name its channels, the usual one for their number, as FFmpeg assumes."""
    if _UNNAMED not in (channel.name for channel in layout.channels):
        return layout
    try:
        return av.AudioLayout(f"{len(layout.channels)}c")
    except ValueError:
        return layout


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
