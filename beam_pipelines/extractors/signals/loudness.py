"""Loudness by ITU-R BS.1770-5 and EBU R 128: K-weighting, momentary and short-term loudness, gating, range.

A second's sound becomes ten energies, of 0.1 s each. All windows (0.4 s, 3 s, 60 s, the film so far) are sums of these,
taken once all seconds of a film are known. So no window depends on how the film was cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

BLOCKS_A_SECOND = 10
SILENT_LUFS = -70.0
"""The absolute gate: what is quieter counts as silence, and has this value (BS.1770-5)."""

_MOMENTARY_BLOCKS, _SHORT_TERM_S, _RANGE_S = 4, 3, 60
_RELATIVE_GATE_LU, _RANGE_GATE_LU = -10.0, -20.0
_RANGE_FROM, _RANGE_TO = 0.10, 0.95
_OFFSET_DB = -0.691
# Loudspeakers at the sides, 60 to 120 degrees from the front; those behind weigh 1. The surrounds of 5.1 stand there,
# whether a file calls them sides or backs.
_AT_THE_SIDE = math.sqrt(2)
# The analogue filters of BS.1770's tables at 48 kHz: frequency, gain in dB and quality of the shelf, then of the high
# pass.
_SHELF = (1681.974450955533, 3.999843853973347, 0.7071752369554196)
_HIGH_PASS = (38.13547087602444, 0.5003270373238773)
_HIGHEST_SHARE_OF_RATE = 0.45


def channel_weight(name: str, names: Sequence[str]) -> float:
    """BS.1770's weight of a loudspeaker in a layout."""
    behind_is_side = name in ("BL", "BR") and not {"SL", "SR"} & set(names)
    return _AT_THE_SIDE if name in ("SL", "SR") or behind_is_side else 1.0


def block_energies(samples: np.ndarray, names: Sequence[str], rate_hz: int, lead: int) -> np.ndarray:
    """The weighted energies of a second's tenths, by K-weighted channels.

    Args:
        samples: float32 [loudspeakers, lead + rate_hz or more]; full scale is 1.
        names: the loudspeakers' names.
        rate_hz: the sampling rate.
        lead: samples before the second, in which the filters settle.

    Returns:
        float64 [10]; a loudness is -0.691 + 10 log10 of their mean.
    """
    from scipy.signal import sosfilt

    if not len(samples):
        return np.zeros(BLOCKS_A_SECOND)
    weighted = sosfilt(k_weighting(rate_hz), samples[:, : lead + rate_hz].astype(np.float64))
    squares = weighted[:, lead:] ** 2
    squares *= np.array([channel_weight(name, names) for name in names])[:, None]
    edges = np.arange(BLOCKS_A_SECOND) * rate_hz // BLOCKS_A_SECOND
    lengths = np.diff(np.append(edges, squares.shape[1]))
    energies: np.ndarray = np.add.reduceat(squares.sum(axis=0), edges) / lengths
    return energies


@lru_cache(maxsize=8)
def k_weighting(rate_hz: int) -> np.ndarray:
    """K-weighting as second-order sections, float64 [sections, 6]; at 48 kHz they are BS.1770's tables."""
    sections = []
    centre_hz, gain_db, quality = _SHELF
    if centre_hz < _HIGHEST_SHARE_OF_RATE * rate_hz:
        k, high = math.tan(math.pi * centre_hz / rate_hz), 10 ** (gain_db / 20)
        middle = high**0.4996667741545416
        a0 = 1 + k / quality + k * k
        ahead = [(high + middle * k / quality + k * k) / a0, 2 * (k * k - high) / a0]
        ahead.append((high - middle * k / quality + k * k) / a0)
        sections.append([*ahead, 1, 2 * (k * k - 1) / a0, (1 - k / quality + k * k) / a0])
    centre_hz, quality = _HIGH_PASS
    k = math.tan(math.pi * centre_hz / rate_hz)
    a0 = 1 + k / quality + k * k
    sections.append([1, -2, 1, 1, 2 * (k * k - 1) / a0, (1 - k / quality + k * k) / a0])
    return np.array(sections)


def loudness_columns(energies: np.ndarray) -> np.ndarray:
    """The loudness of every second of a film.

    Args:
        energies: float [T, 10], from `block_energies`; zero where there is no sound.

    Returns:
        float64 [T, 4]: momentary (the loudest 0.4 s that end in the second), short-term (the 3 s that end with it),
        integrated (gated, from the film's beginning), in LUFS; range over the last 60 s, in LU.
    """
    momentary = _mean_of_last(energies.ravel().astype(np.float64), _MOMENTARY_BLOCKS)
    in_second = momentary.reshape(-1, BLOCKS_A_SECOND)
    short_term = _mean_of_last(energies.mean(axis=1, dtype=np.float64), _SHORT_TERM_S)
    # The film's first three tenths end no whole window.
    whole = momentary[_MOMENTARY_BLOCKS - 1 :]
    per_second = (in_second.max(axis=1), short_term)
    levels = [np.maximum(to_lufs(energy), SILENT_LUFS) for energy in per_second]
    return np.stack([*levels, _integrated(whole, len(energies)), _ranges(short_term)], axis=1)


def to_lufs(energies: np.ndarray) -> np.ndarray:
    """Energies as LUFS; the least that a float holds for none."""
    lufs: np.ndarray = _OFFSET_DB + 10 * np.log10(np.maximum(energies, np.finfo(np.float64).tiny))
    return lufs


def _mean_of_last(values: np.ndarray, count: int) -> np.ndarray:
    """The mean of each value and those before it, `count` in all, or as many as there are."""
    padded = np.concatenate([np.zeros(count - 1), values])
    sums = np.lib.stride_tricks.sliding_window_view(padded, count).sum(axis=1)
    means: np.ndarray = sums / np.minimum(np.arange(1, len(values) + 1), count)
    return means


def _integrated(windows: np.ndarray, seconds: int) -> np.ndarray:
    """BS.1770's gated loudness from the beginning to the end of each second."""
    above = to_lufs(windows) > SILENT_LUFS
    integrated = np.full(seconds, SILENT_LUFS)
    for t in range(seconds):
        end = (t + 1) * BLOCKS_A_SECOND - (_MOMENTARY_BLOCKS - 1)
        loud = windows[:end][above[:end]]
        if len(loud):
            gate = loud.mean() * 10 ** (_RELATIVE_GATE_LU / 10)
            integrated[t] = to_lufs(loud[loud > gate].mean())
    return integrated


def _ranges(short_term: np.ndarray) -> np.ndarray:
    """EBU Tech 3342's loudness range of the short-term loudness over the last 60 s; 0 while all are silent."""
    ranges = np.zeros(len(short_term))
    for t in range(len(short_term)):
        last = short_term[max(0, t + 1 - _RANGE_S) : t + 1]
        loud = last[to_lufs(last) > SILENT_LUFS]
        if len(loud):
            levels = np.sort(to_lufs(loud[loud > loud.mean() * 10 ** (_RANGE_GATE_LU / 10)]))
            places = [round((len(levels) - 1) * share) for share in (_RANGE_FROM, _RANGE_TO)]
            ranges[t] = levels[places[1]] - levels[places[0]]
    return ranges
