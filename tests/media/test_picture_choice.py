"""Which video stream is the film: none that stands still beside one that moves."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from av.stream import Disposition

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media.decode import opened_film
from beam_pipelines.media.probe import probe_film
from beam_pipelines.media.video.picture_choice import choose_picture
from beam_pipelines.media.video.sample_frames import sample_frames
from tests.support.several_tracks import Pictures, Track, rising, write_tracks
from tests.support.synthetic_clips import read_number

MOVING = Pictures([Fraction(number, 5) for number in range(60)])
SLIDES = Pictures([Fraction(0), Fraction(11), Fraction(23)], first=500)
COVER = Pictures([Fraction(0)], "mjpeg", first=500)


def numbers(film: Path) -> list[int]:
    return [read_number(frame.image) for frame in sample_frames(film, probe_film(film))]


@pytest.mark.parametrize(
    "still",
    [
        Pictures(COVER.times_s, "mjpeg", first=500, flags=Disposition.default),
        Pictures(SLIDES.times_s, first=500, flags=Disposition.default),
    ],
)
@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_still_beside_a_film_is_not_the_film(tmp_path: Path, name: str, place: int, still: Pictures):
    streams = [MOVING]
    streams.insert(place, still)
    film = write_tracks(tmp_path / name, streams)
    assert probe_film(film).video_index == 1 - place
    assert numbers(film)[:3] == [0, 5, 10]


def test_a_stream_that_is_flagged_as_a_still_is_not_the_film(tmp_path: Path):
    """No muxer of FFmpeg writes this flag for a film, so the test sets it on the open one."""
    film = write_tracks(tmp_path / "a.mkv", [MOVING, MOVING])
    with opened_film(film, "probe") as container:
        container.streams[0].disposition = Disposition.default | Disposition.still_image
        assert choose_picture(str(film), container, "probe").index == 1
        container.streams[1].disposition = Disposition.still_image
        assert choose_picture(str(film), container, "probe").index == 0


def test_a_slide_show_stays_a_film(tmp_path: Path):
    assert numbers(write_tracks(tmp_path / "a.mkv", [SLIDES], [Track(rising(24))]))[::11] == [500, 501, 501]
    film = write_tracks(tmp_path / "b.mkv", [SLIDES, COVER])
    assert probe_film(film).video_index == 0


def test_a_film_of_slow_pictures_beside_a_faster_one_is_a_matter_of_ffmpegs_choice(tmp_path: Path):
    """One picture in 4 s is no still."""
    slow = Pictures([Fraction(4 * number) for number in range(6)], first=500, flags=Disposition.default)
    film = write_tracks(tmp_path / "a.mkv", [MOVING, slow])
    assert probe_film(film).video_index == 1


def test_sound_with_a_cover_is_no_film(tmp_path: Path):
    cover = Pictures(COVER.times_s, "mjpeg", flags=Disposition.attached_pic)
    film = write_tracks(tmp_path / "a.mp4", [cover], [Track(rising(2, rate_hz=16_000), codec="aac", rate_hz=16_000)])
    with pytest.raises(FilmError) as caught:
        probe_film(film)
    assert caught.value.reason == "no_video_stream"


def test_the_cover_of_an_odd_film_is_not_the_film(shared_data: Path):
    assert probe_film(shared_data / "odd_films" / "cover_second_default.mkv").seconds == 10
