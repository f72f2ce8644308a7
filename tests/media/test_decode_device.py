"""Decoding on a GPU: what gets there, what comes back, and that nothing depends on it. Most of this needs no GPU."""

from __future__ import annotations

import logging
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media import decode_device
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.decode_device import decoded_on, gpu_fault, is_from_gpu, planar, wants_gpu, why_not_on_gpu
from beam_pipelines.media.probe import FilmProbe, MediaLimits, probe_film
from beam_pipelines.media.video.colours import ToRgb
from beam_pipelines.media.video.orientation import Orientation
from beam_pipelines.media.video.picture_shape import PictureShape
from beam_pipelines.media.video.resize import ToSmallGrey
from beam_pipelines.media.video.sample_frames import sample_frames
from beam_pipelines.media.worker.decoding_process import DecodingProcess
from beam_pipelines.media.worker.picture_decoding import decoded_pictures
from tests.support.synthetic_clips import Picture, regular_times, write_clip

LIMITS = MediaLimits()
LIMITED, FULL = 1, 2
MATRICES = {"unspecified": 2, "BT.709": 1, "BT.601": 5}
YCGCO = 8


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("films") / "film.mp4", regular_times(150, 25), picture=Picture())


@pytest.fixture
def no_gpu() -> str:
    fault = gpu_fault()
    if not fault:
        pytest.skip("this machine has a GPU that decodes")
    return fault


def frames_of(height_px: int, width_px: int, color_range: int, matrix: int) -> tuple[Any, Any]:
    """The same noise as software decoders give it, and as a GPU does: chroma in two planes, and interleaved."""
    generator = np.random.default_rng(height_px)
    halves = (-(-height_px // 2), -(-width_px // 2))
    planes = [generator.integers(0, 256, size, np.uint8) for size in ((height_px, width_px), halves, halves)]
    software = av.VideoFrame(width_px, height_px, "yuvj420p" if color_range == FULL else "yuv420p")
    gpu = av.VideoFrame(width_px, height_px, "nv12")
    for frame, contents in ((software, planes), (gpu, [planes[0], np.stack(planes[1:], -1).reshape(halves[0], -1)])):
        for plane, content in zip(frame.planes, contents, strict=True):
            rows = np.zeros((content.shape[0], plane.line_size), np.uint8)
            rows[:, : content.shape[1]] = content
            plane.update(rows.tobytes()[: plane.buffer_size].ljust(plane.buffer_size, b"\0"))
        frame.color_range, frame.colorspace, frame.pts = color_range, matrix, 7
    return software, gpu


def planes_of(frame: Any) -> list[bytes]:
    return [
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width].tobytes()
        for plane in frame.planes
    ]


@pytest.mark.parametrize("size_px", [(64, 128), (270, 482), (35, 51), (720, 1280)])
@pytest.mark.parametrize("color_range", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", MATRICES)
def test_a_frame_from_a_gpu_gives_the_bytes_of_a_software_decoders(size_px: Any, color_range: int, matrix: str):
    height_px, width_px = size_px
    software, gpu = frames_of(height_px, width_px, color_range, MATRICES[matrix])
    assert (is_from_gpu(gpu), is_from_gpu(software)) == (True, False)
    assert planar(software) is software
    arranged = planar(gpu)
    assert planes_of(arranged) == planes_of(software)
    assert (arranged.pts, int(arranged.color_range), int(arranged.colorspace)) == (7, color_range, MATRICES[matrix])
    to_rgb = ToRgb("film", height_px, width_px)
    np.testing.assert_array_equal(to_rgb(arranged)[0], to_rgb(software)[0])
    to_grey = ToSmallGrey(PictureShape(width_px, height_px), Orientation(0))
    np.testing.assert_array_equal(to_grey(arranged), to_grey(software))


def test_a_matrix_that_ffmpeg_refuses_is_none_of_the_rearranging_s_business():
    software, gpu = frames_of(64, 128, LIMITED, YCGCO)
    assert planes_of(planar(gpu)) == planes_of(software)
    assert int(planar(gpu).colorspace) == YCGCO


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ""),
        ({"codec": "hevc", "pixel_format": "yuvj420p"}, ""),
        ({"codec": "vp9"}, "codec vp9"),
        ({"pixel_format": "yuv420p10le"}, "pixel format yuv420p10le"),
        ({"pixel_format": ""}, "pixel format unknown"),
        ({"hdr": "PQ"}, "HDR"),
        ({"packets_damaged": 1}, "damage"),
        ({"read_errors": 1}, "damage"),
    ],
)
def test_only_intact_films_of_two_codecs_go_to_a_gpu(film: Path, change: dict[str, Any], expected: str):
    probe = replace(probe_film(film), **change)
    assert why_not_on_gpu(probe) == expected
    processor = decoded_on(True, probe, DecodeQuality())
    assert processor == f"processor: {expected or 'no GPU took it, see the log'}"


def test_what_decoded_a_film_is_said_only_if_a_gpu_was_asked_for(film: Path):
    probe = probe_film(film)
    assert decoded_on(False, probe, DecodeQuality(frames_from_gpu=9)) == ""
    assert decoded_on(True, probe, None) == ""
    assert decoded_on(True, probe, DecodeQuality(frames_from_gpu=9)) == "gpu"
    found = decoded_on(True, probe, DecodeQuality(frames_from_gpu=9, full_decodings=1))
    assert found == "processor: no plan, or it failed"


def test_auto_asks_for_a_gpu_that_is_visible(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for there in (True, False):
        monkeypatch.setattr(decode_device, "has_gpu_device", lambda there=there: there)
        assert [wants_gpu(each) for each in ("cpu", "gpu", "auto")] == [False, True, there]
    monkeypatch.setattr(decode_device, "has_gpu_device", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert not wants_gpu("auto")


def test_without_a_gpu_the_fault_names_it_and_the_processor_decodes_the_same(film: Path, no_gpu: str):
    """The real attempt: FFmpeg tries to open CUDA on this machine, and can't."""
    assert no_gpu.startswith("FFmpeg can't open CUDA (")
    assert "cuda" in no_gpu.removeprefix("FFmpeg can't open CUDA").lower()
    probe, plain, asked = probe_film(film), DecodeQuality(), DecodeQuality()
    expected = list(sample_frames(film, probe, quality=plain, pairs=True))
    found = list(sample_frames(film, probe, quality=asked, pairs=True, gpu=True))
    assert asked == plain
    assert asked.frames_from_gpu == asked.full_decodings == 0
    assert_same(found, expected)


def test_a_worker_says_once_that_there_is_no_gpu_and_goes_on(film: Path, no_gpu: str, caplog: pytest.LogCaptureFixture):
    probe = probe_film(film)
    expected = list(sample_frames(film, probe, start=1, stop=5))
    caplog.set_level(logging.WARNING)
    with DecodingProcess(gpu=True) as decoder:
        for _ in range(2):
            found = list(decoded_pictures(decoder, film, probe, range(1, 5), DecodeQuality(), LIMITS))
            assert_same(found, expected)
        assert not decoder.gpu
    (said,) = caplog.messages
    assert said == f"{film}: the processor decodes the rest, and this worker's next films: {no_gpu}"


def test_a_decoder_that_dies_on_a_gpu_costs_no_film(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(DecodingProcess, "gpu_fault", lambda self: "")
    # More than the pipe and the queue hold, so that the child is in the middle when it is killed.
    film = write_clip(tmp_path / "film.mp4", regular_times(120, 1), rate_hz=1)
    probe = probe_film(film)
    caplog.set_level(logging.WARNING)
    with DecodingProcess(gpu=True) as decoder:
        found, quality = [], DecodeQuality()
        for frame in decoded_pictures(decoder, film, probe, range(120), quality, LIMITS):
            found.append(frame)
            if len(found) == 1:
                assert decoder.pid is not None
                os.kill(decoder.pid, signal.SIGKILL)
        assert not decoder.gpu
    assert decoded_on(True, probe, quality) == "processor: the GPU failed on the way, see the log"
    assert_same(found, list(sample_frames(film, probe)))
    (said,) = caplog.messages
    assert "the decoding process ended with signal SIGKILL" in said


def test_what_is_the_films_own_fault_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_clip(tmp_path / "film.mp4", regular_times(25, 25))
    probe = probe_film(path)
    monkeypatch.setattr(DecodingProcess, "gpu_fault", lambda self: "")
    path.write_bytes(b"no film any more")
    with DecodingProcess(gpu=True) as decoder:
        with pytest.raises(FilmError, match="unreadable"):
            list(decoded_pictures(decoder, path, probe, range(1), DecodeQuality(), LIMITS))
        assert decoder.gpu


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_gpu_decodes_the_same_bits(tmp_path: Path, codec: str):
    fault = gpu_fault()
    if fault:
        pytest.skip(f"no GPU decodes here: {fault}")
    path = write_clip(tmp_path / "film.mp4", regular_times(150, 25), picture=Picture(codec=codec))
    assert_gpu_decodes_the_same(path, probe_film(path))


def test_a_gpu_decodes_the_same_bits_of_real_clips(shared_data: Path):
    fault = gpu_fault()
    if fault:
        pytest.skip(f"no GPU decodes here: {fault}")
    taken = {path: probe_film(path) for path in sorted((shared_data / "clips").glob("*.mp4"))}
    taken = {path: probe for path, probe in taken.items() if not why_not_on_gpu(probe)}
    assert taken
    for path, probe in taken.items():
        assert_gpu_decodes_the_same(path, probe)


def assert_gpu_decodes_the_same(path: Path, probe: FilmProbe) -> None:
    plain, asked = DecodeQuality(), DecodeQuality()
    expected = list(sample_frames(path, probe, quality=plain, pairs=True))
    found = list(sample_frames(path, probe, quality=asked, pairs=True, gpu=True))
    assert asked.frames_from_gpu > 0
    assert replace(asked, frames_from_gpu=0) == plain
    assert_same(found, expected)


def assert_same(found: list[Any], expected: list[Any]) -> None:
    assert [(f.t, f.timestamp_us, f.fresh, f.key_gap_s) for f in found] == [
        (f.t, f.timestamp_us, f.fresh, f.key_gap_s) for f in expected
    ]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        assert (one.pair is None) == (other.pair is None)
        if one.pair is not None:
            np.testing.assert_array_equal(one.pair.first, other.pair.first)
            np.testing.assert_array_equal(one.pair.second, other.pair.second)
