"""From the sound of successive seconds to the track `sound_signals`."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from beam_pipelines.extractors.signals.columns import SOUND_COLUMNS
from beam_pipelines.extractors.signals.loudness import BLOCKS_A_SECOND, block_energies, loudness_columns
from beam_pipelines.extractors.signals.pitch import PITCH_RATE_HZ, at_pitch_rate, pitch_and_clarity
from beam_pipelines.extractors.signals.spectrum import (
    HOP_S,
    centroid_and_flatness,
    harmonic_share,
    onsets,
    power_spectra,
)
from beam_pipelines.media.audio.channel_windows import MONO, ChannelWindow

BEFORE_S, AFTER_S = Fraction(1, 2), Fraction(1, 10)
"""How much sound around its second a window needs: filters settle, and an onset has something before and after it."""

_SILENT_POWER = 1e-6
_LOUDNESS = 4


def second_of_sound(window: ChannelWindow) -> np.ndarray:
    """The values of one second alone, float64 [10 + 7]: energies, then the columns after the loudness."""
    values = np.zeros(BLOCKS_A_SECOND + len(SOUND_COLUMNS) - _LOUDNESS)
    if not window.present:
        return values
    if not window.names:
        values[BLOCKS_A_SECOND] = 1.0
        return values
    rate_hz, lead = window.rate_hz, int(BEFORE_S * window.rate_hz)
    of_mono = len(window.names) > 0 and window.names[0] == MONO
    values[:BLOCKS_A_SECOND] = block_energies(window.samples[of_mono:], window.names[of_mono:], rate_hz, lead)
    mono = window.samples[0] if of_mono else np.zeros_like(window.samples[0])
    second = mono[lead : lead + rate_hz]
    edges = np.arange(BLOCKS_A_SECOND) * len(second) // BLOCKS_A_SECOND
    powers = np.add.reduceat(second.astype(np.float64) ** 2, edges) / (len(second) / BLOCKS_A_SECOND)
    spectra = power_spectra(mono, rate_hz)
    first = round(float(BEFORE_S) / HOP_S)
    own = slice(first, first + round(1 / HOP_S))
    at_8_khz = at_pitch_rate(mono, rate_hz)
    begin = int(BEFORE_S * PITCH_RATE_HZ)
    values[BLOCKS_A_SECOND:] = (
        (powers < _SILENT_POWER).mean(),
        *centroid_and_flatness(spectra[own], rate_hz),
        onsets(spectra, rate_hz, own),
        *pitch_and_clarity(at_8_khz[begin : begin + PITCH_RATE_HZ]),
        harmonic_share(spectra, rate_hz, own),
    )
    return values


def film_of_sound(seconds: np.ndarray, present: np.ndarray) -> np.ndarray:
    """The columns of a film, float32 [T, 11], from `second_of_sound` of all its seconds and bool [T] of presence."""
    columns = np.concatenate([loudness_columns(seconds[:, :BLOCKS_A_SECOND]), seconds[:, BLOCKS_A_SECOND:]], axis=1)
    columns[~present] = 0
    return columns.astype(np.float32)
