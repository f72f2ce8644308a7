"""Smoothing of predicted curves: the paper's low-pass Butterworth filter, and its alternative, the weighted average.

Curves have one value per second, so the sampling rate is 1 Hz and frequencies lie between 0 and 0.5 Hz. The paper
(section on post-processing) names a Butterworth filter from SciPy, and found it better than a weighted moving average.
It gives neither order nor cutoff: both are settings here, chosen on validation films.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, field_validator

from beam_pipelines.foundation.configuration import Section

SAMPLING_RATE_HZ = 1.0
PADDING_PERIODS = 3
"""Periods of the cutoff that zero-phase filtering adds at each end. By then a filter of order 2 has forgotten all but
2e-6 of where it started."""

CutoffHz = Annotated[float, Field(ge=0.001, lt=SAMPLING_RATE_HZ / 2)]
"""A cutoff that a digital filter can have: below half the sampling rate."""

Method = Literal["butterworth", "moving_average", "none"]
Weights = Literal["triangular", "uniform"]


class SmoothingConfig(Section):
    """How a predicted curve is smoothed.

    Attributes:
        method: `butterworth`, `moving_average` or `none`.
        order: order of the Butterworth filter; forwards and backwards together act like twice that order.
        cutoff_hz: frequency at which a single pass has -3 dB (forwards and backwards together -6 dB).
        zero_phase: whether the filter runs forwards and backwards, without delay; otherwise it is causal, for live use.
        width_s: width of the moving average in seconds; odd, so that it has a middle.
        weights: weights of the moving average.
    """

    method: Method = "butterworth"
    order: int = Field(default=2, ge=1, le=10)
    cutoff_hz: CutoffHz = 0.05
    zero_phase: bool = True
    width_s: int = Field(default=15, ge=1)
    weights: Weights = "triangular"

    @field_validator("width_s")
    @classmethod
    def _has_a_middle(cls, width_s: int) -> int:
        if width_s % 2 == 0:
            raise ValueError("a moving average needs an odd width, or it would shift the curve by half a second")
        return width_s


def smooth(
    values: ArrayLike, config: SmoothingConfig, *, label_range: tuple[float, float] = (-1.0, 1.0)
) -> NDArray[np.float64]:
    """Smooths one predicted curve and keeps it in the labels' range, float64 [T]; all NaN if no second has a value.

    The function first interpolates seconds without a finite value, since one NaN would spoil the whole curve. It clips
    the result last, because a filter of order 2 or more overshoots at steps.

    Args:
        values: float [T], one value per second; T may be 0.
        config: the settings.
        label_range: lowest and highest label.

    Raises:
        ValueError: if the array is not one-dimensional, or the ends of the range are swapped.
    """
    curve = _as_curve(values)
    low, high = label_range
    if not low < high:
        raise ValueError(f"label_range must be (lowest, highest), it is {label_range}")
    finite = np.isfinite(curve)
    if not finite.any():
        return np.full(curve.size, np.nan)
    return np.clip(_filter(_fill(curve, finite), config), low, high)


def butterworth(values: ArrayLike, *, order: int, cutoff_hz: float, zero_phase: bool = True) -> NDArray[np.float64]:
    """The low-pass Butterworth filter in second-order sections, float64 [T] -> float64 [T].

    The transfer-function form would lose its poles to rounding at high order and low cutoff. Zero-phase filtering runs
    forwards and backwards (|H(f)|^2, no delay) over a curve that goes on as its mirror image:

        … 2 1 | 0 1 2 3 … T-1 | T-2 T-3 …      at least `PADDING_PERIODS` periods of the cutoff at each end

    This is `scipy.signal.sosfiltfilt` with `padtype="even"`. (SciPy's default, odd padding, turns the curve about its
    first value, so that the filtered curve begins exactly there, noise and all.) A curve shorter than the padding is
    mirrored again at its other end, as often as needed; one that is much shorter than a period comes out as little more
    than its mean. Causal filtering starts settled on the first value instead of on zero.

    Raises:
        ValueError: if values are not one-dimensional and finite, or the cutoff is outside (0, 0.5) Hz.
    """
    curve = _as_finite_curve(values)
    if curve.size == 0:
        return curve
    from scipy import signal  # here, for whoever reads a configuration filters nothing

    sections = signal.butter(order, cutoff_hz, btype="lowpass", output="sos", fs=SAMPLING_RATE_HZ)
    # The filter runs on the deviation from the first value: exact for constants, and less rounding on large offsets.
    level = curve[0]
    if not zero_phase:
        return np.asarray(level + signal.sosfilt(sections, curve - level), np.float64)
    # Near half the sampling rate, a filter rings as long as one that is as near to zero.
    padding = math.ceil(PADDING_PERIODS / min(cutoff_hz, SAMPLING_RATE_HZ / 2 - cutoff_hz))
    # NumPy pads, because SciPy refuses a padding that is longer than the curve.
    mirrored = np.pad(curve - level, padding, mode="reflect")
    filtered: NDArray[np.float64] = level + signal.sosfiltfilt(sections, mirrored, padtype=None)
    return filtered[padding : padding + curve.size]


def moving_average(values: ArrayLike, *, width_s: int, weights: Weights = "triangular") -> NDArray[np.float64]:
    """The weighted moving average around each second, float64 [T] -> float64 [T]: the paper's alternative.

    The weights are h+1-|k| (`triangular`) or 1 (`uniform`) for k = -h ... h, width 2h+1. At the ends only the part of
    the window that lies on the curve counts, and its weights are scaled to sum to one.

    Raises:
        ValueError: if values are not one-dimensional and finite, or the width is even or not positive.
    """
    curve = _as_finite_curve(values)
    if width_s < 1 or width_s % 2 == 0:
        raise ValueError(f"width_s must be odd and positive, it is {width_s}")
    half = width_s // 2
    offsets = np.arange(-half, half + 1)
    window = half + 1.0 - np.abs(offsets) if weights == "triangular" else np.ones(width_s)
    if curve.size == 0:
        return curve
    # The full convolution is cut here: mode "same" has the window's length if that is longer than the curve.
    on_curve = slice(half, half + curve.size)
    return np.convolve(curve, window)[on_curve] / np.convolve(np.ones(curve.size), window)[on_curve]


def _filter(curve: NDArray[np.float64], config: SmoothingConfig) -> NDArray[np.float64]:
    if config.method == "moving_average":
        return moving_average(curve, width_s=config.width_s, weights=config.weights)
    if config.method == "butterworth":
        return butterworth(curve, order=config.order, cutoff_hz=config.cutoff_hz, zero_phase=config.zero_phase)
    return curve


def _fill(curve: NDArray[np.float64], finite: NDArray[np.bool_]) -> NDArray[np.float64]:
    seconds = np.arange(curve.size)
    return np.where(finite, curve, np.interp(seconds, seconds[finite], curve[finite]))


def _as_curve(values: ArrayLike | Sequence[float]) -> NDArray[np.float64]:
    curve = np.array(values, dtype=np.float64)
    if curve.ndim != 1:
        raise ValueError(f"a curve has one axis, [T]; this array has the shape {curve.shape}")
    return curve


def _as_finite_curve(values: ArrayLike) -> NDArray[np.float64]:
    curve = _as_curve(values)
    if not np.isfinite(curve).all():
        raise ValueError("the curve holds NaN or infinite values; smooth() interpolates them first")
    return curve
