"""The log-mel front end against a second one: explicit sums of the Fourier transform, band by band, in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest

from beam_pipelines.extractors.networks import log_mel

SECONDS = np.arange(log_mel.SPAN_SAMPLES) / 16_000


def independent_log_mel(sound: np.ndarray) -> np.ndarray:
    """[15600] -> float64 [96, 64]. The mel scale is HTK's in its other form; its factor cancels in the triangles."""
    positions = np.arange(400)
    window = np.array([math.sin(math.pi * position / 400) ** 2 for position in positions])
    angles = 2 * np.pi * np.outer(positions, np.arange(257)) / 512
    bands = np.zeros((257, 64))
    lowest, highest = (2595 * math.log10(1 + hertz / 700) for hertz in (125, 7500))
    edges = [lowest + (highest - lowest) * index / 65 for index in range(66)]
    for band in range(64):
        for bin_number in range(1, 257):
            mel = 2595 * math.log10(1 + bin_number * 31.25 / 700)
            rising = (mel - edges[band]) / (edges[band + 1] - edges[band])
            falling = (edges[band + 2] - mel) / (edges[band + 2] - edges[band + 1])
            bands[bin_number, band] = max(0.0, min(rising, falling))
    patch = np.empty((96, 64))
    for frame in range(96):
        part = sound[frame * 160 : frame * 160 + 400].astype(np.float64) * window
        magnitude = np.hypot(part @ np.cos(angles), part @ np.sin(angles))
        patch[frame] = np.log(magnitude @ bands + 0.01)
    return patch


def sounds() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(5)
    noise = generator.uniform(-1, 1, log_mel.SPAN_SAMPLES)
    return {
        "silence": np.zeros(log_mel.SPAN_SAMPLES),
        "loud noise": noise,
        "quiet noise": noise * 1e-4,
        "sine of 1 kHz": np.sin(2 * np.pi * 1000 * SECONDS),
        "sine of 130 Hz": np.sin(2 * np.pi * 130 * SECONDS),
        "quiet sine": 1e-3 * np.sin(2 * np.pi * 440 * SECONDS),
        "chirp": np.sin(2 * np.pi * (100 * SECONDS + 3800 * SECONDS**2)),
        "clipped": np.clip(3 * np.sin(2 * np.pi * 333 * SECONDS), -1, 1),
    }


@pytest.mark.parametrize("name", list(sounds()))
def test_agrees_with_an_independent_version(name: str) -> None:
    sound = sounds()[name].astype(np.float32)
    patch = log_mel.log_mel_patches(sound[None])[0]
    assert patch.dtype == np.float32
    assert patch.shape == (96, 64)
    np.testing.assert_allclose(patch, independent_log_mel(sound), rtol=0, atol=1e-5)


def test_a_second_without_what_follows_it_differs_in_the_last_two_frames_only() -> None:
    sound = sounds()["loud noise"].astype(np.float32)
    whole = log_mel.log_mel_patches(sound[None])[0]
    second = log_mel.log_mel_patches(sound[None, : log_mel.WINDOW_SAMPLES])[0]
    assert np.array_equal(whole[:94], second[:94])
    assert not np.array_equal(whole[94], second[94])
    padded = np.concatenate([sound[: log_mel.WINDOW_SAMPLES], np.zeros(240, np.float32)])
    assert np.array_equal(second, log_mel.log_mel_patches(padded[None])[0])


def test_a_patch_has_the_same_bits_in_every_batch() -> None:
    batch = np.stack(list(sounds().values())).astype(np.float32)
    together = log_mel.log_mel_patches(batch)
    for number, sound in enumerate(batch):
        assert np.array_equal(log_mel.log_mel_patches(sound[None])[0], together[number])
    assert np.array_equal(log_mel.log_mel_patches(batch[::-1])[::-1], together)


@pytest.mark.parametrize("shape", [(15_360,), (2, 16_000), (2, 1, 15_360)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="15360"):
        log_mel.log_mel_patches(np.zeros(shape, np.float32))
