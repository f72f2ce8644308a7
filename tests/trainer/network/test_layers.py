"""The context gate and the mixture of experts against the published formulas, and as Keras layers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, strategies as st

from tests.support import numpy_reference as reference
from tests.support.hypothesis_profiles import examples
from trainer.network.layers import OPEN_LOGIT, ContextGate, MixtureOfExperts

TOLERANCE = {"float64": 1e-6, "float32": 1e-5}
LAYERS = [
    pytest.param(lambda **k: ContextGate(seed=3, l2=0.1, **k), id="gate"),
    pytest.param(lambda **k: ContextGate(batch_normalization=True, seed=3, l2=0.1, **k), id="normalised gate"),
    pytest.param(lambda **k: ContextGate(open_at_start=True, seed=3, l2=0.1, **k), id="open gate"),
    pytest.param(lambda **k: MixtureOfExperts(experts=3, seed=3, l2=0.1, **k), id="experts"),
    pytest.param(lambda **k: MixtureOfExperts(experts=1, dummy_expert=False, seed=3, l2=0.1, **k), id="one expert"),
]


def inputs(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def built(layer: keras.layers.Layer, size: int) -> keras.layers.Layer:
    layer.build((None, size))
    reference.scatter_weights(layer, seed=1)
    return layer


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("size", [2, 384])
def test_gate_with_a_bias_is_the_published_formula(dtype, size):
    layer, x = built(ContextGate(dtype=dtype), size), inputs(7, size)
    expected = reference.gate(x, np.asarray(layer.kernel, float), np.asarray(layer.bias, float))
    np.testing.assert_allclose(layer(x), expected, atol=TOLERANCE[dtype], rtol=0)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_gate_with_population_statistics_is_the_published_formula(dtype):
    layer, x = built(ContextGate(batch_normalization=True, dtype=dtype), 48), inputs(7, 48)
    kernel, statistics = np.asarray(layer.kernel, float), reference.statistics_of(layer.normalization)
    expected = reference.gate_with_normalisation(x, kernel, *statistics)
    np.testing.assert_allclose(layer(x), expected, atol=TOLERANCE[dtype], rtol=0)
    assert not any(weight.path.endswith("bias") for weight in layer.weights)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_gate_in_training_uses_the_statistics_of_the_batch(dtype):
    layer, x = built(ContextGate(batch_normalization=True, dtype=dtype), 5), inputs(64, 5)
    kernel = np.asarray(layer.kernel, float)
    gamma, beta = reference.statistics_of(layer.normalization)[:2]
    logits = x @ kernel
    expected = reference.gate_with_normalisation(x, kernel, gamma, beta, logits.mean(axis=0), logits.var(axis=0))
    np.testing.assert_allclose(layer(x, training=True), expected, atol=TOLERANCE[dtype], rtol=0)


def test_the_gate_weights_are_drawn_from_a_normal_of_one_over_root_n():
    layer = ContextGate(seed=5)
    layer.build((None, 400))
    kernel = np.asarray(layer.kernel)
    # 160,000 draws: the standard deviation's own error is 0.2 %, the mean's 1.3e-4.
    assert kernel.std() == pytest.approx(1 / 20, rel=0.01)
    assert abs(kernel.mean()) < 6e-4
    assert abs(np.mean(kernel**4) / np.mean(kernel**2) ** 2 - 3.0) < 0.1


@pytest.mark.parametrize("batch_normalization", [False, True])
def test_a_gate_that_starts_open_hardly_shrinks_and_a_plain_one_halves(batch_normalization):
    probabilities = np.full((4, 2), 0.5, np.float32)
    open_gate = ContextGate(batch_normalization, open_at_start=True, seed=1)
    # The initial W (standard deviation 0.7) moves the logits around the offset.
    shares = np.asarray(open_gate(probabilities)) / 0.5
    logits = np.log(shares / (1 - shares))
    if batch_normalization:
        logits -= 0.5 * np.asarray(open_gate.kernel).sum(axis=0) / np.sqrt(1 + reference.EPSILON)
    else:
        logits -= 0.5 * np.asarray(open_gate.kernel).sum(axis=0)
    np.testing.assert_allclose(logits, OPEN_LOGIT, atol=1e-4)
    assert reference.sigmoid(OPEN_LOGIT) == pytest.approx(0.95, abs=0.005)
    closed = ContextGate(batch_normalization, seed=1)
    assert np.all(np.asarray(closed(np.zeros((1, 2)) + 1e-9)) / 1e-9 == pytest.approx(0.5, abs=1e-3))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("classes", "experts", "dummy"), [(2, 1, True), (2, 2, True), (3, 5, True), (2, 3, False)])
def test_experts_are_the_published_formula(dtype, classes, experts, dummy):
    layer, x = built(MixtureOfExperts(classes, experts, dummy, dtype=dtype), 24), inputs(9, 24)
    weights = [np.asarray(w, float) for w in (layer.gating_kernel, layer.expert_kernel, layer.expert_bias)]
    expected = reference.experts(x, classes, *weights)
    np.testing.assert_allclose(layer(x), expected, atol=TOLERANCE[dtype], rtol=0)


def test_the_last_slot_of_the_gate_is_a_dummy_that_answers_zero():
    layer = built(MixtureOfExperts(classes=1, experts=2, dtype="float64"), 1)
    # For x = 1: gate scores 0, 0, 50; both experts answer 1. All weight on the dummy gives 0, none of it gives 1.
    layer.expert_kernel.assign([[50.0, 50.0]])
    layer.expert_bias.assign([0.0, 0.0])
    layer.gating_kernel.assign([[0.0, 0.0, 50.0]])
    assert float(layer(np.ones((1, 1)))[0, 0]) == pytest.approx(0.0, abs=1e-12)
    layer.gating_kernel.assign([[0.0, 0.0, -50.0]])
    assert float(layer(np.ones((1, 1)))[0, 0]) == pytest.approx(1.0, abs=1e-12)
    layer.gating_kernel.assign([[0.0, 0.0, 0.0]])
    assert float(layer(np.ones((1, 1)))[0, 0]) == pytest.approx(2 / 3, abs=1e-12)


@examples(20)
@given(scale=st.floats(0.0, 1e4), seed=st.integers(0, 1000))
def test_experts_give_probabilities_for_any_input(scale, seed):
    layer = MixtureOfExperts(experts=3, seed=seed)
    p = np.asarray(layer(scale * inputs(4, 6, seed=seed)))
    assert np.isfinite(p).all()
    assert (p >= 0).all()
    assert (p <= 1).all()


@pytest.mark.parametrize("make", LAYERS)
def test_any_rank_gives_what_rows_give(make):
    x = inputs(2, 3, 4, 5)
    rows = make(dtype="float64")(x.reshape(-1, 5))
    np.testing.assert_allclose(np.reshape(make(dtype="float64")(x), rows.shape), rows, atol=1e-12)


@pytest.mark.parametrize("make", LAYERS)
def test_a_layer_comes_back_from_its_configuration(make):
    layer, x = make(name="mine"), inputs(3, 6)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    # The seed is part of it, so the new layer draws the same weights.
    np.testing.assert_array_equal(again(x), layer(x))


@pytest.mark.parametrize("make", LAYERS)
def test_l2_penalises_the_kernels_alone(make):
    layer = make(dtype="float64")
    built(layer, 6)
    kernels = [np.asarray(weight) for weight in layer.trainable_weights if weight.path.endswith("kernel")]
    assert len(kernels) < len(layer.trainable_weights)
    assert float(sum(layer.losses)) == pytest.approx(0.1 * sum(np.sum(kernel**2) for kernel in kernels))


@pytest.mark.parametrize("make", LAYERS)
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_layer_learns_in_mixed_precision(make, policy):
    layer, x = make(dtype=policy), tf.constant(inputs(32, 6), tf.float32)
    optimizer = keras.optimizers.SGD(0.5)
    losses = []
    for _ in range(8):
        with tf.GradientTape() as tape:
            y = layer(x) if isinstance(layer, MixtureOfExperts) else layer(x, training=True)
            loss = tf.reduce_mean((tf.cast(y, tf.float32) - 0.25) ** 2)
        gradients = tape.gradient(loss, layer.trainable_variables)
        optimizer.apply_gradients(zip(gradients, layer.trainable_variables, strict=True))
        losses.append(float(loss))
    assert y.dtype == layer.compute_dtype
    assert all(weight.dtype == "float32" for weight in layer.weights)
    assert losses[-1] < losses[0]
