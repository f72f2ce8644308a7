"""The sound of a demo film: a chord, a beat and noise that follow valence and arousal.

- valence: a low, rough, dark chord gives way to a high, pure, bright one (a major triad with overtones);
- arousal: everything becomes louder, the beat faster and the noise denser.

Some differences between films mean nothing: the key, the overall loudness, the sound of the beat.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.demo.latent import Latent

SAMPLE_RATE_HZ = 24_000
_SLOWEST_BEAT_HZ, _QUICKEST_BEAT_HZ = 1.0, 8.0
_DB = np.float32(np.log2(10) / 20)
# Frequencies as multiples of the key note, with amplitudes.
_DARK_CHORD = ((1.0, 1.0), (1.06, 0.9), (1.5, 0.4), (2.12, 0.3))
_BRIGHT_CHORD = ((4.0, 0.8), (5.0, 0.7), (6.0, 0.7), (8.0, 0.5), (12.0, 0.35), (16.0, 0.25))


def make_sound(latent: Latent, rng: np.random.Generator) -> NDArray[np.float32]:
    """The whole sound track, float32 [T * SAMPLE_RATE_HZ], mono, in [-1, 1]."""
    samples = latent.seconds * SAMPLE_RATE_HZ
    time_s = np.arange(samples, dtype=np.float64) / SAMPLE_RATE_HZ
    key_hz = rng.uniform(98.0, 131.0)
    gain_db = np.float32(rng.uniform(-3.0, 3.0))
    valence, arousal = latent.at(time_s)
    brightness, energy = ((curve.astype(np.float32) + 1) / 2 for curve in (valence, arousal))
    track = _chord(time_s, key_hz, _DARK_CHORD, rng) * (1 - brightness)
    track += _chord(time_s, key_hz, _BRIGHT_CHORD, rng) * brightness
    track *= 0.25
    track += 0.5 * _beat(latent, rng)
    track += 0.12 * rng.standard_normal(samples, dtype=np.float32) * energy**2
    loudness_db = gain_db - 24 + 20 * energy
    return np.clip(track * np.exp2(loudness_db * _DB), -1, 1)


def _chord(
    time_s: NDArray[np.float64], key_hz: float, partials: tuple[tuple[float, float], ...], rng: np.random.Generator
) -> NDArray[np.float32]:
    chord = np.zeros(time_s.size, np.float32)
    for multiple, amplitude in partials:
        phase = 2 * np.pi * (key_hz * multiple * time_s + rng.uniform())
        # In float32 a phase of thousands of turns would be noise: whole turns are removed first.
        chord += amplitude * np.sin(np.mod(phase, 2 * np.pi).astype(np.float32))
    return chord / np.float32(sum(amplitude for _, amplitude in partials))


def _beat(latent: Latent, rng: np.random.Generator) -> NDArray[np.float32]:
    """Short bursts of noise; their number per second follows arousal."""
    track = np.zeros(latent.seconds * SAMPLE_RATE_HZ, np.float32)
    length = SAMPLE_RATE_HZ // 8
    burst = rng.normal(size=length) * np.exp(-np.arange(length) / (SAMPLE_RATE_HZ * rng.uniform(0.015, 0.03)))
    at_s = 0.0
    while at_s < latent.seconds:
        start = int(at_s * SAMPLE_RATE_HZ)
        part = track[start : start + length]
        part += burst[: part.size].astype(np.float32)
        _, arousal = latent.at(np.array(at_s))
        rate_hz = _SLOWEST_BEAT_HZ * (_QUICKEST_BEAT_HZ / _SLOWEST_BEAT_HZ) ** ((float(arousal) + 1) / 2)
        at_s += rng.uniform(0.9, 1.1) / rate_hz
    return track
