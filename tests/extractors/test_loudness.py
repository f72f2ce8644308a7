"""Loudness against the synthetic cases of EBU Tech 3341 and 3342, and against FFmpeg's own meter."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import av
import numpy as np
import pytest

from beam_pipelines.extractors.signals.loudness import block_energies, channel_weight, k_weighting, loudness_columns

MOMENTARY, SHORT_TERM, INTEGRATED, RANGE = range(4)
STEREO, SURROUND = ("FL", "FR"), ("FL", "FR", "FC", "SL", "SR")


def tones(stretches: Sequence[tuple[float | Sequence[float], float]], rate_hz: int = 48_000) -> np.ndarray:
    """1 kHz sines, one after another: (dBFS of all channels or of each, seconds); float32 [channels, samples]."""
    parts = []
    for level, seconds in stretches:
        levels = np.broadcast_to(level, (2,)) if np.ndim(level) == 0 else np.asarray(level)
        sine = np.sin(2 * np.pi * 1000 * np.arange(round(seconds * rate_hz)) / rate_hz)
        parts.append(10 ** (levels[:, None] / 20) * sine)
    joined: np.ndarray = np.concatenate(parts, axis=1).astype(np.float32)
    return joined


def columns(samples: np.ndarray, names: Sequence[str] = STEREO, rate_hz: int = 48_000) -> np.ndarray:
    """float64 [T, 4]: the loudness of every whole second, each from its own window."""
    lead = rate_hz // 2
    padded = np.pad(samples, ((0, 0), (lead, 0)))
    seconds = range(samples.shape[1] // rate_hz)
    windows = (padded[:, t * rate_hz : (t + 1) * rate_hz + lead] for t in seconds)
    return loudness_columns(np.stack([block_energies(window, names, rate_hz, lead) for window in windows]))


@pytest.mark.parametrize(
    ("stretches", "names", "integrated", "rate_hz"),
    [
        ([(-23, 20)], STEREO, -23, 48_000),
        ([(-33, 20)], STEREO, -33, 44_100),
        ([(-36, 10), (-23, 60), (-36, 10)], STEREO, -23, 16_000),
        ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], STEREO, -23, 16_000),
        ([(-26, 20), (-20, 20.1), (-26, 20)], STEREO, -23, 32_000),
        ([((-28, -28, -24, -30, -30), 20)], SURROUND, -23, 48_000),
    ],
    ids=["1", "2", "3", "4", "5", "6"],
)
def test_tech_3341_integrated(stretches, names, integrated, rate_hz):
    found = columns(tones(stretches, rate_hz), names, rate_hz)
    assert found[-1, INTEGRATED] == pytest.approx(integrated, abs=0.1)
    if len(stretches) == 1:
        assert found[5, MOMENTARY] == pytest.approx(integrated, abs=0.1)
        assert found[5, SHORT_TERM] == pytest.approx(integrated, abs=0.1)


def test_tech_3341_short_term_and_momentary_of_alternating_tones():
    np.testing.assert_allclose(columns(tones([(-20, 1.34), (-30, 1.66)] * 5))[3:, SHORT_TERM], -23, atol=0.1)
    np.testing.assert_allclose(columns(tones([(-20, 0.18), (-30, 0.22)] * 20))[1:, MOMENTARY], -23, atol=0.1)


@pytest.mark.parametrize(
    ("levels", "loudness_range"), [((-20, -30), 10), ((-20, -15), 5), ((-40, -20), 20)], ids=["1", "2", "3"]
)
def test_tech_3342_range(levels, loudness_range):
    found = columns(tones([(level, 20) for level in levels], 16_000), rate_hz=16_000)
    assert found[-1, RANGE] == pytest.approx(loudness_range, abs=0.1)


def test_silence_is_at_the_gate_and_has_no_range():
    np.testing.assert_array_equal(columns(np.zeros((2, 48_000 * 3), np.float32)), [[-70, -70, -70, 0]] * 3)
    np.testing.assert_array_equal(loudness_columns(np.zeros((2, 10))), [[-70, -70, -70, 0]] * 2)


def test_the_filters_are_those_of_bs_1770():
    shelf, high_pass = k_weighting(48_000)
    np.testing.assert_allclose(shelf[:3], [1.53512485958697, -2.69169618940638, 1.19839281085285], rtol=1e-9)
    np.testing.assert_allclose(shelf[4:], [-1.69065929318241, 0.73248077421585], rtol=1e-9)
    np.testing.assert_allclose(high_pass, [1, -2, 1, 1, -1.99004745483398, 0.99007225036621], rtol=1e-9)


def test_sides_weigh_more_and_backs_only_where_they_are_the_sides():
    five, seven = ("FL", "FR", "FC", "BL", "BR"), ("FL", "FR", "FC", "SL", "SR", "BL", "BR")
    assert channel_weight("BL", five) == channel_weight("SR", seven) == pytest.approx(1.41, abs=0.01)
    assert channel_weight("BR", seven) == channel_weight("FC", five) == 1


def test_a_changing_sound_in_five_channels_agrees_with_ffmpegs_meter():
    rate_hz, rng = 48_000, np.random.default_rng(7)
    levels = 10 ** (rng.uniform(-50, -10, (5, 12)) / 20)
    noise = rng.normal(size=(5, 12, rate_hz)) * levels[:, :, None]
    samples = np.clip(noise, -1, 1).reshape(5, -1).astype(np.float32)
    found = columns(samples, SURROUND)
    for second, (momentary, short_term, integrated) in enumerate(ffmpeg_meter(samples, "5.0(side)", rate_hz)):
        if second >= 3:
            assert found[second, SHORT_TERM] == pytest.approx(short_term, abs=0.1)
            assert found[second, INTEGRATED] == pytest.approx(integrated, abs=0.1)
            assert found[second, MOMENTARY] >= momentary - 0.1


def ffmpeg_meter(samples: np.ndarray, layout: str, rate_hz: int) -> list[tuple[float, ...]]:
    """Momentary, short-term and integrated loudness at the end of every second, by the filter `ebur128`."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(format="fltp", sample_rate=rate_hz, layout=layout, time_base=f"1/{rate_hz}")
    nodes = [source, graph.add("ebur128", "metadata=1"), graph.add("abuffersink")]
    for node, following in pairwise(nodes):
        node.link_to(following)
    graph.configure()
    found = []
    block = rate_hz // 10
    for begin in range(0, samples.shape[1], block):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[:, begin : begin + block]), "fltp", layout)
        frame.sample_rate, frame.pts = rate_hz, begin
        graph.push(frame)
        metadata = graph.pull().metadata
        if (begin + block) % rate_hz == 0:
            found.append(tuple(float(metadata[f"lavfi.r128.{name}"]) for name in "MSI"))
    return found
