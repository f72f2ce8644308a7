"""VGGish's front end: 0.96 s of sound at 16 kHz -> a log-mel patch of 96 frames by 64 bands.

The definition is that of the AudioSet release (tensorflow/models, research/audioset/vggish): frames of 25 ms every
10 ms, a periodic Hann window, a 512-point Fourier transform, its *magnitude*, 64 triangular bands that are equally
spaced on the HTK mel scale between 125 and 7500 Hz, and log(band + 0.01).

It is computed in NumPy and float64 on purpose. In float32 the rounding of a loud tone (5e-7 per bin) is up to 5e-4 of
the bands that hold only the offset 0.01. In float64 the patch is exact to the last bit of its float32 result, whatever
backend the network runs on. It costs about 3 % of the network's time on the same core.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

SAMPLE_RATE_HZ = 16_000
FRAME_SAMPLES = 400
HOP_SAMPLES = 160
FFT_SAMPLES = 512
FRAMES = 96
BANDS = 64
LOWEST_HZ = 125.0
HIGHEST_HZ = 7500.0
LOG_OFFSET = 0.01

WINDOW_SAMPLES = FRAMES * HOP_SAMPLES
"""15,360 samples: the 0.96 s of a second's sound."""

SPAN_SAMPLES = (FRAMES - 1) * HOP_SAMPLES + FRAME_SAMPLES
"""15,600 samples: the span of 96 frames of 25 ms every 10 ms, 15 ms more than 0.96 s."""


def log_mel_patches(
    samples: np.ndarray,
    bands: int = BANDS,
    lowest_hz: float = LOWEST_HZ,
    highest_hz: float = HIGHEST_HZ,
    log_offset: float = LOG_OFFSET,
) -> np.ndarray:
    """Log-mel patches of a batch of windows.

    A window of 15,360 samples is the 0.96 s of one second; zeros replace the 240 samples after it, so that a second's
    sound does not depend on later sound. With 15,600 samples the patch is that of the reference.

    Args:
        samples: float32 [n, 15360] or [n, 15600], mono, 16 kHz, in [-1, 1].
        bands, lowest_hz, highest_hz, log_offset: VGGish's own, or another network's.

    Returns:
        float32 [n, 96, bands].

    Raises:
        ValueError: if the shape differs.
    """
    if samples.ndim != 2 or samples.shape[1] not in (WINDOW_SAMPLES, SPAN_SAMPLES):
        raise ValueError(
            f"sound of shape {list(samples.shape)}: wanted [n, {WINDOW_SAMPLES}] or [n, {SPAN_SAMPLES}] at 16 kHz"
        )
    padded = np.zeros((samples.shape[0], SPAN_SAMPLES), np.float64)
    padded[:, : samples.shape[1]] = samples
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME_SAMPLES, axis=1)[:, ::HOP_SAMPLES]
    magnitudes = np.abs(np.fft.rfft(frames * _hann_window(), FFT_SAMPLES))
    # matmul works window by window: a patch has the same bits whatever other windows are in the batch.
    return np.log(np.matmul(magnitudes, mel_weights(bands, lowest_hz, highest_hz)) + log_offset).astype(np.float32)


@lru_cache(maxsize=4)
def mel_weights(bands: int = BANDS, lowest_hz: float = LOWEST_HZ, highest_hz: float = HIGHEST_HZ) -> np.ndarray:
    """The weights of the bands: float64 [257, bands], triangles on the mel scale; the bin of 0 Hz has weight 0."""
    bins = _mel_of(np.linspace(0.0, SAMPLE_RATE_HZ / 2, FFT_SAMPLES // 2 + 1))[:, None]
    edges = np.linspace(_mel_of(np.float64(lowest_hz)), _mel_of(np.float64(highest_hz)), bands + 2)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    weights = np.maximum(0.0, np.minimum((bins - lower) / (centre - lower), (upper - bins) / (upper - centre)))
    weights[0] = 0.0
    weights.setflags(write=False)
    return weights


def _mel_of(frequency_hz: np.ndarray | np.float64) -> np.ndarray:
    """The HTK mel scale, with the constants of the reference."""
    return 1127.0 * np.log(1.0 + np.asarray(frequency_hz) / 700.0)


@lru_cache(maxsize=1)
def _hann_window() -> np.ndarray:
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME_SAMPLES) / FRAME_SAMPLES)
    window.setflags(write=False)
    return window
