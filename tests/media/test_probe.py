"""The film's clock and streams, on clips whose truth is known."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media.probe import MediaLimits, probe_film
from tests.support.synthetic_clips import (
    B_FRAMES,
    HEIGHT_PX,
    WIDTH_PX,
    Picture,
    Sound,
    numbered_picture,
    overwrite_packets,
    regular_times,
    stored_packets,
    write_clip,
)

SECOND_OF_NOISE = np.random.default_rng(1).uniform(-0.3, 0.3, (1, 48_000)).astype(np.float32)


def reason_of(path: Path, limits: MediaLimits | None = None) -> str:
    with pytest.raises(FilmError) as caught:
        probe_film(path, limits or MediaLimits())
    assert caught.value.step == "probe"
    assert caught.value.detail.count(path.name) == 1
    assert "Errno" not in caught.value.detail
    return caught.value.reason


def test_duration_is_exact_at_a_fractional_rate(tmp_path: Path):
    rate_hz = Fraction(24_000, 1001)
    clip = write_clip(tmp_path / "a.mp4", regular_times(48, rate_hz), rate_hz=rate_hz, picture=B_FRAMES)
    probe = probe_film(clip)
    assert probe.duration_s == 48 / rate_hz == Fraction(2002, 1000)
    assert probe.seconds == 3
    assert (probe.first_pts_s, probe.codec, probe.width_px, probe.height_px) == (0, "h264", WIDTH_PX, HEIGHT_PX)
    assert (probe.audio_index, probe.audio_rate_hz, probe.audio_channels) == (None, 0, 0)


@pytest.mark.parametrize(("count", "seconds"), [(1, 1), (12, 1), (25, 1), (26, 2), (50, 2)])
def test_seconds_round_up_and_whole_seconds_stay(tmp_path: Path, count: int, seconds: int):
    clip = write_clip(tmp_path / "a.mp4", regular_times(count, 25))
    probe = probe_film(clip)
    assert (probe.duration_s, probe.seconds) == (Fraction(count, 25), seconds)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_time_is_counted_from_the_first_timestamp(tmp_path: Path, name: str):
    clip = write_clip(tmp_path / name, regular_times(30, 25, start_s=Fraction(7, 2)), picture=B_FRAMES)
    probe = probe_film(clip)
    assert probe.first_pts_s >= Fraction(7, 2)
    assert probe.duration_s == Fraction(30, 25)
    assert probe.seconds == 2


def test_the_last_frame_of_a_variable_rate_counts_with_its_own_duration(tmp_path: Path):
    times_s = [Fraction(0), Fraction(1, 3), Fraction(2), Fraction(29, 10)]
    clip = write_clip(tmp_path / "a.mp4", times_s, rate_hz=5)
    assert probe_film(clip).duration_s == Fraction(31, 10)


def test_sound_does_not_lengthen_a_film(tmp_path: Path):
    sound = Sound([(Fraction(0), np.tile(SECOND_OF_NOISE, 4))], codec="aac")
    probe = probe_film(write_clip(tmp_path / "a.mp4", regular_times(30, 25), sound=sound))
    assert (probe.seconds, probe.audio_rate_hz, probe.audio_channels) == (2, 48_000, 1)


@pytest.mark.parametrize("rotation_deg", [0, 90, 180, 270])
def test_size_is_given_as_shown(tmp_path: Path, rotation_deg: int):
    probe = probe_film(write_clip(tmp_path / "a.mp4", regular_times(3, 25), picture=Picture(rotation_deg=rotation_deg)))
    assert (probe.rotation_deg, probe.mirrored) == (rotation_deg, False)
    assert (probe.width_px, probe.height_px) == (WIDTH_PX, HEIGHT_PX)


def test_packets_without_timestamps_follow_one_another(tmp_path: Path):
    clip = write_clip(tmp_path / "a.h264", regular_times(40, 25), picture=B_FRAMES, time_base=Fraction(1, 25))
    probe = probe_film(clip)
    assert (probe.first_pts_s, probe.duration_s, probe.seconds) == (0, Fraction(40, 25), 2)


def test_a_packet_without_duration_lasts_one_frame(tmp_path: Path):
    """WebM and Matroska need not store durations; here even the frame rate must be worked out from the timestamps."""
    clip = tmp_path / "a.mkv"
    with av.open(str(clip), "w") as container:
        video = container.add_stream("mjpeg", rate=25)
        video.width, video.height, video.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuvj420p"
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(numbered_picture(number), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            video.codec_context.time_base = Fraction(1, 10)
            for packet in video.encode(frame):
                packet.duration = 0
                container.mux(packet)
    probe = probe_film(clip)
    assert probe.average_rate_hz is not None
    assert probe.duration_s == Fraction(19, 10) + 1 / probe.average_rate_hz


def test_an_edit_list_hides_what_comes_before_the_first_shown_frame(tmp_path: Path):
    # The muxer writes frames before time zero and an edit list that begins at zero.
    clip = write_clip(
        tmp_path / "a.mp4",
        regular_times(50, 25, start_s=Fraction(-12, 25)),
        muxer_options={"avoid_negative_ts": "disabled", "use_editlist": "1"},
    )
    probe = probe_film(clip)
    with av.open(str(clip)) as container:
        frames: list[Any] = list(container.decode(video=0))
    shown = [frame.pts * frame.time_base for frame in frames]
    assert len(shown) == 38
    assert (probe.first_pts_s, probe.duration_s) == (min(shown), Fraction(38, 25))


def test_the_cover_of_a_song_is_no_film(tmp_path: Path):
    clip = tmp_path / "song.mp3"
    with av.open(str(clip), "w") as container:
        audio = container.add_stream("libmp3lame", rate=48_000, layout="mono")
        cover = container.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = WIDTH_PX, HEIGHT_PX, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(numbered_picture(1), format="rgb24")
        container.mux(cover.encode(picture))
        container.mux(cover.encode(None))
        samples = av.AudioFrame.from_ndarray(SECOND_OF_NOISE, "fltp", "mono")
        samples.sample_rate, samples.pts, samples.time_base = 48_000, 0, Fraction(1, 48_000)
        container.mux(audio.encode(samples))
        container.mux(audio.encode(None))
    with av.open(str(clip)) as container:
        assert len(container.streams.video) == 1
    assert reason_of(clip) == "no_video_stream"


def test_what_is_no_film_is_named(tmp_path: Path):
    text, empty = tmp_path / "text.mp4", tmp_path / "empty.mp4"
    text.write_text("a text, not a film\n" * 200)
    empty.touch()
    assert reason_of(text) == "unreadable"
    assert reason_of(empty) == "empty_file"
    assert reason_of(tmp_path / "absent.mp4") == "unreadable"
    assert reason_of(tmp_path) == "unreadable"


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path):
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    assert reason_of(pipe) == "unreadable"


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile inner.mp4\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\ninner.mp4\n#EXT-X-ENDLIST\n",
    ],
)
def test_a_list_of_other_files_is_not_followed(tmp_path: Path, text: str):
    write_clip(tmp_path / "inner.mp4", regular_times(5, 25))
    (tmp_path / "outer.mp4").write_text(text)
    assert reason_of(tmp_path / "outer.mp4") == "unreadable"


def test_beyond_the_limits_is_refused(tmp_path: Path):
    sound = Sound([(Fraction(0), SECOND_OF_NOISE)])
    clip = write_clip(tmp_path / "a.mov", regular_times(51, 25), sound=sound)
    assert reason_of(clip, MediaLimits(max_duration_s=2)) == "too_long"
    assert reason_of(clip, MediaLimits(max_width_px=WIDTH_PX - 1)) == "too_large"
    assert reason_of(clip, MediaLimits(max_height_px=HEIGHT_PX - 1)) == "too_large"
    assert reason_of(clip, MediaLimits(max_pixels=WIDTH_PX * HEIGHT_PX - 1)) == "too_large"
    assert reason_of(clip, MediaLimits(max_audio_rate_hz=44_100)) == "too_large"
    exact = MediaLimits(
        max_duration_s=3, max_width_px=WIDTH_PX, max_height_px=HEIGHT_PX, max_pixels=WIDTH_PX * HEIGHT_PX
    )
    assert probe_film(clip, exact).seconds == 3


def test_sound_alone_has_no_video_stream(tmp_path: Path):
    clip = tmp_path / "a.m4a"
    with av.open(str(clip), "w") as container:
        audio = container.add_stream("aac", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(SECOND_OF_NOISE, "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    assert reason_of(clip) == "no_video_stream"


@pytest.mark.parametrize(
    "name", ["Film: the return.mp4", "50%_ночь?.mp4", "a'b\"<c>.mp4", "file:x.mp4", "shot%03d.mp4"]
)
def test_any_name_is_a_file_and_no_protocol(tmp_path: Path, name: str):
    assert probe_film(write_clip(tmp_path / "plain.mp4", regular_times(5, 25)).rename(tmp_path / name)).seconds == 1


def test_pictures_that_cannot_be_decoded_are_no_frames(tmp_path: Path):
    clip = write_clip(tmp_path / "a.mkv", regular_times(10, 25), picture=Picture(options={"preset": "ultrafast"}))
    overwrite_packets(clip, stored_packets(clip), b"\xff")
    assert reason_of(clip) == "no_frames"


def test_where_the_first_packet_gives_no_picture_later_ones_do(tmp_path: Path):
    clip = write_clip(tmp_path / "a.mkv", regular_times(60, 25), picture=B_FRAMES)
    overwrite_packets(clip, stored_packets(clip)[:1], b"\xff")
    probe = probe_film(clip)
    assert (probe.width_px, probe.height_px, probe.packets) == (WIDTH_PX, HEIGHT_PX, 60)
