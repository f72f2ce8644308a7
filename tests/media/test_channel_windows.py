"""A film's sound second by second with its own channels and rate: the same for parts and wholes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.media.audio.audio_windows import audio_windows
from beam_pipelines.media.audio.channel_windows import ChannelWindow, channel_windows
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import MediaLimits, probe_film
from beam_pipelines.media.worker.decoding_process import DecodingProcess
from tests.support.synthetic_clips import Picture, Sound, regular_times, write_clip

AROUND = {"before_s": Fraction(1, 2), "after_s": Fraction(1, 10)}


def clip(path: Path, samples: np.ndarray, start_s: int = 0, **keys: str | int) -> Path:
    """A film of 4 s with this sound, float32 [channels, n], from `start_s` on."""
    return write_clip(path, regular_times(4, 1), sound=Sound([(Fraction(start_s), samples)], **keys), rate_hz=1)


def windows(path: Path, **keys: object) -> list[ChannelWindow]:
    return list(channel_windows(path, probe_film(path), **AROUND, **keys))


def test_channels_keep_their_samples_places_and_rate(tmp_path):
    sound = np.random.default_rng(1).uniform(-0.5, 0.5, (6, 3 * 8_000)).astype(np.float32)
    sound[1] = 0
    path = clip(tmp_path / "film.mov", sound, 1, rate_hz=8_000, layout="5.1", codec="pcm_f32le")
    found = windows(path)
    assert [window.present for window in found] == [False, True, True, True]
    # The right channel is silent; the effects channel (the fourth) has no row.
    assert found[2].names == ("MONO", "FL", "FC", "BL", "BR")
    assert found[2].rate_hz == 8_000
    np.testing.assert_array_equal(found[2].samples[1:], sound[[0, 2, 4, 5], 4_000 : 4_000 + 12_800])
    assert found[0].names == ()
    assert found[0].samples.size == 0
    # Around the last second: half a second before, nothing after it.
    np.testing.assert_array_equal(found[3].samples[1, 12_000:], 0)


def test_damaged_samples_are_bounded(tmp_path):
    sound = np.full((1, 4 * 8_000), 0.25, np.float32)
    sound[0, 100:103] = (np.nan, np.inf, -1e30)
    path = clip(tmp_path / "film.mov", sound, rate_hz=8_000, codec="pcm_f32le")
    samples = windows(path)[0].samples[0, 4_000:]
    assert samples[99:104].tolist() == [0.25, 0, 0, -8, 0.25]


def test_the_mono_row_is_what_networks_hear(tmp_path):
    sound = np.random.default_rng(2).uniform(-0.5, 0.5, (2, 4 * 16_000)).astype(np.float32)
    path = clip(tmp_path / "film.mov", sound, rate_hz=16_000, layout="stereo", codec="pcm_f32le")
    heard = audio_windows(path, probe_film(path), window_s=1.0)
    for window, mono in zip(windows(path), heard, strict=True):
        np.testing.assert_array_equal(window.samples[0, 8_000:24_000], mono.samples)


@pytest.mark.parametrize(("codec", "suffix"), [("aac", "mp4"), ("libopus", "webm")])
def test_parts_are_those_of_the_whole(tmp_path, codec, suffix):
    sound = np.random.default_rng(3).uniform(-0.5, 0.5, (2, 4 * 48_000)).astype(np.float32)
    vp8 = Picture(codec="libvpx", options={"deadline": "realtime", "cpu-used": "8"})
    path = write_clip(
        tmp_path / f"film.{suffix}",
        regular_times(4, 1),
        sound=Sound([(Fraction(0), sound)], layout="stereo", codec=codec),
        rate_hz=1,
        picture=Picture() if suffix == "mp4" else vp8,
    )
    whole, part = windows(path), windows(path, start=2, stop=4)
    assert [window.t for window in part] == [2, 3]
    for one, other in zip(whole[2:], part, strict=True):
        assert one.names == other.names
        np.testing.assert_array_equal(one.samples, other.samples)


def test_mono_tracks_of_one_sound_become_its_channels(shared_data):
    path = shared_data / "odd_films" / "six_mono_tracks.mov"
    found = windows(path)[1]
    # The tones are in the centre; the other tracks are silent.
    assert found.names == ("MONO", "FC")
    np.testing.assert_allclose(found.samples[0], found.samples[1] * np.float32(np.sqrt(0.5)), rtol=1e-4, atol=1e-6)


def test_the_decoding_process_gives_the_same_windows(tmp_path):
    sound = np.random.default_rng(4).uniform(-0.5, 0.5, (2, 2 * 8_000)).astype(np.float32)
    path = clip(tmp_path / "film.mov", sound, rate_hz=8_000, layout="stereo", codec="pcm_s16le")
    probe, there, here = probe_film(path), DecodeQuality(), DecodeQuality()
    with DecodingProcess() as decoder:
        received = list(decoder.channels(path, probe, range(4), there, AROUND["before_s"], AROUND["after_s"]))
        frames = list(decoder.pictures(path, probe, range(4), DecodeQuality(), MediaLimits(), pairs=True))
    for one, other in zip(received, windows(path, quality=here), strict=True):
        assert (one.t, one.rate_hz, one.names, one.present) == (other.t, other.rate_hz, other.names, other.present)
        np.testing.assert_array_equal(one.samples, other.samples)
    assert there == here
    assert [frame.pair is not None for frame in frames] == [True, True, True, False]
