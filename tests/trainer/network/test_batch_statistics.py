"""Batch normalisation by the statistics of each film, in the layer, in the network, and against Keras's own batch."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import numpy_reference as reference
from tests.support.model_cases import DIMENSIONS, explicit_windows, film_rows, starts_of
from trainer.foundation.config import ModelConfig
from trainer.network.batch_statistics import FilmBatches
from trainer.network.model import AffectModel, build_model


def make_layer(size: int = 3, dtype: str = "float64") -> Any:
    layer = keras.layers.BatchNormalization(dtype=dtype)
    layer.build((None, size))
    reference.scatter_weights(layer, seed=1)
    return layer


def make_model(dtype: str = "float32", mode: str = "film", **options: Any) -> AffectModel:
    config = {
        "window_s": 4,
        "encoder": {"units": 4},
        "encoders": {"face": {"kind": "tcn", "filters": 3, "levels": 1, "kernel_s": 2}},
        "dropout": 0.0,
        "feature_dropout": 0.0,
        "modality_dropout": 0.0,
        "batch_normalization": True,
        "batch_statistics_at_inference": mode,
    }
    model = build_model(ModelConfig.model_validate({**config, **options}), DIMENSIONS, 1, dtype=dtype)
    reference.scatter_weights(model, seed=2)
    return model


@functools.cache
def one_model(dtype: str = "float32") -> AffectModel:
    """One model for several tests, so that it is compiled once."""
    return make_model(dtype)


def test_each_film_is_normalised_by_its_own_windows() -> None:
    layer, generator = make_layer(), np.random.default_rng(0)
    # 29 windows take the population's statistics, 30 their own; windows of a film needn't stand together.
    films = generator.permutation(np.repeat([7, 2, 40], [29, 30, 70])).astype(np.int32)
    x = generator.normal(3.0, 2.0, (129, 3)) + films[:, None]
    normalised = np.asarray(FilmBatches.of(tf.constant(films)).normalize(layer, tf.constant(x)))
    np.testing.assert_allclose(normalised, reference.film_normalised(x, layer, films), atol=1e-9)
    gamma, beta, moving_mean, moving_variance = reference.statistics_of(layer)
    np.testing.assert_allclose(normalised[films == 40].mean(axis=0), beta, atol=1e-9)
    population = reference.normalised(x[films == 7], gamma, beta, moving_mean, moving_variance)
    np.testing.assert_allclose(normalised[films == 7], population, atol=1e-9)


def test_one_film_is_what_keras_makes_of_it_as_a_training_batch() -> None:
    layer, x = make_layer(dtype="float32"), tf.random.stateless_normal((5000, 3), [1, 2]) * 3.0 + 100.0
    own = FilmBatches.of(tf.zeros(5000, tf.int32)).normalize(layer, x)
    np.testing.assert_allclose(own, layer(x, training=True), atol=2e-3)
    wide = reference.film_normalised(np.asarray(x, np.float64), layer, np.zeros(5000))
    np.testing.assert_allclose(own, wide, atol=1e-5)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_both_entrances_equal_the_formulas(dtype: str) -> None:
    model, lengths = one_model(dtype), [1, 29, 30, 45]
    inputs, starts = film_rows(sum(lengths)), starts_of(lengths)
    expected = reference.model_rows(model, inputs, starts)
    tolerance = 1e-6 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(model.predict_rows(inputs, starts), expected, atol=tolerance, rtol=0)
    # Another mode is another model: the statistics matter.
    population = make_model(dtype, mode="population").predict_rows(inputs, starts).numpy()
    assert np.abs(population - expected)[30:].max() > 1e-3
    np.testing.assert_allclose(population[:30], expected[:30], atol=tolerance)


@pytest.mark.usefixtures("eagerly")
def test_all_windows_of_one_film_are_keras_training_batch() -> None:
    # Training changes the statistics of a model; a TCN's explicit windows pair other seconds than the film does.
    model, inputs = make_model(encoders={"face": {"units": 3, "layers": 2}}), film_rows(40)
    windows = explicit_windows(inputs, np.zeros(40, np.int32), 4)
    own = model.predict_rows(inputs, np.zeros(40, np.int32)).numpy()
    np.testing.assert_allclose(model(windows), own, atol=1e-5)
    np.testing.assert_allclose(model(windows, training=True, dropout_seed=[0, 0]), own, atol=1e-4)


def test_a_curve_does_not_depend_on_what_else_is_scored() -> None:
    model, lengths = one_model(), [31, 300, 5, 64]
    inputs, starts = film_rows(sum(lengths)), starts_of(lengths)
    together = model.predict_rows(inputs, starts).numpy()
    for first, length in zip(np.cumsum([0, *lengths[:-1]]), lengths, strict=True):
        alone = {key: rows[first : first + length] for key, rows in inputs.items()}
        predicted = model.predict_rows(alone, np.zeros(length, np.int32)).numpy()
        np.testing.assert_array_equal(predicted, together[first : first + length])
    # What another film shows has no effect at all, though within a film every second affects every other.
    changed = {key: rows.copy() for key, rows in inputs.items()}
    changed["audio"][:31] += 5.0
    moved = np.abs(model.predict_rows(changed, starts).numpy() - together).max(axis=1) > 0
    assert moved[:31].any()
    assert not moved[31:].any()


def test_no_rows_give_no_predictions() -> None:
    assert one_model().predict_rows(film_rows(0), np.zeros(0, np.int32)).shape == (0, 2)


@pytest.mark.usefixtures("eagerly")
def test_population_statistics_are_those_of_the_windows_that_are_given() -> None:
    model, inputs = make_model(mode="population"), film_rows(340)
    parts = [{key: rows[first:stop] for key, rows in inputs.items()} for first, stop in ((0, 40), (40, 340))]
    ends = [np.arange(40), np.arange(1, 300, 3)]
    model.set_population_statistics(zip(parts, ends, strict=True))
    # In NumPy: the same windows as one film, which film statistics normalise by themselves.
    whole, starts = make_model(mode="film"), starts_of([40, 300])
    rows = [reference.encoder_inputs(whole, inputs, modality) for modality in whole.config.modalities]
    states = [
        reference.encoder_rows(one, starts, encoder, 4)[np.r_[ends[0], 40 + ends[1]]]
        for one, encoder in zip(rows, whole.encoders, strict=True)
    ]
    expected = reference.fusion(whole, np.concatenate(states, axis=1), np.zeros(140, np.int32))
    predicted = [model.predict_rows(part, np.zeros(len(part["face"]), np.int32)).numpy() for part in parts]
    got = np.concatenate([each[rows] for each, rows in zip(predicted, ends, strict=True)])
    np.testing.assert_allclose(got, expected, atol=1e-5)
