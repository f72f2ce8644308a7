"""The test by which a challenger takes the place of the model in use."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.evaluation.metrics import ccc, mse, pcc
from trainer.retraining.comparison import compare
from trainer.retraining.config import RetrainConfig

LEAST = RetrainConfig().least_films


def make_series(deviation: float, seed: int, films: int = 8) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    labels, noise = np.random.default_rng(1), np.random.default_rng(seed)
    series = {}
    for film in range(films):
        true = labels.uniform(-1, 1, (50 + film, 2))
        series[f"film{film}"] = (true + noise.normal(0, deviation, true.shape), true)
    return series


@pytest.mark.parametrize(("metric", "function"), [("mse", mse), ("pcc", pcc), ("ccc", ccc)])
def test_the_figures_are_those_of_the_metrics_and_only_the_better_one_wins(metric, function) -> None:
    good, bad = make_series(0.2, 2), make_series(0.5, 3)
    found = compare(good, bad, metric, 0.0, 0.9, LEAST)
    for series, figure in ((good, found.challenger), (bad, found.reference)):
        each = [function(x[:, column], y[:, column]) for x, y in series.values() for column in (0, 1)]
        assert figure == pytest.approx(np.mean(each))
    assert found.improvement == pytest.approx(abs(found.challenger - found.reference))
    assert found.better
    assert found == compare(good, bad, metric, 0.0, 0.9, LEAST)
    assert not compare(bad, good, metric, 0.0, 0.9, LEAST).better
    assert not compare(good, good, metric, 0.0, 0.9, LEAST).better
    assert not compare(good, bad, metric, 2.0, 0.9, LEAST).better


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_a_gain_is_believed_at_the_confidence_that_student_gives_it(confidence: float) -> None:
    # Better by 1 in two films of eight, equal in the others: the mean is 0.25, its standard error 0.1637, so t is 1.528
    # with seven degrees of freedom. Student's table has 1.415 for 10 % and 1.895 for 5 %.
    true = np.zeros((50, 2))
    challenger = {f"film{film}": (true, true) for film in range(8)}
    reference = {f"film{film}": (true + (film < 2), true) for film in range(8)}
    found = compare(challenger, reference, "mse", 0.0, confidence, LEAST)
    assert found.improvement == pytest.approx(0.25)
    assert found.p_value == pytest.approx(0.085, abs=0.001)
    assert found.better == (confidence == 0.9)


def test_nothing_is_decided_on_fewer_films_than_the_least() -> None:
    good, bad = make_series(0.01, 2, films=7), make_series(0.9, 3, films=7)
    found = compare(good, bad, "mse", 0.0, 0.9, LEAST)
    assert (LEAST, found.p_value, found.better) == (8, None, False)
    assert compare(good, bad, "mse", 0.0, 0.9, 7).better


def test_other_films_are_refused() -> None:
    with pytest.raises(ValueError, match="same films"):
        compare(make_series(0.1, 1, films=3), make_series(0.1, 1), "mse", 0.0, 0.9, LEAST)
