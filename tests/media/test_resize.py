"""Scaling against exact area means and against simple pictures."""

from __future__ import annotations

import av
import numpy as np
import pytest
from av.video.reformatter import Interpolation
from PIL import Image

from beam_pipelines.media.video.resize import resize_image


def area_weights(size: int, target: int) -> np.ndarray:
    """float64 [target, size]: the share of each source pixel in each result pixel."""
    edges = np.arange(target + 1) * size / target
    low = np.maximum(edges[:-1, None], np.arange(size)[None])
    high = np.minimum(edges[1:, None], np.arange(size)[None] + 1)
    return np.clip(high - low, 0, None) * target / size


@pytest.mark.parametrize(("height", "width", "target"), [(480, 640, 299), (204, 480, 160), (1080, 1920, 299)])
def test_shrinking_is_the_mean_over_the_area(height: int, width: int, target: int):
    image = np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)
    exact = np.einsum("ih,hwc,jw->ijc", area_weights(height, target), image, area_weights(width, target), optimize=True)
    scaled = resize_image(image, target, target)
    assert scaled.shape == (target, target, 3)
    assert scaled.dtype == np.uint8
    assert scaled.flags["C_CONTIGUOUS"]
    assert np.abs(scaled - exact).max() < 1.5
    assert np.abs((scaled - exact).mean(axis=(0, 1))).max() < 0.1


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (64, 20), (20, 64), (299, 299), (1, 1)])
def test_a_plain_colour_stays_exactly_what_it_is(size: tuple[int, int]):
    image = np.full((37, 41, 3), (200, 31, 97), np.uint8)
    scaled = resize_image(image, *size)
    assert scaled.shape == (*size, 3)
    assert (scaled == (200, 31, 97)).all()


def test_enlarging_keeps_a_ramp_and_the_channels_apart():
    ramp = np.zeros((20, 40, 3), np.uint8)
    ramp[..., 0] = np.arange(40) * 6
    ramp[..., 1] = 255 - np.arange(20)[:, None] * 12
    scaled = resize_image(ramp, 60, 120).astype(float)
    expected = np.clip((np.arange(120) + 0.5) / 3 - 0.5, 0, 39) * 6
    assert np.abs(scaled[..., 0] - expected).max() <= 1.5
    assert not scaled[..., 2].any()


def test_enlarging_is_pillows_bilinear_filter():
    image = np.random.default_rng(5).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    pillow = np.asarray(Image.fromarray(image).resize((224, 201), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(resize_image(image, 201, 224) - pillow).max() <= 1


def test_repeats_bit_by_bit_and_leaves_its_input_alone():
    image = np.random.default_rng(4).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    image.setflags(write=False)
    assert resize_image(image, 50, 60).tobytes() == resize_image(np.asfortranarray(image), 50, 60).tobytes()
    same = resize_image(image, 90, 160)
    assert np.array_equal(same, image)
    assert not np.shares_memory(same, image)


@pytest.mark.parametrize("size", [(1, 1), (17, 30), (60, 33), (60, 90), (200, 31)])
def test_how_a_picture_lies_in_memory_changes_no_byte(size: tuple[int, int]):
    channels = np.random.default_rng(6).integers(0, 256, (3, 80, 120), dtype=np.uint8)
    film = np.moveaxis(channels, 0, -1)  # as `SampledFrame.image` lies
    whole, corner, row, column = np.s_[:], np.s_[:1, :1], np.s_[:1], np.s_[:, :1]
    parts = [whole, np.s_[7:70, 11:61], np.s_[::2], np.s_[:, ::2], np.s_[::-1], row, column, corner]
    for part in parts:
        expected = resize_image(np.ascontiguousarray(film[part]), *size)
        assert resize_image(film[part], *size).tobytes() == expected.tobytes()
    # Fingerprints don't name how often FFmpeg is called: three channels at once, as before, are the same.
    at_once = av.VideoFrame.from_ndarray(channels, format="yuv444p").reformat(
        width=size[1],
        height=size[0],
        interpolation=(Interpolation.AREA if size[0] <= 80 and size[1] <= 120 else Interpolation.BILINEAR)
        | Interpolation.ACCURATE_RND
        | Interpolation.BITEXACT,
    )
    np.testing.assert_array_equal(np.moveaxis(resize_image(film, *size), -1, 0), at_once.to_ndarray())


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)]
)
def test_what_is_no_rgb_picture_is_refused(image: np.ndarray):
    with pytest.raises(ValueError, match="uint8"):
        resize_image(image, 2, 2)


def test_an_empty_result_is_refused():
    with pytest.raises(ValueError, match="can't scale"):
        resize_image(np.zeros((4, 4, 3), np.uint8), 0, 2)
