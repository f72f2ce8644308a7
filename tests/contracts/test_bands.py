"""Bands: the quantile over films against a plain reading of its formula, and the promise against a simulation."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from beam_pipelines.contracts.curves.bands import LEVELS, Calibration, edges, films_needed, half_width, lines, measure
from beam_pipelines.contracts.curves.curves import AffectCurve, columns_of, from_csv, smoothed_curve, to_csv
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.contracts.models.model_card import ModelCard
from tests.support.exported_models import make_card

NONE = SmoothingConfig(method="none")


def by_definition(errors: list[np.ndarray], level: int) -> float:
    """The smallest error that at least this share of the weight reaches, in fractions; infinite if none does."""
    smallest = np.inf
    for candidate in sorted(np.concatenate(errors))[::-1]:
        weight = sum(Fraction(int((film <= candidate).sum()), (len(errors) + 1) * len(film)) for film in errors)
        if weight < Fraction(level, 100):
            return smallest
        smallest = float(candidate)
    return smallest


def draw_film(generator: np.random.Generator) -> np.ndarray:
    """A film's errors: its own size and shape, seconds that follow each other, another number of them."""
    seconds = int(generator.integers(5, 120))
    walk = np.convolve(generator.normal(size=seconds + 8), np.ones(9) / 3, "valid")
    return np.abs(generator.normal(0, 0.3) + generator.gamma(2.0, 0.1) * walk)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("count", [3, 4, 7, 18, 19, 24])
def test_the_width_is_the_quantile_of_the_formula(level: int, count: int):
    for seed in range(2):
        generator = np.random.default_rng(seed)
        errors = [draw_film(generator) for _ in range(count)]
        expected, found = by_definition(errors, level), half_width(errors, level)
        if np.isinf(expected):
            assert found is None
        else:
            assert found is not None
            assert expected <= found < expected + 1.1e-6


def test_80_percent_needs_4_films_and_95_percent_19():
    assert [films_needed(level) for level in LEVELS] == [4, 19]
    assert half_width([np.ones(500)] * 3, 80) is None
    assert half_width([np.ones(1)] * 4, 80) == 1.0
    assert half_width([np.ones(500)] * 18, 95) is None
    assert half_width([np.ones(1)] * 19, 95) == 1.0


def test_a_long_film_counts_no_more_than_a_short_one():
    errors = [np.full(10_000, 5.0), *[np.full(10, 0.1)] * 9]
    assert half_width(errors, 80) == pytest.approx(0.1, abs=2e-6)


@pytest.mark.parametrize("films", [[], [np.nan], [np.inf]])
def test_a_film_without_a_finite_error_is_refused(films: list[float]):
    with pytest.raises(ValueError, match="finite"):
        half_width([np.ones(3)] * 4 + [np.array(films)], 80)


@pytest.fixture(scope="module")
def pool() -> list[np.ndarray]:
    """The films that there are; drawing from them with replacement is drawing from one distribution."""
    generator = np.random.default_rng(11)
    return [draw_film(generator) for _ in range(400)]


@pytest.mark.parametrize(("level", "count"), [(80, 4), (80, 25), (95, 19), (95, 40)])
def test_a_random_second_of_a_new_film_lies_within(pool: list[np.ndarray], level: int, count: int):
    """Over many draws of all films the share is at least the level, and about 1 / (n + 1) above it at most."""
    generator = np.random.default_rng(level + count)
    draws = 800
    held = np.empty(draws)
    for draw in range(draws):
        *films, new = (pool[index] for index in generator.integers(0, len(pool), count + 1))
        held[draw] = np.mean(new <= half_width(films, level))
    chance = 3.3 * held.std() / np.sqrt(draws)
    assert level / 100 - chance <= held.mean() <= level / 100 + 1 / (count + 1) + chance


def test_the_quantile_of_all_seconds_alone_would_break_the_promise(pool: list[np.ndarray]):
    generator = np.random.default_rng(1)
    held = []
    for _ in range(800):
        *films, new = (pool[index] for index in generator.integers(0, len(pool), 5))
        held.append(np.mean(new <= np.quantile(np.concatenate(films), 0.8)))
    assert np.mean(held) < 0.8 - 3.3 * np.std(held) / np.sqrt(800)


def test_coverage_is_a_mean_over_films():
    wide, narrow = (np.zeros(100), np.full(100, -1.0), np.full(100, 1.0)), (np.ones(2), np.zeros(2), np.full(2, 0.5))
    assert measure([wide, narrow]) == {"coverage": 0.5, "width": 1.25, "films": 2}
    assert (
        "holds 50.0% of a film's seconds, is 1.250 wide (means of 2 films)"
        in lines({"valence": {80: measure([wide, narrow])}})[0]
    )


def test_a_curve_has_the_edges_of_its_bands_cut_at_the_labels_range():
    low, high = edges(np.array([-0.9, 0.0, 0.95]), 0.2, (-1.0, 1.0))
    np.testing.assert_allclose(low, [-1.0, -0.2, 0.75])
    np.testing.assert_allclose(high, [-0.7, 0.2, 1.0])
    raw = {"valence": [-0.9, 0.0, 0.95], "arousal": [0.1, 0.2, 0.3]}
    half_widths = {"valence": {80: 0.2, 95: 0.5}, "arousal": {80: 0.3, 95: 0.4}}
    curve = smoothed_curve("f", raw, NONE, (-1.0, 1.0), half_widths=half_widths)
    assert curve.columns == columns_of(levels=LEVELS)
    assert to_csv(curve).splitlines()[:2] == [
        "time_s,valence,arousal,valence_raw,arousal_raw,valence_low_80,arousal_low_80,valence_high_80,arousal_high_80,"
        "valence_low_95,arousal_low_95,valence_high_95,arousal_high_95",
        "0,-0.900000,0.100000,-0.900000,0.100000,-1.000000,-0.200000,-0.700000,0.400000,-1.000000,-0.300000,-0.400000,"
        "0.500000",
    ]
    again = from_csv(to_csv(curve), "f")
    assert again.columns == curve.columns
    assert all(np.array_equal(again.of(name), curve.of(name)) for name in curve.columns)


def test_a_band_of_one_target_only_is_no_curve():
    values = np.zeros(3)
    bands = {"valence_low_80": values, "valence_high_80": values}
    with pytest.raises(ValueError, match="all columns"):
        AffectCurve("f", values, values, values, values, bands=bands)


def test_a_model_of_one_target_has_the_bands_of_that_one():
    curve = smoothed_curve("f", {"arousal": [0.1, 0.2]}, NONE, (-1.0, 1.0), half_widths={"arousal": {80: 0.3}})
    assert curve.columns == ("arousal", "arousal_raw", "arousal_low_80", "arousal_high_80")
    assert from_csv(to_csv(curve), "f").levels == (80,)


def test_bands_hold_only_around_the_curve_that_was_measured():
    half_widths = {"valence": {80: 0.2}, "arousal": {80: 0.3}}
    calibration = Calibration(films=("a", "b", "c", "d"), half_widths=half_widths)
    card = ModelCard.model_validate({**make_card("1"), "calibration": calibration.model_dump(mode="json")})
    own = card.smoothing
    turned = Calibration.model_validate({"half_widths": {target: {95: 0.5, 80: 0.2} for target in half_widths}})
    assert [list(of_levels) for of_levels in turned.half_widths.values()] == [[80, 95]] * 2
    assert card.half_widths(own) == half_widths
    assert card.half_widths(own, stride_s=2) == {} == card.half_widths(NONE)
    assert card.without_bands(own) == "the 95 % band needs 19 films; this model was calibrated on 4"
    assert "own filter" in card.without_bands(NONE)
    assert "cineaffect calibrate" in ModelCard.model_validate(make_card("1")).without_bands(own)
    formula = ModelCard.model_validate({**make_card("1"), "trained": False})
    assert formula.without_bands(own) == ""
