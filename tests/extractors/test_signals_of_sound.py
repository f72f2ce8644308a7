"""Spectrum, onsets and pitch of sounds that are known."""

from __future__ import annotations

import numpy as np
import pytest

from beam_pipelines.extractors.signals.columns import SOUND_COLUMNS
from beam_pipelines.extractors.signals.pitch import at_pitch_rate, pitch_and_clarity
from beam_pipelines.extractors.signals.sound_signals import second_of_sound
from beam_pipelines.extractors.signals.spectrum import centroid_and_flatness, power_spectra
from beam_pipelines.media.audio.channel_windows import ChannelWindow

BESIDE_LOUDNESS = SOUND_COLUMNS[4:]


def signals(sound: np.ndarray, rate_hz: int) -> dict[str, float]:
    """The signals of second 0, of 1.6 s of mono sound from -0.5 s on."""
    assert len(sound) == round(1.6 * rate_hz)
    rows = np.stack([sound, sound]).astype(np.float32)
    values = second_of_sound(ChannelWindow(0, rate_hz, ("MONO", "FC"), rows, True))
    return dict(zip(BESIDE_LOUDNESS, values[10:].tolist(), strict=True))


def times(rate_hz: int) -> np.ndarray:
    return np.arange(round(1.6 * rate_hz)) / rate_hz - 0.5


@pytest.mark.parametrize("rate_hz", [11_025, 44_100, 48_000])
@pytest.mark.parametrize("pitch_hz", [82.4, 220.0, 698.5])
def test_a_saw_has_its_pitch_and_is_steady(rate_hz, pitch_hz):
    harmonics = np.arange(1, int(4000 / pitch_hz))[:, None]
    saw = 0.3 * (np.sin(2 * np.pi * pitch_hz * harmonics * times(rate_hz)) / harmonics).sum(axis=0)
    found = signals(saw, rate_hz)
    assert found["pitch_hz"] == pytest.approx(pitch_hz, rel=0.005)
    assert found["pitch_clarity"] > 0.95
    assert found["harmonic_share"] > 0.85
    assert found["onsets"] == 0


def test_white_noise_is_flat_and_has_no_pitch():
    noise = np.random.default_rng(3).normal(scale=0.1, size=round(1.6 * 48_000))
    found = signals(noise, 48_000)
    assert found["spectral_flatness"] > 0.9
    assert found["spectral_centroid_hz"] == pytest.approx(12_000, rel=0.05)
    assert found["pitch_clarity"] < 0.4
    assert 0.3 < found["harmonic_share"] < 0.7
    assert found["silence"] == 0


@pytest.mark.parametrize("count", [1, 4, 7])
def test_clicks_and_tones_that_begin_are_counted_and_clicks_are_not_steady(count):
    rate_hz = 44_100
    clicks, notes = np.zeros(round(1.6 * rate_hz)), np.zeros(round(1.6 * rate_hz))
    for number in range(count):
        begin = round((0.5 + (number + 0.5) / count) * rate_hz)
        clicks[begin : begin + 40] = 0.8
        since_s = np.arange(round(0.12 * rate_hz)) / rate_hz
        note = 0.4 * np.exp(-60 * since_s) * np.sin(2 * np.pi * (300 + 90 * number) * since_s)
        notes[begin : begin + len(note)] += note[: len(notes) - begin]
    found = signals(clicks, rate_hz)
    assert found["onsets"] == count
    assert found["harmonic_share"] < 0.2
    assert signals(notes, rate_hz)["onsets"] == count


def test_digital_silence_and_absent_sound_are_zero():
    silent = second_of_sound(ChannelWindow(0, 48_000, (), np.zeros((0, 76_800), np.float32), True))
    assert silent.tolist() == [0.0] * 10 + [1.0] + [0.0] * 6
    assert not second_of_sound(ChannelWindow(0, 0, (), np.zeros((0, 0), np.float32), False)).any()


def test_half_a_second_of_tone_is_half_silent():
    sound = np.where(times(16_000) < 0.5, 0.2 * np.sin(2 * np.pi * 300 * times(16_000)), 0.0)
    assert signals(sound, 16_000)["silence"] == 0.5


def test_power_spectra_are_those_of_the_sum_that_defines_them():
    rate_hz = 4_000
    sound = np.random.default_rng(5).normal(size=rate_hz).astype(np.float32)
    spectra = power_spectra(sound, rate_hz)
    assert spectra.shape[0] == 49
    window, begin, length = 17, 17 * 80, 160
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(spectra.shape[1]), np.arange(length)) / 256)
    known = np.abs(waves @ (sound[begin : begin + length] * taper)) ** 2 / taper.sum() ** 2
    np.testing.assert_allclose(spectra[window], known, rtol=1e-3, atol=1e-7)
    frequencies, mean = np.linspace(0, 2000, spectra.shape[1]), spectra.mean(axis=0)
    assert centroid_and_flatness(spectra, rate_hz)[0] == pytest.approx(
        (frequencies * mean).sum() / mean.sum(), rel=1e-4
    )


def test_clarity_is_the_normalised_square_difference():
    rng = np.random.default_rng(9)
    sound = np.tile(rng.normal(size=50), 20)[:400] + rng.normal(scale=0.3, size=400)
    sound -= sound.mean()
    lags = {}
    for lag in range(20, 100):
        ahead, behind = sound[:-lag], sound[lag:]
        lags[lag] = 2 * (ahead * behind).sum() / ((ahead**2).sum() + (behind**2).sum())
    pitch_hz, clarity = pitch_and_clarity(sound.astype(np.float32))
    assert pitch_hz == pytest.approx(8_000 / 50, rel=0.01)
    assert clarity == pytest.approx(lags[50], abs=0.02)


def test_sound_at_the_pitch_rate_keeps_a_tone():
    tone = np.sin(2 * np.pi * 500 * np.arange(44_100) / 44_100).astype(np.float32)
    at_8_khz = at_pitch_rate(tone, 44_100)
    np.testing.assert_allclose(at_8_khz, np.sin(2 * np.pi * 500 * np.arange(8_000) / 8_000), atol=1e-3)
