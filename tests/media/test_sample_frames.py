"""The frame on screen at every second, against clips that carry their frame numbers and against a slow oracle."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import example, given, reject, strategies as st

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import FilmProbe, MediaLimits, probe_film
from beam_pipelines.media.video.sample_frames import SampledFrame, sample_frames
from tests.support.hypothesis_profiles import examples
from tests.support.synthetic_clips import (
    B_FRAMES,
    HEIGHT_PX,
    TICKS_HZ,
    WIDTH_PX,
    Picture,
    UnreadableClip,
    numbered_picture,
    overwrite_packets,
    read_number,
    regular_times,
    stored_packets,
    write_clip,
)

FILM_RATE_HZ = Fraction(24_000, 1001)
MPEG4 = Picture("mpeg4", {"bf": "2", "qscale": "3"})
MPEG2 = Picture("mpeg2video", {"bf": "2", "qscale": "3"})
HEVC = Picture("libx265", {"preset": "ultrafast", "x265-params": "log-level=none:bframes=3"})
VP9 = Picture("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"})


def sampled(path: Path) -> tuple[FilmProbe, list[SampledFrame]]:
    probe = probe_film(path)
    return probe, list(sample_frames(path, probe))


def numbers_on_screen(times_s: list[Fraction], seconds: int) -> list[int]:
    """The rule itself, on the written timestamps."""
    return [max(n for n, time_s in enumerate(times_s) if time_s - times_s[0] <= t) for t in range(seconds)]


@pytest.mark.parametrize(
    ("name", "picture", "own_ticks"),
    [
        ("a.mp4", Picture(), True),
        ("a.mp4", B_FRAMES, True),
        ("a.mkv", B_FRAMES, True),
        ("a.ts", B_FRAMES, True),
        ("a.mp4", HEVC, True),
        ("a.webm", VP9, True),
        ("a.avi", MPEG4, False),
        ("b.ts", MPEG2, False),
        ("a.h264", B_FRAMES, False),
    ],
    ids=lambda value: value.codec if isinstance(value, Picture) else None,
)
def test_every_second_shows_its_frame(tmp_path: Path, name: str, picture: Picture, own_ticks: bool):
    times_s = regular_times(75, FILM_RATE_HZ)
    time_base = Fraction(1, TICKS_HZ) if own_ticks else 1 / FILM_RATE_HZ
    clip = write_clip(tmp_path / name, times_s, picture=picture, rate_hz=FILM_RATE_HZ, time_base=time_base)
    probe, frames = sampled(clip)
    assert probe.seconds == 4
    assert [frame.t for frame in frames] == [0, 1, 2, 3]
    assert [read_number(frame.image) for frame in frames] == numbers_on_screen(times_s, 4) == [0, 23, 47, 71]
    for frame in frames:
        assert frame.image.dtype == np.uint8
        assert frame.image.shape == (HEIGHT_PX, WIDTH_PX, 3)
        exact_us = float(probe.first_pts_s + times_s[read_number(frame.image)]) * 1e6
        # Matroska has milliseconds, MPEG 1/90,000 s.
        assert frame.timestamp_us == pytest.approx(exact_us, abs=600)
        assert frame.fresh


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_start_that_is_not_zero(tmp_path: Path, name: str):
    times_s = regular_times(80, 30, start_s=Fraction(13, 4))
    _, frames = sampled(write_clip(tmp_path / name, times_s, rate_hz=30, picture=B_FRAMES))
    assert [read_number(frame.image) for frame in frames] == [0, 30, 60]
    assert frames[1].timestamp_us - frames[0].timestamp_us == pytest.approx(1_000_000, abs=1_000)
    assert frames[0].timestamp_us >= 3_250_000


@examples(25)
@example(gaps=[300, 8_220, 300, 3_960, 300], start=0, b_frames=1, gop=2)  # once beyond what its writer could write
@given(
    gaps=st.lists(st.integers(300, 130_000), min_size=0, max_size=40),
    start=st.integers(0, 300_000),
    b_frames=st.integers(0, 3),
    gop=st.integers(1, 12),
)
def test_the_rule_holds_at_any_variable_rate(tmp_path: Path, gaps: list[int], start: int, b_frames: int, gop: int):
    times_s = [Fraction(start + int(tick), TICKS_HZ) for tick in np.cumsum([0, *gaps])]
    options = {"preset": "veryfast", "bf": str(b_frames), "g": str(gop), "b-adapt": "0", "crf": "18"}
    try:
        clip = write_clip(tmp_path / "a.mp4", times_s, picture=Picture(options=options))
    except UnreadableClip:
        reject()  # FFmpeg's writer and reader disagree: nothing to hold the rule against
    probe, frames = sampled(clip)

    with av.open(str(clip)) as container:
        decoded: list[Any] = list(container.decode(video=0))
    everything = [(frame.pts, frame.to_ndarray(format="rgb24")) for frame in decoded]
    ends = [packet.pts + packet.duration for packet in stored_packets(clip)]
    time_base = decoded[0].time_base
    first = min(pts for pts, _ in everything)
    assert len(everything) == len(times_s)
    assert probe.first_pts_s == first * time_base
    assert probe.duration_s == (max(ends) - first) * time_base
    if b_frames == 0:
        # With B-frames MP4 stores how long packets take to decode, not how long frames are shown.
        assert probe.duration_s == times_s[-1] - times_s[0] + Fraction(1, 25)
    assert [frame.t for frame in frames] == list(range(probe.seconds))
    for frame in frames:
        pts, image = max(
            (item for item in everything if item[0] <= first + frame.t / time_base), key=lambda item: item[0]
        )
        assert frame.timestamp_us == round(pts * time_base * 1_000_000)
        assert read_number(frame.image) == read_number(image)
    assert [read_number(frame.image) for frame in frames] == numbers_on_screen(times_s, probe.seconds)


def test_a_part_of_a_film_is_that_part_of_the_whole(tmp_path: Path):
    times_s = [Fraction(n, 10) for n in range(25)] + [Fraction(59, 10), Fraction(6)]
    clip = write_clip(tmp_path / "a.mp4", times_s, picture=B_FRAMES)
    probe, whole = sampled(clip)
    assert probe.seconds == 7
    for start, stop in [(0, 3), (2, 5), (3, 7), (6, 7), (4, 4), (7, 7)]:
        part = list(sample_frames(clip, probe, start=start, stop=stop))
        assert [frame.t for frame in part] == list(range(start, stop))
        for frame in part:
            assert np.array_equal(frame.image, whole[frame.t].image)
            assert (frame.timestamp_us, frame.fresh) == (whole[frame.t].timestamp_us, whole[frame.t].fresh)
    assert [frame.fresh for frame in whole] == [True, True, True, True, False, False, True]
    for start, stop in [(-1, 2), (3, 2), (0, 8)]:
        with pytest.raises(ValueError, match="are not within"):
            sample_frames(clip, probe, start=start, stop=stop)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation_deg", [0, 90, 180, 270])
def test_pictures_are_turned_as_they_are_shown(tmp_path: Path, rotation_deg: int, mirrored: bool):
    picture = Picture(rotation_deg=rotation_deg, mirrored=mirrored)
    _, frames = sampled(write_clip(tmp_path / "a.mp4", regular_times(60, 25), picture=picture))
    assert [read_number(frame.image) for frame in frames] == [0, 25, 50]


def test_colours_are_red_green_and_blue_in_this_order(tmp_path: Path):
    image = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    image[:, :32], image[:, 32:64], image[:, 64:96] = (200, 30, 40), (30, 200, 40), (40, 30, 200)
    clip = write_clip(tmp_path / "a.mp4", [Fraction(0)], images=[image])
    _, (frame,) = sampled(clip)
    assert np.abs(frame.image[8:-8, 8::32].astype(int) - image[8:-8, 8::32]).max() <= 6


@pytest.mark.parametrize("count", [1, 12])
def test_a_film_of_less_than_a_second_has_one_picture(tmp_path: Path, count: int):
    _, frames = sampled(write_clip(tmp_path / "a.mp4", regular_times(count, 25)))
    assert [read_number(frame.image) for frame in frames] == [0]


KEY_FRAMES_ONLY = Picture(options={"preset": "ultrafast", "g": "1", "crf": "20"})


@pytest.mark.parametrize(
    ("damaged", "shown", "fresh"),
    [
        (range(35, 75), [0, 25, 34, 75, 100], [True, True, True, True, True]),
        (range(30), [30, 30, 50, 75, 100], [True, False, True, True, True]),
        (range(60, 125), [0, 25, 50, 59, 59], [True, True, True, True, False]),
        (range(10, 125), [0, 9, 9, 9, 9], [True, True, False, False, False]),
    ],
)
def test_the_last_decodable_frame_stays_on_the_screen(
    tmp_path: Path, damaged: range, shown: list[int], fresh: list[bool]
):
    clip = write_clip(tmp_path / "a.mkv", regular_times(125, 25), picture=KEY_FRAMES_ONLY)
    overwrite_packets(clip, [stored_packets(clip)[number] for number in damaged], b"\xff")
    quality = DecodeQuality()
    probe = probe_film(clip)
    frames = list(sample_frames(clip, probe, quality=quality))
    assert probe.seconds == 5
    assert [read_number(frame.image) for frame in frames] == shown
    assert [frame.fresh for frame in frames] == fresh
    # The decoder may stop before the last frames: nothing after the last second's picture is needed.
    assert quality.packet_errors + quality.frames_corrupt >= 1
    assert quality.frames_decoded <= 125 - len(damaged)


def test_a_film_that_is_cut_off_gives_what_is_there(tmp_path: Path):
    clip = write_clip(tmp_path / "a.mkv", regular_times(125, 25), picture=KEY_FRAMES_ONLY)
    content = clip.read_bytes()
    clip.write_bytes(content[: len(content) // 2])
    probe, frames = sampled(clip)
    assert 2 <= probe.seconds <= 3
    assert [read_number(frame.image) for frame in frames] == [0, 25, 50][: probe.seconds]


def test_nothing_decodable_is_an_error_of_the_film(tmp_path: Path):
    clip = write_clip(tmp_path / "a.mkv", regular_times(20, 25), picture=KEY_FRAMES_ONLY)
    probe = probe_film(clip)
    overwrite_packets(clip, stored_packets(clip), b"\xff")
    with pytest.raises(FilmError) as caught:
        list(sample_frames(clip, probe))
    assert (caught.value.step, caught.value.reason) == ("decode", "no_frames")


def test_a_frame_beyond_the_limits_is_not_decoded(tmp_path: Path):
    clip = write_clip(tmp_path / "a.mp4", regular_times(20, 25))
    probe = probe_film(clip)
    tight = MediaLimits(max_pixels=100, max_width_px=8, max_height_px=8)
    with pytest.raises(FilmError, match="no_frames"):
        list(sample_frames(clip, probe, limits=tight))


def test_memory_does_not_grow_with_the_film(tmp_path: Path):
    image = numbered_picture(5)
    peaks = []
    for seconds in (10, 300):
        clip = write_clip(tmp_path / f"{seconds}.mp4", regular_times(seconds, 1), rate_hz=1, images=[image] * seconds)
        probe = probe_film(clip)
        tracemalloc.start()
        assert sum(1 for _ in sample_frames(clip, probe)) == seconds
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 4 * image.nbytes


def test_a_film_is_closed_when_the_reader_stops_early(tmp_path: Path):
    clip = write_clip(tmp_path / "a.mp4", regular_times(75, 25))
    frames = sample_frames(clip, probe_film(clip))
    next(frames)
    assert open_descriptors(clip) == 1
    frames.close()  # type: ignore[attr-defined]
    assert open_descriptors(clip) == 0


def open_descriptors(clip: Path) -> int:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("needs /proc to see which files are open")
    return sum(1 for link in folder.iterdir() if link.is_symlink() and link.resolve() == clip.resolve())
