"""Thumbnails show what is on screen at their time: numbers in the pixels survive scaling and JPEG."""

from __future__ import annotations

import io
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.report.page_folder import PageFolder
from beam_pipelines.report.scoring.thumbnails import (
    HEIGHT_PX,
    MOST_THUMBNAILS,
    Sprite,
    frame_rate_of,
    kept_sprite,
    make_sprite,
)
from tests.support.several_tracks import Pictures, write_tracks
from tests.support.synthetic_clips import (
    B_FRAMES,
    Picture,
    overwrite_packets,
    read_number,
    regular_times,
    stored_packets,
    write_clip,
)


def pictures(sprite: Sprite) -> list[np.ndarray]:
    """The thumbnails of a sprite, uint8 [height, width, 3] each, as a JPEG decoder gives them."""
    with av.open(io.BytesIO(sprite.jpeg), format="mjpeg") as container:
        (frame,) = container.decode(video=0)
    image = frame.to_ndarray(format="rgb24")
    assert image.shape == (sprite.height_px, sprite.width_px * sprite.count, 3)
    return list(np.split(image, sprite.count, axis=1))


@pytest.mark.parametrize("start_s", [0, 7])
@pytest.mark.parametrize("picture", [Picture(), B_FRAMES])
def test_each_thumbnail_is_the_picture_of_its_time(tmp_path: Path, picture: Picture, start_s: int) -> None:
    path = write_clip(tmp_path / "film.mkv", regular_times(200, 10, start_s), picture=picture, rate_hz=10)
    sprite = make_sprite(str(path), 20)
    assert (sprite.count, sprite.height_px, sprite.step_s) == (20, HEIGHT_PX, 1.0)
    assert [read_number(image) for image in pictures(sprite)] == list(range(0, 200, 10))


def test_a_long_film_has_a_limited_number(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "film.mp4", regular_times(400, 4), rate_hz=4)
    sprite = make_sprite(str(path), 100)
    assert sprite.count == MOST_THUMBNAILS
    shown = [read_number(image) for image in pictures(sprite)]
    assert shown == [int(place * sprite.step_s * 4 + 1e-6) for place in range(MOST_THUMBNAILS)]


def test_a_turned_film_is_shown_upright(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "film.mp4", regular_times(20, 10), picture=Picture(rotation_deg=90), rate_hz=10)
    sprite = make_sprite(str(path), 2)
    assert (sprite.width_px, sprite.height_px) == (2 * HEIGHT_PX, HEIGHT_PX)
    assert read_number(pictures(sprite)[1]) == 10


def test_the_same_film_gives_the_same_bytes(tmp_path: Path) -> None:
    path = str(write_clip(tmp_path / "film.mp4", regular_times(50, 10), rate_hz=10))
    assert make_sprite(path, 5) == make_sprite(path, 5)


def test_a_damaged_film_has_the_thumbnails_that_can_be_had(tmp_path: Path) -> None:
    # Only key frames: no two packets are alike, so that only those meant are overwritten.
    picture = Picture(options={"preset": "ultrafast", "g": "1", "crf": "18"})
    path = write_clip(tmp_path / "film.mp4", regular_times(100, 10), picture=picture, rate_hz=10)
    overwrite_packets(path, stored_packets(path)[60:], b"\xff")
    shown = pictures(make_sprite(str(path), 10))
    assert [read_number(image) for image in shown[:6]] == [0, 10, 20, 30, 40, 50]
    assert len(shown) == 10


def test_the_pictures_are_those_of_the_records_stream(tmp_path: Path) -> None:
    """Without a record, of the stream that extraction would choose: not the cover, though it is the default."""
    cover = Pictures([Fraction(0)], "mjpeg", first=500, flags=Disposition.default)
    first, second = (Pictures(regular_times(50, 5), first=number) for number in (0, 100))
    path = str(write_tracks(tmp_path / "film.mkv", [cover, first, second]))
    for stream, number in ((None, 0), (1, 0), (2, 100), (9, 0)):
        shown = pictures(make_sprite(path, 10, stream))
        assert [read_number(image) for image in shown] == list(range(number, number + 50, 5))
        assert frame_rate_of(path, stream) == 25


def test_what_is_no_film_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_text("not a film")
    with pytest.raises(FilmError, match="unreadable"):
        make_sprite(str(path), 10)
    with pytest.raises(FilmError, match="unreadable"):
        frame_rate_of(str(path))


def test_the_frame_rate_is_the_headers(tmp_path: Path) -> None:
    rate_hz = Fraction(30000, 1001)
    path = write_clip(tmp_path / "film.mp4", regular_times(60, rate_hz), rate_hz=rate_hz)
    assert frame_rate_of(str(path)) == rate_hz


def test_a_later_page_keeps_the_thumbnails_of_the_same_film_and_no_others(tmp_path):
    film = tmp_path / "film.mp4"
    film.touch()
    folder = PageFolder(str(tmp_path / "page"))
    about = {"count": 2, "width": 3, "height": 4, "step": 5.5, "of": "abc"}
    folder.write("thumbs/key.jpg", b"picture")
    folder.write_data("film-key", {"video": "../film.mp4", "sprite": about})

    def kept(key="key", of="abc", video="../film.mp4"):
        return kept_sprite(folder.output, key, of, str(film), video)

    assert kept() == Sprite(b"picture", 2, 3, 4, 5.5, "abc")
    assert kept(of="abd") is kept(of="") is kept(key="other") is kept(video="../other.mp4") is None
    for damaged in ({"video": "../film.mp4"}, {"video": "../film.mp4", "sprite": {"of": "abc"}}, []):
        folder.write_data("film-key", damaged)
        assert kept() is None
    folder.write_data("film-key", {"video": "../film.mp4", "sprite": about})
    later = (tmp_path / "page" / "thumbs" / "key.jpg").stat().st_mtime + 10
    os.utime(film, (later, later))
    assert kept() is None
