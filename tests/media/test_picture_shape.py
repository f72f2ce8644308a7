"""Pixels that aren't square, fields and black bars: what a file says of them, and what is made of it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from beam_pipelines.contracts.film_warnings import warnings_of_quality
from beam_pipelines.media.damage import describe_file
from beam_pipelines.media.probe import MediaLimits, probe_film
from beam_pipelines.media.probe_warnings import warnings_of_probe
from beam_pipelines.media.video.black_bars import find_bars
from beam_pipelines.media.video.picture_shape import NO_BARS, BlackBars, PictureShape
from beam_pipelines.media.video.sample_frames import sample_frames
from beam_pipelines.media.worker.decoding_messages import probe_from_message, probe_to_message
from beam_pipelines.media.worker.decoding_process import DecodingProcess
from tests.support.picture_clips import INTERLACED, Shown, write_frames

PAL_WIDE = Fraction(64, 45)
LIMITS = MediaLimits()


def noise(height_px: int, width_px: int, count: int) -> np.ndarray:
    """uint8 [count, height, width, 3]: pictures that are nowhere black."""
    return np.random.default_rng(4).integers(60, 250, (count, height_px, width_px, 3), np.uint8)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.ts", "mpeg2video"), ("a.mp4", "libvpx-vp9"), ("a.mov", "mjpeg"), ("a.avi", "mpeg4")],
    ids=["stream and container", "stream", "container", "container of intra frames", "stream in AVI"],
)
def test_the_aspect_of_a_pixel_is_that_of_stream_or_container(tmp_path: Path, name: str, codec: str):
    options = {"libvpx-vp9": {"deadline": "realtime"}, "libx264": {"preset": "ultrafast"}}.get(codec, {})
    pictures = noise(64, 80, 3)
    shown = Shown(codec, options, sample_aspect=PAL_WIDE)
    if codec == "mjpeg":
        pictures = [av.VideoFrame.from_ndarray(each, format="rgb24").reformat(format="yuvj420p") for each in pictures]
    film = write_frames(tmp_path / name, pictures, shown, rate_hz=25)
    probe = probe_film(film)
    assert float(probe.shape.pixel_aspect) == pytest.approx(64 / 45, rel=0.01)
    assert (probe.width_px, probe.height_px) == (80, 64)
    (warning,) = warnings_of_probe(probe)
    assert (warning.code, warning.number) == ("pixels_not_square", pytest.approx(1.422, abs=0.01))
    assert probe_from_message(probe_to_message(probe)) == probe


def test_a_turned_film_has_pixels_turned_too(tmp_path: Path):
    film = write_frames(tmp_path / "a.mp4", noise(64, 80, 3), Shown(sample_aspect=PAL_WIDE, rotation_deg=90))
    probe = probe_film(film)
    assert (probe.width_px, probe.height_px, probe.shape.pixel_aspect) == (64, 80, 1 / PAL_WIDE)
    # 80 columns of 64/45 by 64 lines were stored: 64 columns by 114 lines are shown.
    assert probe.shape.square_size_px(80, 64, 360) == (114, 64)


def test_an_absurd_aspect_counts_as_square(tmp_path: Path):
    film = write_frames(tmp_path / "a.mp4", noise(64, 80, 3), Shown(sample_aspect=Fraction(200)))
    probe = probe_film(film)
    assert probe.shape.pixel_aspect == 1
    assert warnings_of_probe(probe) == ()


@pytest.mark.parametrize(
    ("shape", "image_px", "expected_px"),
    [
        (PictureShape(), (1080, 1920), (360, 640)),
        (PictureShape(), (240, 320), (240, 320)),
        (PictureShape(pixel_aspect=PAL_WIDE), (576, 720), (360, 640)),
        (PictureShape(pixel_aspect=Fraction(2)), (576, 512), (360, 640)),
        (PictureShape(pixel_aspect=Fraction(8, 9)), (480, 720), (360, 480)),
        # Smaller than what is looked at: no side loses pixels.
        (PictureShape(pixel_aspect=Fraction(2)), (120, 80), (120, 160)),
        (PictureShape(pixel_aspect=Fraction(1, 2)), (120, 160), (240, 160)),
        # A field has half the lines of its picture, and then columns.
        (PictureShape(interlaced=True), (540, 1920), (360, 640)),
        (PictureShape(pixel_aspect=PAL_WIDE, interlaced=True), (288, 720), (360, 640)),
        (PictureShape(pixel_aspect=1 / PAL_WIDE, interlaced=True, fields_in_columns=True), (720, 288), (360, 202)),
    ],
)
def test_sizes_in_square_pixels(shape: PictureShape, image_px: tuple[int, int], expected_px: tuple[int, int]):
    assert shape.square_size_px(*image_px, 360) == expected_px


def test_one_moment_of_an_interlaced_picture_is_every_second_line():
    image = noise(8, 10, 1)[0]
    assert PictureShape().one_moment(image) is image
    np.testing.assert_array_equal(PictureShape(interlaced=True).one_moment(image), image[[0, 2, 4, 6]])
    turned = PictureShape(interlaced=True, fields_in_columns=True)
    np.testing.assert_array_equal(turned.one_moment(image), image[:, [0, 2, 4, 6, 8]])


@pytest.mark.parametrize(
    ("name", "codec", "options", "expected"),
    [
        ("a.mp4", "libx264", {"preset": "ultrafast"}, False),
        ("a.mp4", "libx264", INTERLACED, True),
        ("a.ts", "mpeg2video", {"flags": "+ilme+ildct"}, True),
        ("a.ts", "mpeg2video", {}, False),
    ],
)
def test_interlaced_films_are_told(tmp_path: Path, name: str, codec: str, options: dict[str, str], expected: bool):
    film = write_frames(tmp_path / name, noise(64, 80, 6), Shown(codec, options), rate_hz=25)
    probe = probe_film(film)
    assert probe.shape.interlaced == expected
    told = [(each.code, each.number) for each in warnings_of_probe(probe)]
    assert told == ([("interlaced", 32)] if expected else [])


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("dv.avi", "dvvideo", {}),
        ("dv.mov", "dvvideo", {}),
        ("dvd.vob", "mpeg2video", {"flags": "+ilme+ildct"}),
        ("broadcast.mxf", "mpeg2video", {"flags": "+ilme+ildct"}),
    ],
)
def test_films_in_two_fields_of_oblong_pixels_are_told(tmp_path: Path, name: str, codec: str, options: dict[str, str]):
    shown = Shown(codec, options, sample_aspect=PAL_WIDE)
    probe = probe_film(write_frames(tmp_path / name, noise(576, 720, 2), shown, rate_hz=25))
    assert (probe.shape.pixel_aspect, probe.shape.interlaced) == (PAL_WIDE, True)
    assert {each.code: each.number for each in warnings_of_probe(probe)} == {
        "pixels_not_square": 1.422,
        "interlaced": 288,
    }


@pytest.mark.parametrize(("begins", "goes_on", "expected"), [({}, INTERLACED, True), (INTERLACED, {}, False)])
def test_most_of_a_film_decides_whether_it_is_interlaced(tmp_path: Path, begins: dict, goes_on: dict, expected: bool):
    """A leader of 200 s, then the film; both with key frames, of which one every five minutes is looked at."""
    parts = [
        write_frames(tmp_path / f"{number}.ts", noise(64, 80, count), Shown(options={"preset": "ultrafast", **options}))
        for number, (count, options) in enumerate([(200, begins), (1000, goes_on)])
    ]
    with av.open(str(tmp_path / "film.ts"), "w") as film:
        first = True
        for number, part in enumerate(parts):
            with av.open(str(part)) as source:
                video = source.streams.video[0]
                if first:
                    stream, first = film.add_stream_from_template(video), False
                for packet in source.demux(video):
                    if packet.size:
                        packet.stream = stream
                        packet.pts += number * 200 * 90_000
                        packet.dts += number * 200 * 90_000
                        film.mux(packet)
    probe = probe_film(tmp_path / "film.ts")
    assert probe.seconds == 1200
    assert probe.shape.interlaced == expected


def with_bars(pictures: np.ndarray, bars: BlackBars) -> np.ndarray:
    """The pictures, black where the bars are."""
    framed = np.zeros_like(pictures)
    height_px, width_px = pictures.shape[1:3]
    inside = np.s_[:, bars.top_px : height_px - bars.bottom_px, bars.left_px : width_px - bars.right_px]
    framed[inside] = pictures[inside]
    return framed


@pytest.mark.parametrize("rotation_deg", [0, 90])
def test_bars_are_what_is_black_in_many_pictures(tmp_path: Path, rotation_deg: int):
    bars = BlackBars(8, 16, 8, 24)
    pictures = with_bars(noise(96, 80, 70), bars)
    pictures[:20] = 0  # a black beginning
    pictures[20:30, :40] = 0  # a dark scene
    film = write_frames(tmp_path / "a.mp4", pictures, Shown(gop=10, rotation_deg=rotation_deg))
    probe = probe_film(film)
    found = find_bars(film, probe, LIMITS)
    assert found == (BlackBars(24, 8, 16, 8) if rotation_deg else bars)
    with DecodingProcess() as decoder:
        assert decoder.probe(film, LIMITS, crop_bars=True) == replace(probe, shape=replace(probe.shape, bars=found))
        assert decoder.probe(film, LIMITS) == probe


def test_a_film_with_few_key_frames_is_looked_at_every_second(tmp_path: Path):
    bars = BlackBars(top_px=12, bottom_px=12)
    film = write_frames(tmp_path / "a.mp4", with_bars(noise(96, 80, 40), bars), Shown(gop=100), rate_hz=10)
    assert find_bars(film, probe_film(film), LIMITS) == bars


def test_what_is_not_black_throughout_is_no_bar(tmp_path: Path):
    def found(pictures: np.ndarray) -> BlackBars:
        film = write_frames(tmp_path / "a.mp4", pictures)
        return find_bars(film, probe_film(film), LIMITS)

    bars = BlackBars(top_px=12, bottom_px=12)
    pictures = with_bars(noise(96, 80, 6), bars)
    assert found(noise(96, 80, 6)) == NO_BARS
    assert found(np.zeros_like(pictures)) == NO_BARS
    subtitled = pictures.copy()
    subtitled[4, 86:92, 20:60] = 255
    assert found(subtitled) == BlackBars(top_px=12, bottom_px=4)
    moon = np.zeros_like(pictures)
    moon[:, 40:56, 40:56] = 255
    assert found(moon) == NO_BARS


def test_pictures_without_their_bars(tmp_path: Path):
    bars = BlackBars(8, 16, 0, 24)
    film = write_frames(tmp_path / "a.mp4", with_bars(noise(96, 80, 6), bars))
    probe = probe_film(film)
    cut = replace(probe, shape=replace(probe.shape, bars=bars))
    for whole, part in zip(sample_frames(film, probe), sample_frames(film, cut), strict=True):
        np.testing.assert_array_equal(part.image, whole.image[16:72, 8:])
        assert np.moveaxis(part.image, -1, 0).flags.c_contiguous
    quality = describe_file(cut)
    assert quality["black_bars_px"] == {"left_px": 8, "top_px": 16, "right_px": 0, "bottom_px": 24}
    assert "black_bars_px" not in describe_file(probe)
    assert warnings_of_quality({"film": quality}) == ()
    # A box over all of what is left.
    assert cut.shape.share_of_picture(0, 0) == (0.1, pytest.approx(1 / 6))
    assert cut.shape.share_of_picture(1, 1) == (1, 0.75)
