"""Paired differences over films: a simulation holds the rate of errors, and small cases are counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trainer.evaluation.paired import Figure, film_figures, interval, p_value
from trainer.retraining.config import RetrainConfig

LEAST = RetrainConfig().least_films
ROUNDS, SECONDS = 2000, 60


def equally_good(rounds: int, films: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and two predictors of the same quality, [rounds, films, seconds] each.

    Films differ in how hard they are, each predictor has its own offset in each film, and seconds depend on each other.
    """
    generator = np.random.default_rng(seed)

    def walk() -> np.ndarray:
        steps = generator.normal(size=(rounds, films, SECONDS)).cumsum(axis=-1)
        return (steps - steps.mean(axis=-1, keepdims=True)) / steps.std(axis=-1, keepdims=True)

    labels, hard = walk(), generator.gamma(2.0, 0.5, (rounds, films, 1))
    one, other = (
        0.4 * labels + hard * walk() + 0.4 * generator.normal(size=(rounds, films, 1)) for _ in ("challenger", "other")
    )
    return labels, one, other


def figures(figure: Figure, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """The figure of every film at once, by its formula."""
    if figure == "mse":
        return ((predicted - true) ** 2).mean(axis=-1)
    x, y = (values - values.mean(axis=-1, keepdims=True) for values in (predicted, true))
    variances, covariance = ((x**2).mean(axis=-1), (y**2).mean(axis=-1)), (x * y).mean(axis=-1)
    if figure == "pcc":
        return covariance / np.sqrt(variances[0] * variances[1])
    return 2 * covariance / (sum(variances) + (predicted.mean(axis=-1) - true.mean(axis=-1)) ** 2)


@pytest.mark.parametrize(("figure", "films"), [("mse", 2), ("mse", LEAST), ("mse", 12), ("pcc", LEAST), ("ccc", LEAST)])
def test_an_equally_good_model_passes_as_often_as_the_confidence_says(figure: Figure, films: int) -> None:
    labels, one, other = equally_good(ROUNDS, films, seed=films)
    gains = figures(figure, one, labels) - figures(figure, other, labels)
    passed = float(np.mean(p_value(gains, figure) <= 1.0 - RetrainConfig().confidence))
    # Three standard errors of the simulation are 0.02. With two films, t is on the safe side.
    assert (0.05 if films == 2 else 0.08) <= passed <= 0.12
    # The bounds would see a test that isn't paired, or that has one side too many.
    assert float(np.mean(p_value(gains + gains.std(), figure) <= 0.1)) > passed + 0.1


def test_signs_of_three_films_are_counted_by_hand() -> None:
    # Of the eight assignments of signs to (1, 2, 4), one has a sum of 7 or more, three have one of 3 or more.
    assert p_value(np.array([1.0, 2.0, 4.0]), "pcc") == pytest.approx(1 / 8)
    assert p_value(np.array([1.0, -2.0, 4.0]), "ccc") == pytest.approx(3 / 8)
    assert p_value(np.array([2.0, 3.0, 5.0]), "pcc", margin=1.0) == pytest.approx(1 / 8)
    assert p_value(np.zeros(8), "pcc") == 1.0


def test_differences_without_spread_are_certain_or_nothing() -> None:
    assert p_value(np.full(8, 0.25), "mse") == 0.0
    assert p_value(np.zeros(8), "mse") == 1.0
    assert p_value(np.full(8, 0.25), "mse", margin=0.25) == 1.0


def test_the_interval_is_students() -> None:
    # Mean 2, standard error 1 / sqrt(3); Student's table has 4.303 for two degrees of freedom.
    half = 4.303 / math.sqrt(3)
    assert interval(np.array([1.0, 2.0, 3.0])) == pytest.approx((2 - half, 2 + half), 1e-3)
    assert interval(np.array([1.0])) == (-math.inf, math.inf)


def test_a_films_figure_is_the_mean_of_both_targets_and_an_undefined_one_counts_as_zero() -> None:
    true = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    flat = np.ones((3, 1))
    series = {"b": (true + 1.0, true), "a": (np.hstack([true[:, :1], flat]), true)}
    np.testing.assert_allclose(film_figures(series, "mse"), [(0 + 2 / 3) / 2, 1.0])
    np.testing.assert_allclose(film_figures(series, "pcc"), [0.5, 1.0])
