"""Real films: T pictures and T windows each, and what is known about them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.media.audio.audio_windows import audio_windows
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import probe_film
from beam_pipelines.media.video.sample_frames import sample_frames

CLIPS = {
    # name: T, height, width, sampling rate, channels
    "big_buck_bunny_30s.webm": (30, 720, 1280, 44_100, 2),
    "big_buck_bunny_5s_51ch.mp4": (6, 720, 1280, 48_000, 6),
    "his_girl_friday_6s.mp4": (7, 480, 640, 44_100, 2),
    "mdn_chroma_face_24s.mp4": (25, 192, 320, 44_100, 2),
    "nasa_13013_17s.mp4": (14, 270, 480, 8_000, 2),
    "sintel_trailer_52s.mp4": (53, 204, 480, 44_100, 2),
    "tears_of_steel_17s_noaudio.webm": (17, 800, 1920, 0, 0),
}


@pytest.mark.parametrize("name", sorted(CLIPS))
def test_a_picture_and_a_window_for_every_second(shared_data: Path, name: str):
    clip = shared_data / "clips" / name
    seconds, height, width, rate_hz, channels = CLIPS[name]
    probe, quality = probe_film(clip), DecodeQuality()
    assert (probe.seconds, probe.height_px, probe.width_px) == (seconds, height, width)
    assert (probe.audio_rate_hz, probe.audio_channels) == (rate_hz, channels)
    times = []
    for frame in sample_frames(clip, probe, quality=quality):
        assert frame.image.shape == (height, width, 3)
        times.append(frame.timestamp_us)
        late_us = (probe.first_pts_s + frame.t) * 1_000_000 - frame.timestamp_us
        assert -1 <= late_us < 1_000_000 / 23
    assert len(times) == seconds
    windows = list(audio_windows(clip, probe, quality=quality))
    assert [window.t for window in windows] == list(range(seconds))
    assert (quality.frames_corrupt, quality.packet_errors, quality.read_errors) == (0, 0, 0)
    if channels == 0:
        assert not any(window.present for window in windows)
    else:
        assert all(window.present for window in windows[:-1])
        assert np.concatenate([window.samples for window in windows]).std() > 1e-3


def test_the_film_follows_the_chosen_stream_and_not_the_container(shared_data: Path):
    probe = probe_film(shared_data / "clips" / "nasa_13013_17s.mp4")
    assert (probe.video_index, probe.audio_index) == (3, 1)
    assert (probe.sound.tracks_in_film, probe.sound.why) == (2, "first")
    assert probe.average_rate_hz == Fraction(30_000, 1001)
    assert probe.duration_s == 390 * Fraction(1001, 30_000)
