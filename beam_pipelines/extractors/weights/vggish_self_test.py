"""The self-test that was published with VGGish: statistics of its embedding of a tone of 1 kHz."""

from __future__ import annotations

import numpy as np

from beam_pipelines.extractors.networks import log_mel
from beam_pipelines.extractors.networks.vggish import VGGishAudio
from beam_pipelines.foundation.errors import WeightsError

TONE_HZ = 1000.0
TONE_S = 3
EXPECTED_MEAN = 0.000657
EXPECTED_STANDARD_DEVIATION = 0.343
RELATIVE_TOLERANCE = 0.1


def self_test(vggish: VGGishAudio) -> str:
    """Embeds three seconds of a full-scale 1 kHz sine, and compares mean and deviation with the published ones.

    Returns:
        The numbers found, as text.

    Raises:
        WeightsError: if either number is more than 10 % off.
    """
    embeddings = vggish(tone_windows())
    mean, deviation = float(embeddings.mean()), float(embeddings.std())
    found = (
        f"self-test on {TONE_S} s of {TONE_HZ:.0f} Hz: embedding mean {mean:.6f}, standard deviation {deviation:.3f} "
        f"(published: {EXPECTED_MEAN:.6f}, {EXPECTED_STANDARD_DEVIATION:.3f}, to within {RELATIVE_TOLERANCE:.0%})"
    )
    expected = [EXPECTED_MEAN, EXPECTED_STANDARD_DEVIATION]
    if not np.allclose([mean, deviation], expected, rtol=RELATIVE_TOLERANCE, atol=0):
        raise WeightsError(
            f"VGGish: {found}: FAILED. If `cineaffect weights verify` finds its file right, what computes here is at "
            "fault: compare another machine, or other versions of onnxruntime and tensorflow"
        )
    return f"{found}: passed"


def tone_windows() -> np.ndarray:
    """The tone's three consecutive patches, cut as the reference does: float32 [3, 15600] every 15,360 samples."""
    seconds = np.arange(TONE_S * log_mel.SAMPLE_RATE_HZ) / log_mel.SAMPLE_RATE_HZ
    tone = np.sin(2 * np.pi * TONE_HZ * seconds).astype(np.float32)
    starts = range(0, len(tone) - log_mel.SPAN_SAMPLES + 1, log_mel.WINDOW_SAMPLES)
    return np.stack([tone[start : start + log_mel.SPAN_SAMPLES] for start in starts])
