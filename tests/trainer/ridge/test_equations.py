"""Ridge regression against its definition: causal means, both forms of the equations, absent slots, the penalty."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from beam_pipelines.contracts.records.records import slots_of
from beam_pipelines.foundation.errors import ConfigurationError
from tests.support.model_cases import DIMENSIONS, film_rows
from trainer.foundation.config import TrainConfig
from trainer.foundation.ridge_config import RidgeConfig
from trainer.ridge.causal_means import causal_mean, input_rows, running_sums
from trainer.ridge.equations import RidgeEquations
from trainer.ridge.fit import fit_ridge
from trainer.ridge.model import RidgeModel

MODALITIES = ("image", "audio", "face")
CONFIG = RidgeConfig(means_s=(5, 30))


def film(seconds: int, seed: int, known: float = 0.8) -> Any:
    """A film of random features, whose labels follow the mean of its first features over 30 s."""
    rows, generator = film_rows(seconds, seed), np.random.default_rng(seed + 100)
    features = {name: rows[name] for name in MODALITIES}
    present = {name: rows[f"{name}_present"] for name in MODALITIES}
    each = SimpleNamespace(film_id=f"film{seed}", features=features, present=present)
    mean = causal_mean(running_sums(input_rows(each, MODALITIES, True)), np.arange(seconds), 30)
    labels = np.tanh(mean[:, :2] + 0.1 * generator.normal(size=(seconds, 2))).astype(np.float32)
    mask = generator.uniform(size=seconds) < known
    each.labels, each.known, each.label_rows = labels * mask[:, None], mask, labels[mask]
    return each


@dataclass(frozen=True)
class Explicit:
    """The columns of all labelled seconds, made one by one."""

    x: np.ndarray
    y: np.ndarray

    @classmethod
    def of(cls, films: list[Any]) -> Explicit:
        x, y = [], []
        for one in films:
            values = []
            for name in MODALITIES:
                slots = slots_of(name)
                mask = np.repeat(one.present[name], DIMENSIONS[name] // slots, axis=1)
                values += [one.features[name] * mask, one.present[name]]
            rows = np.concatenate(values, axis=1).astype(np.float64)
            for t in np.flatnonzero(one.known):
                parts = [
                    rows[t],
                    *(rows[max(0, t - w + 1) : t + 1].mean(axis=0) for w in (5, 30)),
                    rows[: t + 1].mean(0),
                ]
                x.append(np.concatenate(parts))
                y.append(one.labels[t])
        return cls(np.array(x), np.array(y, np.float64))

    def solved(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Weights [columns, 2] and offset [2] that minimise mean squared error and penalty, by least squares."""
        x, y = self.x - self.x.mean(axis=0), self.y - self.y.mean(axis=0)
        tall = np.concatenate([x, np.sqrt(len(x) * penalty) * np.eye(x.shape[1])])
        weights = np.linalg.lstsq(tall, np.concatenate([y, np.zeros((x.shape[1], 2))]), rcond=None)[0]
        return weights, self.y.mean(axis=0) - self.x.mean(axis=0) @ weights


@pytest.mark.parametrize("lengths", [(700, 45, 1), (20, 21)])  # more seconds than columns, and fewer
def test_the_weights_are_those_of_least_squares_with_a_penalty(lengths):
    films = [film(seconds, seed) for seed, seconds in enumerate(lengths)]
    explicit = Explicit.of(films)
    equations = RidgeEquations(films, MODALITIES, True, CONFIG)
    assert explicit.x.shape == (equations.seconds, 4 * 16)
    for penalty in (0.3, 1e-3, 50.0, 0.3):  # in any order, and again: one factorisation leaves nothing to the next
        weights, offset = equations.solve(penalty)
        expected, constant = explicit.solved(penalty)
        np.testing.assert_allclose(weights.reshape(expected.shape), expected, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(offset, constant, rtol=1e-7, atol=1e-9)


def test_larger_matrices_than_a_block_are_restored_too():
    films = [film(2400, 3, known=1.0)]
    config = RidgeConfig(means_s=tuple(range(2, 41)))
    equations = RidgeEquations(films, MODALITIES, True, config)
    first = equations.solve(0.1)
    equations.solve(10.0)
    for one, again in zip(first, equations.solve(0.1), strict=True):
        np.testing.assert_array_equal(one, again)


def test_a_prediction_is_the_weighted_sum_of_features_and_causal_means():
    one = film(90, 5)
    equations = RidgeEquations([one], MODALITIES, True, CONFIG)
    weights, offset = equations.solve(0.5)
    whole = film(90, 5)
    whole.known = np.ones(90, bool)
    whole.features["image"][whole.present["image"][:, 0] == 0] = np.nan  # never read
    dimensions = {name: DIMENSIONS[name] for name in MODALITIES}
    model = RidgeModel(dimensions, True, CONFIG.widths_s, np.float32(weights), np.float32(offset), (-0.2, 0.3))
    expected = Explicit.of([film(90, 5, known=2.0)]).x @ weights.reshape(-1, 2) + offset
    found = model.predict(whole)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.clip(expected, -0.2, 0.3), atol=2e-6)
    assert (expected < -0.2).any()
    assert (expected > 0.3).any()


def settings(**ridge: Any) -> TrainConfig:
    return TrainConfig(model={"modalities": MODALITIES}, ridge=ridge)


def test_each_targets_penalty_is_the_one_that_is_best_on_the_validation_films():
    train, validation = [film(200, seed) for seed in range(3)], [film(200, 7)]
    for one in (*train, *validation):
        generator = np.random.default_rng(one.known.sum())
        one.labels[:, 1] = generator.uniform(-1, 1, size=len(one.labels)) * one.known  # nothing to learn
    fit = fit_ridge(train, validation, settings(penalties=(1e-3, 0.1, 1000.0)))
    assert fit.penalty["valence"] < 1000.0
    assert fit.penalty["arousal"] == 1000.0
    errors = {}
    for penalty in (1e-3, 0.1, 1000.0):
        alone = fit_ridge(train, validation, settings(penalty={"valence": penalty, "arousal": penalty}))
        known = validation[0].known
        errors[penalty] = ((alone.predictions["film7"] - validation[0].labels)[known] ** 2).mean(axis=0)
        if penalty == fit.penalty["valence"]:
            np.testing.assert_array_equal(alone.predictions["film7"][:, 0], fit.predictions["film7"][:, 0])
    assert fit.penalty["valence"] == min(errors, key=lambda penalty: errors[penalty][0])
    assert fit.penalty["arousal"] == min(errors, key=lambda penalty: errors[penalty][1])


def test_without_validation_films_the_penalty_must_be_given():
    with pytest.raises(ConfigurationError, match=r"train\.ridge\.penalty: without validation films nothing chooses it"):
        fit_ridge([film(50, 0)], [], settings())
    fit = fit_ridge([film(50, 0)], [], settings(penalty={"valence": 2.0, "arousal": 0.5}))
    assert fit.penalty == {"valence": 2.0, "arousal": 0.5}


def test_no_labelled_second_is_refused():
    with pytest.raises(ConfigurationError, match="no second of the training films has a label"):
        RidgeEquations([film(30, 0, known=0.0)], MODALITIES, True, CONFIG)
