"""What a second's spectrum says: its centre, its flatness, onsets, and the share of steady tones.

The spectrum is that of Hann windows of 40 ms, every 20 ms, at the film's own sampling rate.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

WINDOW_S, HOP_S = 0.04, 0.02
# Flatness and onsets are taken between these frequencies: below is rumble, and above many codecs leave nothing.
_LOWEST_HZ, _HIGHEST_HZ = 100.0, 8_000.0
_BANDS = 24
# Energies of a window below this share of full scale's count as this much: dither and codecs' noise begin no sound.
_FLOOR = 1e-7
_RISE_DB, _AROUND, _BEFORE = 3.0, 2, 5
# Of every other window, which is enough for what stands still.
_SMOOTHED_TIMES, _SMOOTHED_BINS, _EVERY = 9, 17, 2
_TONES_BELOW_HZ = 5_000.0


def power_spectra(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """The power spectra of successive windows.

    Args:
        samples: float32 [n], mono.
        rate_hz: the sampling rate.

    Returns:
        float32 [windows, bins]: window k begins k * 20 ms after the first sample; the bins reach from 0 Hz to half the
        rate, evenly. A full-scale sine in one of them has about 1/4 there.
    """
    from scipy import fft  # here, since a worker without signals need not load it

    length, hop = round(WINDOW_S * rate_hz), HOP_S * rate_hz
    starts = np.round(np.arange(int((len(samples) - length) / hop) + 1) * hop).astype(int)
    pieces = np.lib.stride_tricks.sliding_window_view(samples, length)[starts]
    spectra = fft.rfft(pieces * _hann(length), _fast_length(length))
    powers: np.ndarray = spectra.real**2 + spectra.imag**2
    return powers / np.float32(_hann(length).sum() ** 2)


@lru_cache(maxsize=8)
def _hann(length: int) -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)


def _fast_length(length: int) -> int:
    return 1 << (length - 1).bit_length()


def centroid_and_flatness(powers: np.ndarray, rate_hz: int) -> tuple[float, float]:
    """The centre of a second's mean power spectrum in Hz, and its flatness: geometric by arithmetic mean, 0 to 1."""
    mean = powers.mean(axis=0, dtype=np.float64)
    total = mean.sum()
    if total <= 0:
        return 0.0, 0.0
    frequencies = np.linspace(0, rate_hz / 2, len(mean))
    inside = mean[(frequencies >= _LOWEST_HZ) & (frequencies <= _HIGHEST_HZ)]
    flatness = 0.0
    if len(inside) and inside.any():
        inside = np.maximum(inside, np.finfo(np.float32).tiny)
        flatness = float(np.exp(np.log(inside).mean()) / inside.mean())
    return float((frequencies * mean).sum() / total), flatness


def onsets(powers: np.ndarray, rate_hz: int, wanted: slice) -> int:
    """How many sounds begin within the `wanted` windows.

    A sound begins where the level over all bands rises most within 40 ms on either side, and by at least 3 dB on
    average more than in the 0.1 s before (spectral flux with an adaptive threshold, Böck, Krebs and Schedl 2012).
    """
    levels = 10 * np.log10(np.add.reduceat(powers, _band_edges(powers.shape[1], rate_hz), axis=1)[:, :-1] + _FLOOR)
    rises = np.concatenate([[0.0], np.maximum(np.diff(levels, axis=0), 0).mean(axis=1)])
    padded = np.pad(rises, (_BEFORE, _AROUND))
    around = np.lib.stride_tricks.sliding_window_view(padded, _BEFORE + 1 + _AROUND)
    before, near, after = around[:, :_BEFORE], around[:, _BEFORE - _AROUND : _BEFORE], around[:, _BEFORE + 1 :]
    usual = np.partition(before, _BEFORE // 2, axis=1)[:, _BEFORE // 2]
    begins = (rises > near.max(axis=1)) & (rises >= after.max(axis=1)) & (rises > usual + _RISE_DB)
    return int(begins[wanted].sum())


@lru_cache(maxsize=8)
def _band_edges(bins: int, rate_hz: int) -> np.ndarray:
    """The first bins of bands of equal width in octaves, each at least one bin; the last one ends the last band."""
    top_hz = min(_HIGHEST_HZ, 0.98 * rate_hz / 2)
    edges = np.geomspace(_LOWEST_HZ, top_hz, _BANDS + 1) / (rate_hz / 2) * (bins - 1)
    return np.unique(np.round(edges).astype(int))


def harmonic_share(powers: np.ndarray, rate_hz: int, wanted: slice) -> float:
    """The share of the `wanted` windows' energy that stands still in time rather than across frequencies, 0 to 1.

    Harmonic-percussive separation by medians with soft masks (Fitzgerald 2010), below 5 kHz. Noise is in between.
    """
    bins = int(_TONES_BELOW_HZ / (rate_hz / 2) * (powers.shape[1] - 1)) + 1
    first, stop, _ = wanted.indices(len(powers))
    below = powers[first % _EVERY :: _EVERY, :bins]
    own = slice(first // _EVERY, (stop - first % _EVERY + _EVERY - 1) // _EVERY)
    total = float(below[own].sum(dtype=np.float64))
    if total <= 0:
        return 0.0
    steady = _medians(below, _SMOOTHED_TIMES, 0)[own].astype(np.float64) ** 2
    sudden = _medians(below[own], _SMOOTHED_BINS, 1).astype(np.float64) ** 2
    mask = steady / np.maximum(steady + sudden, np.finfo(np.float64).tiny)
    return float((mask * below[own]).sum() / total)


def _medians(values: np.ndarray, count: int, axis: int) -> np.ndarray:
    """The median of each value and its neighbours along an axis, `count` in all; the border is mirrored."""
    margin = [(count // 2, count // 2) if each == axis else (0, 0) for each in range(values.ndim)]
    around = np.lib.stride_tricks.sliding_window_view(np.pad(values, margin, mode="symmetric"), count, axis)
    medians: np.ndarray = np.partition(around, count // 2, axis=-1)[..., count // 2]
    return medians
