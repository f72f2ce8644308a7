"""Sound on the clock of the pictures: against signals whose value is known at every instant."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.media.audio.audio_windows import AUDIO_RATE_HZ, AudioWindow, audio_windows
from beam_pipelines.media.audio.downmix import channel_weights
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import FilmProbe, probe_film
from tests.support.synthetic_clips import Picture, Sound, overwrite_packets, regular_times, stored_packets, write_clip

WINDOW = 15_360
# One step of 16-bit sound is 3e-5; the filter's pass band is flat to less than 1e-4.
PCM_TOLERANCE = 2e-4
VP9 = Picture("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"})


def signal(time_s: np.ndarray) -> np.ndarray:
    """A chirp and three tones below 6 kHz: it has no two instants alike, so that a shift by a sample is seen."""
    chirp = 0.25 * np.sin(2 * np.pi * (200 * time_s + 150 * time_s**2))
    tones = sum(0.1 * np.sin(2 * np.pi * rate_hz * time_s + rate_hz) for rate_hz in (331.7, 1_733.3, 5_901.1))
    return chirp + tones


def stretch(begin_s: Fraction, end_s: Fraction, rate_hz: int) -> tuple[Fraction, np.ndarray]:
    positions = np.arange(round(begin_s * rate_hz), round(end_s * rate_hz))
    return begin_s, signal(positions / rate_hz).astype(np.float32)[None]


def window_times(t: int) -> np.ndarray:
    return t + np.arange(WINDOW) / AUDIO_RATE_HZ


def windows_of(path: Path) -> tuple[FilmProbe, list[AudioWindow]]:
    probe = probe_film(path)
    windows = list(audio_windows(path, probe))
    assert windows
    assert [window.t for window in windows] == list(range(probe.seconds))
    for window in windows:
        assert window.samples.dtype == np.float32
        assert window.samples.shape == (WINDOW,)
        assert np.abs(window.samples).max() <= 1.0
        assert window.present or not window.samples.any()
    return probe, windows


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 44_100, 48_000, 96_000])
def test_every_sample_is_at_its_time(tmp_path: Path, rate_hz: int):
    sound = Sound([stretch(Fraction(0), Fraction(4), rate_hz)], rate_hz=rate_hz)
    _, windows = windows_of(write_clip(tmp_path / "a.mov", regular_times(75, 25), sound=sound))
    for window in windows:
        inside = slice(200, None) if window.t == 0 else slice(None)
        assert np.abs(window.samples - signal(window_times(window.t)))[inside].max() < PCM_TOLERANCE


@pytest.mark.parametrize(
    ("name", "codec", "picture"),
    [("a.mp4", "aac", Picture()), ("a.mkv", "aac", Picture()), ("a.ts", "aac", Picture()), ("a.webm", "libopus", VP9)],
)
def test_lossy_sound_is_not_shifted(tmp_path: Path, name: str, codec: str, picture: Picture):
    rate_hz = 48_000
    sound = Sound([stretch(Fraction(0), Fraction(4), rate_hz)], rate_hz=rate_hz, codec=codec)
    _, windows = windows_of(write_clip(tmp_path / name, regular_times(75, 25), sound=sound, picture=picture))
    for window in windows[1:]:
        truth = signal(window_times(window.t))
        lags = range(-30, 31)
        likeness = [float((window.samples[50:-50] * np.roll(truth, lag)[50:-50]).sum()) for lag in lags]
        # Matroska and WebM round to 1 ms, which is 16 samples; MPEG's clock rounds to a fifth of a sample.
        allowed = 9 if name.endswith(("mkv", "webm")) else 1
        assert abs(lags[int(np.argmax(likeness))]) <= allowed


def test_the_clock_is_that_of_the_pictures(tmp_path: Path):
    """The pictures begin 0.5 s after the sound: what is heard before them is cut."""
    rate_hz = 48_000
    sound = Sound([stretch(Fraction(0), Fraction(5), rate_hz)], rate_hz=rate_hz)
    clip = write_clip(tmp_path / "a.mov", regular_times(75, 25, start_s=Fraction(1, 2)), sound=sound)
    probe, windows = windows_of(clip)
    assert probe.first_pts_s == Fraction(1, 2)
    for window in windows:
        assert np.abs(window.samples - signal(window_times(window.t) + 0.5)).max() < PCM_TOLERANCE


def test_late_sound_gaps_and_an_early_end_are_zeros(tmp_path: Path):
    rate_hz = 44_100
    holes_at = [Fraction(13, 10), Fraction(27, 10), Fraction(51, 10), Fraction(6)]
    stretches = [stretch(begin, end, rate_hz) for begin, end in zip(holes_at[::2], holes_at[1::2], strict=True)]
    clip = write_clip(tmp_path / "a.mkv", regular_times(200, 25), sound=Sound(stretches, rate_hz=rate_hz))
    _, windows = windows_of(clip)
    assert [window.present for window in windows] == [False, True, True, False, False, True, False, False]
    for window in windows:
        times_s = window_times(window.t)
        heard = np.zeros(WINDOW, bool)
        # The filter needs 4 ms to come to rest at an edge, and Matroska rounds timestamps to 1 ms.
        margin_s = 0.006
        unsure = np.zeros(WINDOW, bool)
        for begin, end in zip(holes_at[::2], holes_at[1::2], strict=True):
            heard |= (times_s >= float(begin)) & (times_s < float(end))
            unsure |= (np.abs(times_s - float(begin)) < margin_s) | (np.abs(times_s - float(end)) < margin_s)
        assert np.abs(window.samples[~heard & ~unsure]).max(initial=0.0) < PCM_TOLERANCE
        rest = heard & ~unsure
        if rest.any():
            assert np.abs(window.samples - signal(times_s))[rest].max() < PCM_TOLERANCE


def test_sound_longer_than_the_picture_fills_the_last_window(tmp_path: Path):
    sound = Sound([stretch(Fraction(0), Fraction(6), 48_000)])
    probe, windows = windows_of(write_clip(tmp_path / "a.mov", regular_times(38, 25), sound=sound))
    assert probe.seconds == len(windows) == 2
    assert np.abs(windows[1].samples - signal(window_times(1))).max() < PCM_TOLERANCE


def test_without_sound_every_window_is_absent(tmp_path: Path):
    _, windows = windows_of(write_clip(tmp_path / "a.mp4", regular_times(60, 25)))
    assert len(windows) == 3
    assert not any(window.present for window in windows)


def test_silence_that_is_in_the_film_is_present(tmp_path: Path):
    sound = Sound([(Fraction(0), np.zeros((1, 96_000), np.float32))])
    _, windows = windows_of(write_clip(tmp_path / "a.mov", regular_times(50, 25), sound=sound))
    assert [window.present for window in windows] == [True, True]


HALF = np.sqrt(0.5)


@pytest.mark.parametrize(
    ("name", "codec", "layout", "weights"),
    [
        ("a.mov", "pcm_s16le", "5.1", [HALF, HALF, 1.0, 0.0, 0.5, 0.5]),
        # FFmpeg's Matroska muxer leaves the channels of plain PCM unnamed.
        ("a.mkv", "pcm_s16le", "5.1", [HALF, HALF, 1.0, 0.0, 0.5, 0.5]),
        # A plane for each channel, which is where PyAV's own access ends at seven.
        ("a.mkv", "wavpack", "5.1", [HALF, HALF, 1.0, 0.0, 0.5, 0.5]),
        ("a.mkv", "wavpack", "7.1", [HALF, HALF, 1.0, 0.0, 0.5, 0.5, 0.5, 0.5]),
    ],
)
def test_many_channels_are_mixed_with_their_weights(
    tmp_path: Path, name: str, codec: str, layout: str, weights: list[float]
):
    rate_hz, tones_hz = 48_000, (300, 700, 1_100, 60, 1_900, 2_300, 2_900, 3_700)[: len(weights)]
    times_s = np.arange(3 * rate_hz) / rate_hz
    channels = np.stack([0.3 * np.sin(2 * np.pi * tone_hz * times_s) for tone_hz in tones_hz]).astype(np.float32)
    # WavPack's encoder would choose eight bits by itself.
    sample_format = "s16p" if codec == "wavpack" else None
    stretches = [(Fraction(0), channels)]
    sound = Sound(stretches, rate_hz=rate_hz, layout=layout, codec=codec, sample_format=sample_format)
    probe, windows = windows_of(write_clip(tmp_path / name, regular_times(60, 25), sound=sound))
    assert probe.audio_channels == len(weights)
    shares = HALF * np.array(weights)
    angle = 2 * np.pi * np.outer(tones_hz, window_times(1))
    truth = (0.3 * shares[:, None] * np.sin(angle)).sum(axis=0)
    assert np.abs(windows[1].samples - truth).max() < PCM_TOLERANCE


def test_weights_of_channels():
    assert channel_weights(("FC",)) == (1.0,)
    assert channel_weights(("FL", "FR")) == (0.5, 0.5)
    assert channel_weights(("LFE",)) == (1.0,)
    assert channel_weights(("AMBI0", "AMBI1", "AMBI2", "AMBI3")) == (0.25,) * 4
    assert channel_weights(("FC", "LFE")) == (1.0, 0.0)
    assert channel_weights(("FL",)) == (1.0,)
    assert channel_weights(("FL", "FR", "BC")) == pytest.approx((0.5, 0.5, HALF / 2))


def test_five_channels_and_effects_are_as_loud_as_the_stereo_that_bs_775_makes_of_them():
    """ITU-R BS.775-3, table 2, to stereo: L + 0.7071 C + 0.7071 Ls; our mono of stereo is the mean of both."""
    names = ("FL", "FR", "FC", "LFE", "BL", "BR")
    left, right = np.array([1, 0, HALF, 0, HALF, 0]), np.array([0, 1, HALF, 0, 0, HALF])
    assert channel_weights(names) == pytest.approx((left + right) / 2)


def test_a_part_of_a_film_is_that_part_of_the_whole(tmp_path: Path):
    sound = Sound([stretch(Fraction(0), Fraction(7), 44_100)], rate_hz=44_100, codec="aac")
    clip = write_clip(tmp_path / "a.mp4", regular_times(160, 25), sound=sound)
    probe, whole = windows_of(clip)
    for start, stop in [(0, 2), (3, 6), (6, 7), (4, 4)]:
        part = list(audio_windows(clip, probe, start=start, stop=stop))
        assert [window.t for window in part] == list(range(start, stop))
        for window in part:
            assert window.samples.tobytes() == whole[window.t].samples.tobytes()
    with pytest.raises(ValueError, match="are not within"):
        audio_windows(clip, probe, start=0, stop=8)
    with pytest.raises(ValueError, match="holds no sample"):
        audio_windows(clip, probe, window_s=0.0)


@pytest.mark.parametrize(
    ("name", "codec", "rate_hz"),
    [
        ("a.mp4", "aac", 44_100),
        ("a.mkv", "aac", 44_100),
        ("a.mp4", "ac3", 48_000),
        ("a.mkv", "libopus", 48_000),
        ("a.mkv", "flac", 44_100),
        ("a.mov", "pcm_s16le", 44_100),
        ("a.ts", "aac", 48_000),
    ],
)
def test_parts_that_begin_at_a_later_decoder_are_the_whole(tmp_path: Path, monkeypatch, name, codec, rate_hz):
    monkeypatch.setattr("beam_pipelines.media.audio.sound_entry.ENTRY_EVERY_S", 5)
    noise = np.random.default_rng(3).normal(0, 0.05, 17 * rate_hz).astype(np.float32)[None]
    begin_s, samples = stretch(Fraction(0), Fraction(17), rate_hz)
    sound = Sound([(begin_s, samples + noise)], rate_hz=rate_hz, codec=codec)
    clip = write_clip(tmp_path / name, regular_times(17 * 25, 25), sound=sound)
    probe, counts = probe_film(clip), DecodeQuality()
    whole = list(audio_windows(clip, probe, quality=counts))
    summed = 0
    for start, stop in [(0, 4), (4, 10), (10, 13), (13, probe.seconds)]:
        quality = DecodeQuality()
        for window in audio_windows(clip, probe, start=start, stop=stop, quality=quality):
            assert window.samples.tobytes() == whole[window.t].samples.tobytes()
        summed += quality.frames_decoded
    monkeypatch.setattr("beam_pipelines.media.audio.sound_entry.ENTRY_EVERY_S", 300)
    for one, other in zip(whole, audio_windows(clip, probe), strict=True):
        # A decoder of its own differs by its noise generator at most; another place would differ by the signal.
        assert np.abs(one.samples - other.samples).max() < 0.02
    assert summed == counts.frames_decoded


@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
def test_a_later_decoder_changes_no_sample_of_aac_without_its_noise_generator(tmp_path: Path, monkeypatch, name):
    """Most encoders don't use that tool (PNS); their films longer than a stretch are what one decoder gives."""
    noise = np.random.default_rng(3).normal(0, 0.1, (2, 17 * 44_100)).astype(np.float32)
    sound = Sound(
        [(Fraction(0), noise)], rate_hz=44_100, layout="stereo", codec="aac", options={"aac_pns": "0", "b": "96000"}
    )
    clip = write_clip(tmp_path / name, regular_times(17 * 25, 25), sound=sound)
    probe = probe_film(clip)
    in_a_row = [window.samples.tobytes() for window in audio_windows(clip, probe)]
    monkeypatch.setattr("beam_pipelines.media.audio.sound_entry.ENTRY_EVERY_S", 5)
    assert [window.samples.tobytes() for window in audio_windows(clip, probe)] == in_a_row


def test_long_sound_neither_drifts_nor_fills_memory(tmp_path: Path):
    """At 11,025 Hz a packet is no whole number of output samples; a drift of 1e-6 would show after 2 minutes."""
    rate_hz, peaks = 11_025, []
    tone_hz = 1_250.25
    for seconds in (10, 120):
        times_s = np.arange(seconds * rate_hz) / rate_hz
        samples = (0.5 * np.sin(2 * np.pi * tone_hz * times_s)).astype(np.float32)[None]
        sound = Sound([(Fraction(0), samples)], rate_hz=rate_hz)
        clip = write_clip(tmp_path / f"{seconds}.mov", regular_times(seconds, 1), rate_hz=1, sound=sound)
        probe = probe_film(clip)
        tracemalloc.start()
        for window in audio_windows(clip, probe):
            if window.t == seconds - 2:
                truth = 0.5 * np.sin(2 * np.pi * tone_hz * window_times(window.t))
                assert np.abs(window.samples - truth).max() < PCM_TOLERANCE
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 8 * WINDOW


def test_damaged_packets_leave_zeros_and_nothing_moves(tmp_path: Path):
    sound = Sound([stretch(Fraction(0), Fraction(6), 48_000)], codec="flac")
    clip = write_clip(tmp_path / "a.mkv", regular_times(150, 25), sound=sound)
    damaged = [packet for packet in stored_packets(clip, "audio") if 2 <= packet.pts * packet.time_base < 3.9]
    overwrite_packets(clip, damaged, b"\x00")
    quality = DecodeQuality()
    probe = probe_film(clip)
    windows = list(audio_windows(clip, probe, quality=quality))
    assert quality.packet_errors > 0
    assert [window.present for window in windows] == [True, True, True, True, True, True]
    assert not windows[2].samples[4_000:].any()
    for t in (0, 1, 4, 5):
        assert np.abs(windows[t].samples - signal(window_times(t)))[200:-200].max() < PCM_TOLERANCE


def test_full_scale_stays_within_one(tmp_path: Path):
    square = np.sign(np.sin(2 * np.pi * 441 * np.arange(96_000) / 48_000)).astype(np.float32)[None]
    sound = Sound([(Fraction(0), square)], codec="pcm_f32le")
    _, windows = windows_of(write_clip(tmp_path / "a.mkv", regular_times(50, 25), sound=sound))
    assert windows[0].samples.max() == 1.0
    assert windows[0].samples.min() == -1.0
