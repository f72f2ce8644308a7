"""Any subset of modalities with any mix of encoders, films that lack a modality, and modality dropout."""

from __future__ import annotations

import functools
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.support import numpy_reference as reference
from tests.support.model_cases import DIMENSIONS, comparable, film_rows, starts_of, windows_of
from tests.support.shapley_values import without
from trainer.foundation.config import ModelConfig
from trainer.network.dropout import kept_modalities
from trainer.network.modality_sets import predict_sets
from trainer.network.model import AffectModel, build_model

ENCODERS = {
    "image": {"kind": "tcn", "filters": 3, "filters_step": 1, "kernel_s": 3},
    "audio": {"kind": "lstm", "units": 3, "layers": 2, "states": "all"},
    "face": {"units": 4},
}
SUBSETS = [subset for count in (1, 2, 3) for subset in combinations(DIMENSIONS, count)]


def make_model(modalities: tuple[str, ...] = tuple(DIMENSIONS), **options: Any) -> AffectModel:
    encoders = {modality: ENCODERS[modality] for modality in modalities}
    config = ModelConfig.model_validate({"modalities": modalities, "window_s": 5, "encoders": encoders, **options})
    model = build_model(config, DIMENSIONS, 1)
    reference.scatter_weights(model, seed=2)
    return model


@functools.cache
def one_model() -> AffectModel:
    """One model of all modalities for several tests, so that it is compiled once."""
    return make_model()


@pytest.mark.parametrize("modalities", SUBSETS, ids="+".join)
def test_any_subset_of_modalities_and_any_mix_of_encoders(
    modalities: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    if len(modalities) < len(DIMENSIONS):
        request.getfixturevalue("eagerly")
        model = make_model(modalities)
    else:
        model = one_model()
    inputs, starts = film_rows(21), starts_of([1, 3, 17])
    expected = reference.model_rows(model, inputs, starts)
    assert expected.std() > 0.001
    same = comparable(model, starts)
    np.testing.assert_allclose(model(windows_of(model, inputs, starts))[same], expected[same], atol=1e-5, rtol=0)
    np.testing.assert_allclose(model.predict_rows(inputs, starts), expected, atol=1e-5, rtol=0)
    assert {key for key in model.row_signature() if not key.endswith("_present")} == set(modalities)


@pytest.mark.parametrize("absent", DIMENSIONS)
def test_a_film_that_lacks_a_modality(absent: str) -> None:
    model, starts = one_model(), starts_of([12])
    inputs = film_rows(12)
    inputs[f"{absent}_present"][:] = 0.0
    inputs[absent][:] = np.nan
    predicted = model.predict_rows(inputs, starts).numpy()
    assert np.isfinite(predicted).all()
    np.testing.assert_allclose(predicted, reference.model_rows(model, inputs, starts), atol=1e-5)
    inputs[absent][:] = 0.0
    np.testing.assert_array_equal(model.predict_rows(inputs, starts), predicted)


def test_each_modality_is_left_out_at_its_rate_and_never_all() -> None:
    kept = kept_modalities(40_000, 3, 0.3, [1, 2]).numpy()
    assert kept.any(axis=1).all()
    # Each by itself at 0.3, except that of the 0.027 with none left each third gets one back.
    np.testing.assert_allclose(1.0 - kept.mean(axis=0), 0.3 - 0.027 / 3, atol=0.01)
    both_left_out = (~kept[:, 0] & ~kept[:, 1]).mean()
    assert both_left_out == pytest.approx(0.09 - 0.027 / 3, abs=0.01)
    alone = kept_modalities(40_000, 3, 0.99, [1, 2]).numpy()
    np.testing.assert_allclose(alone.mean(axis=0), 1 / 3, atol=0.02)
    assert kept_modalities(100, 1, 0.9, [1, 2]).numpy().all()


def test_modality_dropout_makes_a_window_that_of_a_film_without_it() -> None:
    model = make_model(modality_dropout=0.5, dropout=0.0, feature_dropout=0.0)
    windows = windows_of(model, film_rows(30), starts_of([30]))
    kept = kept_modalities(30, 3, 0.5, [7, 1]).numpy()
    assert not kept.all()
    lacking = dict(windows)
    for index, modality in enumerate(DIMENSIONS):
        lacking[f"{modality}_present"] = windows[f"{modality}_present"] * kept[:, index, None, None]
    trained = model(windows, training=True, dropout_seed=[7, 1]).numpy()
    np.testing.assert_allclose(trained, model(lacking), atol=1e-6)
    assert np.abs(trained - model(windows).numpy()).max() > 1e-3
    compiled = tf.function(lambda seed: model(windows, training=True, dropout_seed=seed))
    np.testing.assert_allclose(compiled(tf.constant([7, 1])), trained, atol=1e-6)
    assert np.abs(compiled(tf.constant([7, 2])) - trained).max() > 1e-3
    with pytest.raises(ValueError, match="dropout_seed"):
        model(windows, training=True)


def test_several_seconds_of_a_window_are_predicted_in_their_order() -> None:
    model, rows, starts = one_model(), film_rows(9), starts_of([9])
    windows = windows_of(model, rows, starts, sequence=True)
    before, _ = model.window_rows(sequence=True)
    seconds = np.random.default_rng(0).uniform(size=(9, 5)) < 0.4
    states = []
    for modality, encoder in zip(DIMENSIONS, model.encoders, strict=True):
        window_rows = [{key: values[index] for key, values in windows.items()} for index in range(9)]
        inputs = [reference.encoder_inputs(model, row, modality) for row in window_rows]
        if modality == "image":
            sequences = [reference.tcn_sequence(window, encoder)[before - 4 : before + 1] for window in inputs]
        else:
            sequences = [reference.encoder_sequence(window[before - 4 : before + 1], encoder) for window in inputs]
        states.append(np.stack(sequences)[seconds])
    expected = reference.fusion(model, np.concatenate(states, axis=1), np.zeros(int(seconds.sum())))
    np.testing.assert_allclose(model(windows, seconds=tf.constant(seconds)), expected, atol=1e-5)
    last = np.zeros((9, 5), bool)
    last[:, -1] = True
    # Both windows pair seconds alike, since one begins four seconds before the other.
    single = model(windows_of(model, rows, starts))
    np.testing.assert_allclose(model(windows, seconds=tf.constant(last)), single, atol=1e-6)


@pytest.mark.parametrize("kind", ["any mix of encoders", "both directions and film statistics"])
def test_sets_of_modalities_in_one_call_are_films_that_lack_the_others(
    kind: str, request: pytest.FixtureRequest
) -> None:
    if kind == "any mix of encoders":
        model = one_model()
    else:
        request.getfixturevalue("eagerly")
        options = {"batch_normalization": True, "batch_statistics_at_inference": "film", "presence_input": False}
        both = {"encoder": {"units": 2, "bidirectional": True}, "encoders": {}, "window_s": 3, "lookahead_s": 1}
        model = make_model(("audio", "face"), **options, **both)
    modalities = model.config.modalities
    inputs, starts = film_rows(21), starts_of([1, 3, 17])
    sets = np.array(list(product((False, True), repeat=len(modalities))))
    found = predict_sets(model, inputs, starts, sets, np.arange(21), 256).numpy()
    for chosen, curves in zip(sets, found, strict=True):
        expected = model.predict_rows(without(inputs, list(modalities), tuple(chosen)), starts)
        np.testing.assert_allclose(curves, expected, atol=1e-6, rtol=0)
    assert np.std(found, axis=0).max() > 0.01, "sets differ"
