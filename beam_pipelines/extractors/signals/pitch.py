"""The pitch of a second's sound and how clear it is: McLeod and Wyvill's normalised square difference (2005)."""

from __future__ import annotations

import numpy as np

PITCH_RATE_HZ = 8_000
_LOWEST_HZ, _HIGHEST_HZ = 65.0, 1_000.0
_WINDOW, _HOP = 400, 320
_TRANSFORM = 1024
# Of the peaks that reach this share of the highest, the first is the pitch; a window with a lower peak has none.
_SHARE_OF_HIGHEST, _VOICED = 0.9, 0.6
_SILENT_POWER = 1e-6


def at_pitch_rate(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """float32 [n] at 8 kHz: the sound below 4 kHz, by cutting its whole spectrum."""
    from scipy import fft  # here, since a worker without signals need not load it

    count = round(len(samples) * PITCH_RATE_HZ / rate_hz)
    spectrum = fft.rfft(samples)
    bins = min(len(spectrum), count // 2 + 1)
    kept: np.ndarray = fft.irfft(spectrum[:bins], count)
    return (kept * (count / len(samples))).astype(np.float32)


def pitch_and_clarity(samples: np.ndarray) -> tuple[float, float]:
    """The median pitch in Hz of the windows that have one, and the mean clarity of all that aren't silent.

    Args:
        samples: float32 [n], mono, 8 kHz.

    Returns:
        Pitch between 65 and 1,000 Hz, 0 if no window has one; clarity from 0 to 1 (1: periodic), 0 if all are silent.
    """
    windows = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP].astype(np.float64)
    windows = windows - windows.mean(axis=1, keepdims=True)
    loud = windows[(windows**2).mean(axis=1) > _SILENT_POWER]
    if not len(loud):
        return 0.0, 0.0
    found = [_peak(row) for row in _likeness(loud)]
    pitches = [PITCH_RATE_HZ / lag for lag, clarity in found if clarity >= _VOICED]
    return float(np.median(pitches)) if pitches else 0.0, float(np.mean([clarity for _, clarity in found]))


def _likeness(windows: np.ndarray) -> np.ndarray:
    """float64 [n, lags]: how like itself each window is after every lag, 1 for a periodic one."""
    from scipy import fft

    spectra = fft.rfft(windows, _TRANSFORM)
    products = fft.irfft(spectra.real**2 + spectra.imag**2, _TRANSFORM)
    longest = int(PITCH_RATE_HZ / _LOWEST_HZ) + 2
    sums = np.cumsum(windows**2, axis=1)
    whole = sums[:, -1:]
    lags = np.arange(1, longest)
    # The energies of the two parts that are compared at each lag.
    energies = sums[:, windows.shape[1] - 1 - lags] + whole - sums[:, lags - 1]
    likeness = np.ones((len(windows), longest))
    likeness[:, 1:] = 2 * products[:, 1:longest] / np.maximum(energies, np.finfo(np.float64).tiny)
    return likeness


def _peak(likeness: np.ndarray) -> tuple[float, float]:
    """Lag and height of a window's first high peak behind the first fall below zero, between the bins."""
    shortest = int(PITCH_RATE_HZ / _HIGHEST_HZ)
    below = np.flatnonzero(likeness < 0)
    if not len(below):
        return 1.0, 0.0
    middle = likeness[1:-1]
    peaks = 1 + np.flatnonzero((middle > 0) & (middle >= likeness[:-2]) & (middle > likeness[2:]))
    peaks = peaks[peaks >= max(shortest, below[0])]
    if not len(peaks):
        return 1.0, 0.0
    place = int(peaks[likeness[peaks] >= _SHARE_OF_HIGHEST * likeness[peaks].max()][0])
    left, height, right = likeness[place - 1 : place + 2]
    bend = left - 2 * height + right
    shift = 0.5 * (left - right) / bend if bend else 0.0
    return place + float(shift), float(np.clip(height - 0.25 * (left - right) * shift, 0.0, 1.0))
