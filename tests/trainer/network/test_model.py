"""The whole network against NumPy, its two entrances against one another, presence, seeds, dropout and training."""

from __future__ import annotations

import functools
import json
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, strategies as st

from beam_pipelines.contracts.records.records import slots_of
from beam_pipelines.foundation.errors import ConfigurationError
from tests.support import numpy_reference as reference
from tests.support.hypothesis_profiles import examples
from tests.support.model_cases import DIMENSIONS, explicit_windows, film_rows, starts_of
from trainer.foundation.config import ModelConfig
from trainer.network.dropout import dropout as _dropout
from trainer.network.model import AffectModel, build_model

WITHOUT_DROPOUT = {"dropout": 0.0, "feature_dropout": 0.0, "modality_dropout": 0.0}
SMALL: dict[str, Any] = {
    **WITHOUT_DROPOUT,
    "window_s": 6,
    "encoder": {"units": 4},
    "encoders": {"face": {"units": 3, "layers": 2}},
}
TOLERANCE = {"float64": 1e-6, "float32": 1e-5}


def make_model(dtype: str = "float32", seed: int = 1, scattered: bool = True, **options: Any) -> AffectModel:
    model = build_model(ModelConfig(**{**SMALL, **options}), DIMENSIONS, seed, dtype=dtype)
    if scattered:
        reference.scatter_weights(model, seed=2)
    return model


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize(
    ("dtype", "batch_normalization", "presence_input"),
    [("float64", False, True), ("float64", True, False), ("float32", False, False), ("float32", True, True)],
)
def test_both_entrances_equal_the_formulas(dtype, batch_normalization, presence_input):
    model = make_model(dtype, batch_normalization=batch_normalization, presence_input=presence_input, experts=3)
    lengths = [1, 4, 15]
    inputs, starts = film_rows(sum(lengths)), starts_of(lengths)
    expected = reference.model_rows(model, inputs, starts)
    assert expected.std() > 0.001
    windows = explicit_windows(inputs, starts, model.config.window_s)
    np.testing.assert_allclose(model(windows), expected, atol=TOLERANCE[dtype], rtol=0)
    np.testing.assert_allclose(model.predict_rows(inputs, starts), expected, atol=TOLERANCE[dtype], rtol=0)


@functools.cache
def one_model() -> AffectModel:
    """One model for several tests and all examples of a property, so that it is compiled once."""
    return make_model(batch_normalization=True)


@functools.cache
def plain_model() -> AffectModel:
    """The same without batch normalisation."""
    return make_model()


@examples(15)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=12), seed=st.integers(0, 99))
def test_rows_equal_explicit_windows_for_any_films(lengths, seed):
    model = one_model()
    inputs, starts = film_rows(sum(lengths), seed), starts_of(lengths)
    windows = explicit_windows(inputs, starts, model.config.window_s)
    np.testing.assert_allclose(model.predict_rows(inputs, starts), model(windows), atol=1e-5, rtol=0)


def test_a_minute_of_window_on_a_film_of_many_blocks():
    model = make_model(window_s=60, modalities=("face",))
    inputs, starts = film_rows(700), starts_of([700])
    windows = explicit_windows(inputs, starts, 60)
    np.testing.assert_allclose(model.predict_rows(inputs, starts), model(windows), atol=1e-5, rtol=0)


def test_a_film_is_the_same_to_the_bit_alone_and_among_others():
    model = one_model()
    lengths = [1, 70, 300, 5]
    inputs, starts = film_rows(sum(lengths)), starts_of(lengths)
    together = model.predict_rows(inputs, starts).numpy()
    for first, length in zip(np.cumsum([0, *lengths[:-1]]), lengths, strict=True):
        alone = {key: rows[first : first + length] for key, rows in inputs.items()}
        predicted = model.predict_rows(alone, np.zeros(length, np.int32)).numpy()
        np.testing.assert_array_equal(predicted, together[first : first + length])


def test_no_rows_give_no_predictions():
    assert plain_model().predict_rows(film_rows(0), np.zeros(0, np.int32)).shape == (0, 2)


@pytest.mark.parametrize("garbage", [7.0, -1e30, np.nan, np.inf])
def test_what_absent_slots_hold_has_no_effect(garbage):
    model = plain_model()
    clean = film_rows(30)
    dirty = {key: rows.copy() for key, rows in clean.items()}
    for modality in DIMENSIONS:
        per_slot = dirty[modality].reshape(30, slots_of(modality), -1)
        absent = dirty[f"{modality}_present"] == 0
        assert absent.any()
        per_slot[absent] = garbage
    starts = np.zeros(30, np.int32)
    np.testing.assert_array_equal(model.predict_rows(dirty, starts), model.predict_rows(clean, starts))
    windows = [explicit_windows(inputs, starts, 6) for inputs in (clean, dirty)]
    np.testing.assert_array_equal(model(windows[0]), model(windows[1]))


def test_one_face_of_two_is_seen():
    # Presence is per slot: the second face's values count while the first is absent, and the other way round.
    model = plain_model()
    base = film_rows(8)
    base["face_present"][:] = [0.0, 1.0]
    starts = np.zeros(8, np.int32)
    before = model.predict_rows(base, starts).numpy()
    for columns, counts in ((slice(0, 2), False), (slice(2, 4), True)):
        changed = {key: rows.copy() for key, rows in base.items()}
        changed["face"][:, columns] += 1.0
        assert (np.abs(model.predict_rows(changed, starts).numpy() - before).max() > 1e-4) == counts


def test_presence_itself_is_an_input_only_where_configured():
    for presence_input in (True, False):
        model = plain_model() if presence_input else make_model(presence_input=False, modalities=("audio", "face"))
        inputs = film_rows(8)
        inputs["audio"][:] = 0.0
        starts = np.zeros(8, np.int32)
        predictions = []
        for present in (0.0, 1.0):
            inputs["audio_present"][:] = present
            predictions.append(model.predict_rows(inputs, starts).numpy())
        assert (np.abs(predictions[0] - predictions[1]).max() > 1e-4) == presence_input


def test_rows_that_do_not_match_are_refused():
    inputs = film_rows(8)
    inputs["audio_present"] = inputs["audio_present"][:1]
    with pytest.raises(tf.errors.InvalidArgumentError, match="audio_present must have one row a second"):
        plain_model().predict_rows(inputs, np.zeros(8, np.int32))


def test_the_weights_follow_from_the_seed_and_nothing_else():
    keras.utils.set_random_seed(1)
    first = make_model(seed=5, scattered=False).get_weights()
    keras.utils.set_random_seed(2)
    again = make_model(seed=5, scattered=False).get_weights()
    other = make_model(seed=6, scattered=False).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    matrices = [(a, b) for a, b in zip(first, other, strict=True) if a.ndim == 2 and a.any()]
    assert len(matrices) == 2 * (1 + 1 + 2) + 4
    assert not any(np.array_equal(a, b) for a, b in matrices)


def test_another_modality_leaves_the_weights_of_the_others():
    both = make_model(scattered=False, modalities=("audio", "face"))
    one = make_model(scattered=False, modalities=("face",))
    for a, b in zip(both.encoders[1].get_weights(), one.encoders[0].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("dummy_expert", "experts", "means"), [(True, 2, (0.32, 0.6)), (False, 3, (0.9, 0.05))])
def test_the_untrained_prediction_is_the_mean_that_it_was_told(dummy_expert, experts, means):
    for batch_normalization in (False, True):
        options = {"dummy_expert": dummy_expert, "experts": experts, "batch_normalization": batch_normalization}
        model = make_model(scattered=False, encoder={"units": 64}, encoders={}, **options)
        model.fusion.start_at(means)
        windows = explicit_windows(film_rows(60), starts_of([60]), 6)
        np.testing.assert_allclose(np.mean(model(windows), axis=0), means, atol=0.03)
    # Two experts beside the dummy can't reach 0.9: they begin as high as they can.
    high = make_model(scattered=False, modalities=("face",))
    high.fusion.start_at((0.9, 0.9))
    assert 0.55 < np.mean(high(explicit_windows(film_rows(60), starts_of([60]), 6))) < 0.66


def test_without_gates_one_expert_is_a_logistic_layer():
    model = make_model("float64", modalities=("face",), encoders={}, gates=False, experts=1, dummy_expert=False)
    states = np.random.default_rng(4).normal(size=(30, 4))
    logits = states @ np.asarray(model.fusion.experts.expert_kernel) + np.asarray(model.fusion.experts.expert_bias)
    np.testing.assert_allclose(model.fusion(states), 1.0 / (1.0 + np.exp(-logits)), atol=1e-12)
    inputs = film_rows(30)
    windows = explicit_windows(inputs, starts_of([30]), 6)
    np.testing.assert_allclose(model.predict_rows(inputs, starts_of([30])), model(windows), atol=1e-9)
    assert not [weight.path for weight in model.weights if "gate/" in weight.path]
    model.fusion.start_at((0.4, 0.7))
    np.testing.assert_allclose(model.fusion(np.zeros((1, 4))), [[0.4, 0.7]], atol=1e-6)


def test_dropout_follows_from_its_seed_and_needs_one():
    model = make_model(dropout=0.5, feature_dropout=0.3)
    windows = explicit_windows(film_rows(20), starts_of([20]), 6)
    keras.utils.set_random_seed(1)
    first = model(windows, training=True, dropout_seed=[7, 1]).numpy()
    keras.utils.set_random_seed(2)
    compiled = tf.function(lambda seed: model(windows, training=True, dropout_seed=seed))
    np.testing.assert_allclose(compiled(tf.constant([7, 1])), first, atol=1e-6)
    assert np.abs(compiled(tf.constant([7, 2])) - first).max() > 1e-3
    assert np.abs(model(windows).numpy() - first).max() > 1e-3
    with pytest.raises(ValueError, match="dropout_seed"):
        model(windows, training=True)


def test_dropout_keeps_the_mean_and_drops_whole_features_of_a_window():
    x = tf.ones((400, 5, 30))
    dropped = _dropout(x, 0.25, (400, 1, 30), tf.constant([1, 2]), 1).numpy()
    assert set(np.unique(dropped.round(5))) == {0.0, np.float32(1.33333)}
    assert dropped.mean() == pytest.approx(1.0, abs=0.02)
    np.testing.assert_array_equal(dropped, np.broadcast_to(dropped[:, :1], dropped.shape))
    assert np.abs(_dropout(x, 0.25, (400, 1, 30), tf.constant([1, 2]), 2).numpy() - dropped).max() > 0


def test_l2_is_the_weight_times_the_squared_norm_of_all_kernels():
    model = make_model("float64", l2=0.01, batch_normalization=True)
    kernels = [np.asarray(w) for w in model.trainable_weights if w.path.rsplit("/", 1)[-1].endswith("kernel")]
    assert len(kernels) == 2 * (1 + 1 + 2) + 4
    assert float(model.l2_loss()) == pytest.approx(0.01 * sum(np.sum(kernel**2) for kernel in kernels))
    assert float(make_model(l2=0.0).l2_loss()) == 0.0


@pytest.mark.usefixtures("eagerly")
def test_a_model_comes_back_from_its_configuration_and_its_weights(tmp_path):
    model = make_model(batch_normalization=True)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    again = keras.saving.deserialize_keras_object(config)
    assert isinstance(again, AffectModel)
    assert again.get_config() == model.get_config()
    fresh = make_model(batch_normalization=True, scattered=False)
    for a, b in zip(again.get_weights(), fresh.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.save_weights(tmp_path / "model.weights.h5")
    again.load_weights(tmp_path / "model.weights.h5")
    inputs, starts = film_rows(9), starts_of([9])
    windows = explicit_windows(inputs, starts, model.config.window_s)
    np.testing.assert_array_equal(again(windows), model(windows))
    np.testing.assert_allclose(again.predict_rows(inputs, starts), model(windows), atol=1e-5, rtol=0)


def test_predictions_follow_the_weights_after_compilation():
    model, inputs, starts = make_model(modalities=("audio", "face")), film_rows(9), starts_of([9])
    before = model.predict_rows(inputs, starts).numpy()
    reference.scatter_weights(model, seed=9)
    after = model.predict_rows(inputs, starts).numpy()
    assert np.abs(before - after).max() > 1e-3
    np.testing.assert_allclose(after, reference.model_rows(model, inputs, starts), atol=1e-5)


@pytest.mark.slow  # `test_step` has quick tests in both precisions
@pytest.mark.parametrize("policy", ["mixed_float16", "float32", "mixed_bfloat16"])
def test_a_training_step_works_in_any_precision(policy):
    options = {"modalities": ("audio", "face"), "dropout": 0.1, "batch_normalization": True}
    training = Training(make_model(policy, scattered=False, **options))
    losses = training.steps(0, 30)
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.02
    assert all(variable.dtype == "float32" for variable in training.model.trainable_variables)
    # Prediction computes in the weights' precision, so it agrees with the training entrance only as that one's does.
    inputs, starts = film_rows(20), starts_of([20])
    probabilities = training.model(explicit_windows(inputs, starts, 6))
    assert probabilities.dtype == tf.float32
    expected = reference.model_rows(training.model, inputs, starts)
    np.testing.assert_allclose(training.model.predict_rows(inputs, starts), expected, atol=1e-5)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5 if policy == "float32" else 0.02)


@pytest.mark.parametrize(
    ("dimensions", "message"),
    [({"image": 5, "audio": 3}, "names 'face'"), ({**DIMENSIONS, "face": 5}, "its 2 slots don't divide")],
)
def test_dimensions_that_do_not_fit_are_refused(dimensions, message):
    with pytest.raises(ConfigurationError, match=message):
        build_model(ModelConfig(**SMALL), dimensions, 1)


def test_a_modality_of_any_name_may_have_two_slots():
    config = ModelConfig(**{**SMALL, "modalities": ("expression",), "encoders": {}})
    model = build_model(config, {"expression": 6}, 1, slots={"expression": 2})
    assert model.row_signature()["expression_present"].shape.as_list() == [None, 2]
    again = AffectModel.from_config(model.get_config())
    assert again.row_signature() == model.row_signature()
    values = tf.random.stateless_normal((9, 6), (1, 2))
    rows = {"expression": values, "expression_present": tf.constant([[1.0, 0.0]] * 9)}
    other = {**rows, "expression": tf.concat([values[:, :3], values[:, 3:] + 1.0], axis=1)}
    starts = starts_of([9])
    np.testing.assert_array_equal(model.predict_rows(rows, starts), model.predict_rows(other, starts))
    with pytest.raises(ConfigurationError, match="its 2 slots don't divide"):
        build_model(config, {"expression": 5}, 1, slots={"expression": 2})


class Training:
    """A small training loop: Adam on cross entropy, dropout seeds from the step's number, data fixed."""

    def __init__(self, model: AffectModel):
        self.model = model
        optimizer = keras.optimizers.Adam(0.02)
        scaled = model.dtype_policy.name == "mixed_float16"
        self.optimizer = keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer
        self.optimizer.build(model.trainable_variables)
        windows = explicit_windows(film_rows(48), starts_of([48]), model.config.window_s)
        self.windows = {key: tf.constant(value, tf.float32) for key, value in windows.items()}
        self.targets = tf.constant(np.random.default_rng(3).uniform(size=(48, 2)) < 0.8, tf.float32)

    def steps(self, first: int, stop: int) -> list[float]:
        return [float(self.step(tf.constant([2018, number]))) for number in range(first, stop)]

    @tf.function(autograph=False)
    def step(self, seed: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            p = self.model(self.windows, training=True, dropout_seed=seed)
            loss = tf.reduce_mean(keras.losses.binary_crossentropy(self.targets, p)) + self.model.l2_loss()
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.model.trainable_variables)
        self.optimizer.apply(gradients, self.model.trainable_variables)
        return loss
