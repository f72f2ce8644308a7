"""The frame after the one on screen: the same by a plan and by decoding everything; no picture changes for it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import probe_film
from beam_pipelines.media.video.decode_mode import DecodeMode
from beam_pipelines.media.video.key_frames import key_gap_s
from beam_pipelines.media.video.sample_frames import SampledFrame, sample_frames
from tests.support.synthetic_clips import B_FRAMES, Picture, read_number, regular_times, write_clip

SECONDS = 8
MODES = [DecodeMode(), DecodeMode("approximate", Fraction(1, 2)), DecodeMode("keyframes")]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 s of 25 frames each, with B-frames and a key frame every 24 frames."""
    return write_clip(
        tmp_path_factory.mktemp("pairs") / "film.mp4", regular_times(25 * SECONDS, 25), picture=B_FRAMES, rate_hz=25
    )


def numbers(frame: SampledFrame) -> tuple[int, int, float] | None:
    """The numbers of a pair's two frames, and the time between them."""
    if frame.pair is None:
        return None
    first, second = (read_number(np.repeat(grey[:, :, None], 3, 2)) for grey in (frame.pair.first, frame.pair.second))
    return first, second, frame.pair.apart_s


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_a_pair_is_the_picture_and_the_next_frame(film, mode):
    probe, planned, full = probe_film(film), DecodeQuality(), DecodeQuality()
    found = list(sample_frames(film, probe, mode=mode, pairs=True, quality=planned))
    plain = list(sample_frames(film, probe, mode=mode))
    everything = list(sample_frames(film, probe, mode=mode, pairs=True, planned=False, quality=full))
    for frame, same, decoded in zip(found, plain, everything, strict=True):
        np.testing.assert_array_equal(frame.image, same.image)
        assert (frame.timestamp_us, frame.fresh) == (same.timestamp_us, same.fresh)
        shown = read_number(frame.image)
        assert numbers(frame) == (shown, shown + 1, pytest.approx(0.04))
        assert numbers(decoded) == numbers(frame)
        assert decoded.key_gap_s == frame.key_gap_s
        assert same.pair is None
    assert planned.full_decodings == 0
    assert planned.frames_decoded < full.frames_decoded == 25 * SECONDS
    assert [frame.key_gap_s for frame in found] == [0, *[pytest.approx(0.96)] * 7]


def test_a_part_has_the_pairs_of_the_whole(film):
    probe = probe_film(film)
    whole = list(sample_frames(film, probe, pairs=True))
    part = list(sample_frames(film, probe, start=3, stop=6, pairs=True))
    assert [numbers(frame) for frame in part] == [numbers(frame) for frame in whole[3:6]]
    assert [frame.key_gap_s for frame in part] == [frame.key_gap_s for frame in whole[3:6]]


def test_a_frame_that_stays_for_longer_than_a_second_makes_no_pair(tmp_path):
    times = [Fraction(0), Fraction(3), Fraction(4), Fraction(9, 2)]
    path = write_clip(tmp_path / "slides.mp4", times, picture=Picture(options={"bf": "0"}), rate_hz=1)
    found = [numbers(frame) for frame in sample_frames(path, probe_film(path), pairs=True)]
    assert found[:5] == [None, None, None, (1, 2, 1.0), (2, 3, 0.5)]
    assert not any(found[5:])


def test_gaps_of_key_frames():
    keys_s = [0.0, 2.0, 2.4, 2.9, 7.9]
    assert [key_gap_s(keys_s, t) for t in range(9)] == [0, 0, 2.0, pytest.approx(0.4), 0, 0, 0, 0, pytest.approx(5.0)]
