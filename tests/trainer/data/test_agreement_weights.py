"""The weight of every second in the loss, by how near its raters are to each other."""

from __future__ import annotations

import numpy as np
import pytest

from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.labels.annotations import LabelReport
from trainer.data.agreement import agreement_weights
from trainer.data.dataset import TrainingFilm


def film(deviation: list[list[float]] | None, known: list[bool]) -> TrainingFilm:
    seconds, nothing = len(known), np.zeros((len(known), 2), np.float32)
    apart = None if deviation is None else np.array(deviation, np.float32)
    report = LabelReport("film", seconds, seconds, seconds, 0, 0, 0)
    return TrainingFilm("film", "train", {}, {}, nothing, np.array(known), nothing, report, "", "", apart)


def test_seconds_count_less_the_further_raters_are_apart() -> None:
    nan = float("nan")
    films = [film([[0.1, 0.3], [0.0, 0.0], [nan, nan], [0.6, 0.2]], [True, True, True, False]), film(None, [True])]
    s = np.array([0.2, 0.0])
    m = np.sqrt(np.mean(s**2))
    expected = np.array([*(1 / (1 + (s / m) ** 2)), 0.5, 0.5, 0.5])
    known = np.array([True, True, True, False, True])
    found = agreement_weights(films)
    np.testing.assert_allclose(found, expected / expected[known].mean(), rtol=1e-6)
    assert found[known].mean() == pytest.approx(1.0)


def test_raters_who_always_agree_give_every_second_the_same_weight() -> None:
    np.testing.assert_array_equal(agreement_weights([film([[0.0, 0.0]] * 3, [True] * 3)]), np.ones(3, np.float32))


def test_labels_of_one_rater_have_no_such_weights() -> None:
    with pytest.raises(ConfigurationError, match="weigh_by_agreement"):
        agreement_weights([film(None, [True])])
