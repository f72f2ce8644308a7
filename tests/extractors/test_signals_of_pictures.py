"""Light, colour, motion and cuts of pictures that are known, against their definitions."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from scipy import ndimage

from beam_pipelines.extractors.signals.cuts import change_columns, is_cut, thumbnail_of
from beam_pipelines.extractors.signals.light import light_and_colour
from beam_pipelines.extractors.signals.motion import motion_of
from beam_pipelines.media.video.resize import FramePair

RNG = np.random.default_rng(20)


def test_light_and_colour_are_their_definitions():
    image = RNG.integers(0, 256, (20, 30, 3), np.uint8)
    red, green, blue = np.moveaxis(image.astype(np.float64), -1, 0)
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    saturations = [colorsys.rgb_to_hsv(*pixel)[1] for pixel in (image.reshape(-1, 3) / 255).tolist()]
    laplacian = ndimage.laplace(luma)[1:-1, 1:-1]
    known = [
        luma.mean() / 255,
        luma.std() / 255,
        np.sqrt(red_green.var() + yellow_blue.var()) + 0.3 * np.sqrt(red_green.mean() ** 2 + yellow_blue.mean() ** 2),
        np.mean(saturations),
        (red.mean() - blue.mean()) / 255,
        np.log10(1 + laplacian.var()),
    ]
    np.testing.assert_allclose(light_and_colour(image), known, rtol=1e-5)


def test_warm_pictures_are_warm_and_black_ones_have_no_saturation():
    orange = np.broadcast_to(np.array([255, 128, 0], np.uint8), (12, 12, 3))
    assert light_and_colour(orange)[3:5] == (1.0, 1.0)
    assert light_and_colour(orange[:, :, ::-1])[4] == -1
    assert light_and_colour(np.zeros((1, 1, 3), np.uint8)) == (0, 0, 0, 0, 0, 0)


@pytest.fixture(scope="module")
def texture() -> np.ndarray:
    """float64 [200, 300]: fine and coarse details."""
    noise = RNG.normal(size=(200, 300))
    both = sum(ndimage.gaussian_filter(noise, sigma) / ndimage.gaussian_filter(noise, sigma).std() for sigma in (2, 5))
    return 128 + 30 * both


def part(texture: np.ndarray, right: float, down: float) -> np.ndarray:
    """uint8 [90, 160]: the middle of a texture that was moved."""
    moved = ndimage.shift(texture, (down, right), order=3)
    return np.clip(np.round(moved[50:140, 60:220]), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("right", "down"), [(0.2, 0), (0, -0.6), (1.5, 0.5), (-4, 2), (7, 0)])
def test_blocks_have_the_speed_of_a_pan(texture, right, down):
    pair = FramePair(part(texture, 0, 0), part(texture, right, down), 0.04)
    difference, median, p90 = motion_of(pair)
    known = np.hypot(right, down) / (90 * 0.04)
    assert median == pytest.approx(known, rel=0.05)
    assert p90 == pytest.approx(known, rel=0.15)
    assert difference == pytest.approx(np.abs(pair.first.astype(float) - pair.second).mean() / 255, rel=1e-5)


def test_half_a_moving_picture_is_in_the_90th_percentile_alone(texture):
    first, second = part(texture, 0, 0), part(texture, 2, 0)
    second[:, :96] = first[:, :96]
    _, median, p90 = motion_of(FramePair(first, second, 0.04))
    assert median < 0.02
    assert p90 == pytest.approx(2 / (90 * 0.04), rel=0.1)


def test_stills_and_cuts_have_no_speed(texture):
    first = part(texture, 0, 0)
    assert motion_of(None) == (0, 0, 0)
    assert motion_of(FramePair(first, first, 0.04)) == (0, 0, 0)
    difference, *speeds = motion_of(FramePair(first, np.ascontiguousarray(first[::-1, ::-1]), 0.04))
    assert difference > 0.1
    assert speeds == [0, 0]
    for height, width in ((1, 1), (5, 160), (15, 17)):
        small = np.full((height, width), 9, np.uint8)
        assert motion_of(FramePair(small, small + 1, 0.04))[1:] == (0, 0)


def thumbnails(texture: np.ndarray, shots: list[tuple[int, float]]) -> np.ndarray:
    """Thumbnails of shots of (seconds, pixels a second to the right), each of another texture and other colours."""
    rows = []
    for number, (seconds, speed_px) in enumerate(shots):
        turned = np.ascontiguousarray(np.roll(texture, 37 * number, axis=0)[:, :: 1 if number % 2 else -1])
        tint = np.array([1, 0.5 + 0.3 * (number % 2), 0.9 - 0.4 * (number % 3)])
        for second in range(seconds):
            grey = part(turned, speed_px * second, 0)
            rows.append(thumbnail_of(np.round(grey[:, :, None] * tint).astype(np.uint8)))
    return np.stack(rows)


def test_cuts_are_counted_and_pans_are_none(texture):
    found = thumbnails(texture, [(3, 0), (4, 6), (12, 0), (14, -2)])
    known = np.zeros(33, bool)
    known[[3, 7, 19]] = True
    np.testing.assert_array_equal(is_cut(found, np.zeros(33)), known)
    columns = change_columns(found, np.zeros(33))
    for column, seconds in ((1, 10), (2, 30)):
        assert columns[:, column].tolist() == [known[max(0, t + 1 - seconds) : t + 1].sum() for t in range(33)]
    luma = found[:, 64:].astype(np.float64)
    assert columns[0, 0] == 0
    np.testing.assert_allclose(columns[1:, 0], np.abs(luma[1:] - luma[:-1]).mean(axis=1) / 255, rtol=1e-5)


def test_an_early_key_frame_makes_a_cut_of_a_smaller_difference(texture):
    # The same colours: the pictures alone leave it open.
    dull = np.stack([thumbnail_of(np.repeat(part(each, 0, 0)[:, :, None], 3, axis=2)) for each in (texture, texture.T)])
    row = np.concatenate([dull[[0] * 6], dull[[1] * 6]])
    gaps_s = np.zeros(12)
    gaps_s[[5, 10]] = 5.0
    assert not is_cut(row, gaps_s).any()
    gaps_s[6] = 1.4
    assert np.flatnonzero(is_cut(row, gaps_s)).tolist() == [6]
    gaps_s[:] = 0.48
    gaps_s[3] = 0.6
    assert not is_cut(row, gaps_s).any()


def test_one_second_has_no_cut_and_no_change():
    assert change_columns(np.ones((1, 640), np.float32), np.zeros(1)).tolist() == [[0, 0, 0]]
