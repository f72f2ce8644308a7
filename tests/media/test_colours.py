"""Colours as an SDR screen shows them: HDR against the formulas of its standards, and pictures without a matrix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from beam_pipelines.contracts.film_warnings import warnings_of_quality
from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import probe_film
from beam_pipelines.media.probe_warnings import warnings_of_probe
from beam_pipelines.media.video.colours import ToRgb
from beam_pipelines.media.video.sample_frames import sample_frames
from tests.support.picture_clips import BT709, HLG, PQ, Shown, gray_steps, hlg, pq, write_frames
from tests.support.synthetic_clips import overwrite_packets, stored_packets

NITS = np.array([0, 0.1, 1, 5, 20, 50, 100, 150, 190, 203, 203, 260, 300, 500, 800, 1000])
# Five stripes of 16 x 32 pixels are brighter than white.
CLIPPED_PX = 5 * 16 * 32
UNSPECIFIED, ICTCP, BT601 = 2, 14, 5


def rgb(frame: Any) -> tuple[np.ndarray, int]:
    """The picture [height, width, 3], and the number of clipped pixels."""
    channels, clipped = ToRgb("film", frame.height, frame.width)(frame)
    return np.moveaxis(channels, 0, -1), clipped


def steps(frame: Any) -> tuple[np.ndarray, int]:
    """The colours [16, 3] of the stripes, and the number of clipped pixels."""
    image, clipped = rgb(frame)
    return image[16, 8::16].astype(int), clipped


def sdr_of(nits: np.ndarray) -> np.ndarray:
    """SDR's gray for a luminance, 203 cd/m² being white (BT.2408, BT.1886)."""
    return np.round(255 * np.clip(nits / 203, 0, 1) ** (1 / 2.4))


@pytest.mark.slow
@pytest.mark.parametrize(("signal", "transfer"), [(pq, PQ), (hlg, HLG)])
def test_hdr_becomes_sdr_and_what_is_brighter_than_white_is_clipped_and_counted(signal: Any, transfer: int):
    """Slow, for FFmpeg's tables of colours; `test_a_film_in_hdr_...` does it with one of them."""
    found, clipped = steps(gray_steps(signal(NITS), transfer))
    np.testing.assert_allclose(found, np.repeat(sdr_of(NITS)[:, None], 3, axis=1), atol=2)
    assert clipped == CLIPPED_PX
    # Tags that are absent beside the transfer are those of BT.2020.
    again, _ = steps(gray_steps(signal(NITS), transfer, primaries=UNSPECIFIED, matrix=UNSPECIFIED))
    np.testing.assert_array_equal(again, found)


@pytest.mark.slow
def test_one_converter_takes_frames_of_several_kinds():
    signals = np.linspace(0, 1, 16)
    hdr, sdr = gray_steps(pq(NITS), PQ), gray_steps(signals, BT709, primaries=BT709, matrix=BT709)
    convert = ToRgb("film", 32, 256)
    first, _ = convert(hdr)
    plain, clipped = convert(sdr)
    np.testing.assert_allclose(plain[0, 16, 8::16], 255 * signals, atol=1)
    assert clipped == 0
    np.testing.assert_array_equal(convert(hdr)[0], first)


def coloured(width_px: int, height_px: int, matrix: int) -> Any:
    """A frame of one colour; without primaries, as most files are."""
    frame = av.VideoFrame(width_px, height_px, "yuv420p")
    for plane, value in zip(frame.planes, (100, 90, 200), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    frame.colorspace, frame.color_range = matrix, 1
    return frame


@pytest.mark.parametrize(
    ("width_px", "height_px", "expected"),
    [(1280, 720, BT709), (406, 720, BT709), (1280, 534, BT709), (720, 576, BT601), (640, 718, BT601)],
)
def test_a_picture_without_a_matrix_has_that_of_its_size(width_px: int, height_px: int, expected: int):
    image, _ = rgb(coloured(width_px, height_px, UNSPECIFIED))
    other = BT709 + BT601 - expected
    assert (image == rgb(coloured(width_px, height_px, expected))[0]).all()
    assert (image != rgb(coloured(width_px, height_px, other))[0]).all()


@pytest.mark.parametrize("pixel_format", ["rgb24", "gray"])
def test_large_pictures_without_colour_differences_keep_their_values(pixel_format: str):
    shape = (720, 1280, 3) if pixel_format == "rgb24" else (720, 1280)
    image, _ = rgb(av.VideoFrame.from_ndarray(np.full(shape, 77, np.uint8), format=pixel_format))
    assert (image == 77).all()


def test_colours_that_cannot_be_converted_are_the_films_failure():
    for frame in (coloured(64, 64, ICTCP), gray_steps(pq(NITS), PQ, matrix=ICTCP)):
        with pytest.raises(FilmError, match="film: FFmpeg can't convert its colours, matrix 14") as caught:
            rgb(frame)
        assert caught.value.reason == "unknown_colours"


def film_in_hdr(path: Path) -> Path:
    """20 s at 3 Hz, as bright as `NITS` in each second's first frame, and darker in the others; no two are alike."""
    nits = [np.minimum(NITS, 1000 if number % 3 == 0 else 203) for number in range(60)]
    for number, each in enumerate(nits):
        each[2] += number
    options = {"preset": "ultrafast", "crf": "1", "bf": "2"}
    return write_frames(path, [gray_steps(pq(each), PQ) for each in nits], Shown(options=options, transfer=PQ), 3)


def sampled(film: Path, **arguments: Any) -> tuple[list[np.ndarray], DecodeQuality]:
    quality = DecodeQuality()
    frames = list(sample_frames(film, probe_film(film), quality=quality, **arguments))
    return [frame.image for frame in frames], quality


def test_a_film_in_hdr_is_the_same_however_it_is_decoded(tmp_path: Path):
    film = film_in_hdr(tmp_path / "hdr.mp4")
    probe = probe_film(film)
    assert probe.hdr == "PQ"
    planned, counts = sampled(film)
    everything, all_counts = sampled(film, planned=False)
    assert (counts.full_decodings, all_counts.full_decodings) == (0, 1)
    np.testing.assert_array_equal(planned, everything)
    np.testing.assert_allclose(planned[0][16, 8::16], np.repeat(sdr_of(NITS)[:, None], 3, axis=1), atol=2)
    assert counts.pixels_clipped == all_counts.pixels_clipped == 20 * CLIPPED_PX
    parts = [sampled(film, start=start, stop=start + 10)[1].pixels_clipped for start in (0, 10)]
    assert parts == [10 * CLIPPED_PX] * 2
    # Where the plan fails in the middle, the first pictures aren't counted twice, nor forgotten.
    overwrite_packets(film, stored_packets(film)[40:42], b"\x55")
    damaged, damaged_counts = sampled(film)
    assert damaged_counts.full_decodings == 1
    np.testing.assert_array_equal(damaged[:10], planned[:10])
    assert damaged_counts.pixels_clipped == sampled(film, planned=False)[1].pixels_clipped


def test_hdr_is_told(tmp_path: Path):
    frames = [gray_steps(pq(NITS), PQ)] * 2
    film = write_frames(tmp_path / "hdr.mp4", frames, Shown(transfer=HLG))
    probe = probe_film(film)
    assert probe.hdr == "HLG"
    assert [(each.code, each.number) for each in warnings_of_probe(probe)] == [("hdr", 203)]
    (clipped,) = warnings_of_quality({"picture": {"clipped_percent": 12.5}})
    assert clipped.sentence.startswith("12.5 % of the HDR film's pixels are brighter")
    assert warnings_of_probe(replace(probe, hdr="")) == ()
