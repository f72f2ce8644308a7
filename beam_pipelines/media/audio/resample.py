"""Change of sampling rate by a linear-phase polyphase filter (scipy), without delay and without state."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np

from beam_pipelines.foundation.stage_times import STARTING, stage

# With so many, the filter passes everything below 0.94 of half the lower rate, and damps everything above 1.03 of it by
# 90 dB: at 16 kHz the whole range of VGGish's mel bands (below 7500 Hz) is clean.
_ZERO_CROSSINGS = 64
_KAISER_BETA = 9.0
_CUTOFF = 0.985
# Odd rates are approximated by small fractions, so that no filter is huge; the usual rates are exact.
_MAX_DENOMINATOR = 1000


@lru_cache(maxsize=8)
def conversion(rate_hz: int, target_hz: int) -> tuple[Fraction, int]:
    """The ratio of two rates, and how many samples its conversion needs before and after a stretch.

    That margin, in samples of `rate_hz`, is a multiple of the ratio's denominator, so it is a whole number of samples
    at the target rate too.

    Raises:
        ValueError: if `rate_hz` is about 2,000 times `target_hz` or more.
    """
    ratio = Fraction(target_hz, rate_hz).limit_denominator(_MAX_DENOMINATOR)
    if ratio == 0:
        raise ValueError(f"can't convert sound from {rate_hz} Hz to {target_hz} Hz")
    up, down = ratio.as_integer_ratio()
    return ratio, down * math.ceil(_ZERO_CROSSINGS * max(up, down) / (up * down))


def resample_piece(samples: np.ndarray, rate_hz: int, target_hz: int) -> np.ndarray:
    """float32 [..., samples] at `rate_hz` -> float32 [..., ceil(samples * target / rate)]; the first ones coincide."""
    ratio, _ = conversion(rate_hz, target_hz)
    if ratio == 1:
        return samples
    # Imported here because it takes a second, which a process that only probes or decodes pictures can save.
    with stage(STARTING):
        from scipy.signal import resample_poly

    up, down = ratio.as_integer_ratio()
    resampled: np.ndarray = resample_poly(samples, up, down, axis=-1, window=_filter(max(up, down)))
    return resampled


@lru_cache(maxsize=4)
def _filter(factor: int) -> np.ndarray:
    with stage(STARTING):
        from scipy.signal import firwin

    taps = 2 * _ZERO_CROSSINGS * factor + 1
    weights: np.ndarray = firwin(taps, _CUTOFF / factor, window=("kaiser", _KAISER_BETA)).astype(np.float32)
    return weights
