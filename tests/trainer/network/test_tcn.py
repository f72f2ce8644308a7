"""The encoder-decoder TCN against its structure in NumPy loops, its two forms, and what each second may see."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import numpy_reference as reference
from tests.trainer.network.test_encoders import TOLERANCE, films
from trainer.foundation.config import EncoderConfig
from trainer.network.encoders import TCNEncoder, build_encoder

SHAPES = [([4], 3, True), ([4, 6], 5, False), ([3, 4, 5], 2, True), ([3, 4], 4, False)]
"""Filters of the levels, taps, and whether the ReLU is normalised."""


def make_encoder(filters: list[int], kernel: int, normalized: bool, causal: bool, dtype: str, size: int = 5) -> Any:
    encoder = TCNEncoder(filters, kernel, causal=causal, normalized=normalized, seed=3, dtype=dtype)
    encoder.build((None, None, size))
    reference.scatter_weights(encoder, seed=4)
    return encoder


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("filters", "kernel", "normalized"), SHAPES)
@pytest.mark.parametrize("window", [1, 5, 8])
def test_a_window_is_the_published_network(
    filters: list[int], kernel: int, normalized: bool, causal: bool, window: int
) -> None:
    encoder = make_encoder(filters, kernel, normalized, causal, "float64")
    windows = np.random.default_rng(0).normal(size=(3, window, 5))
    expected = np.stack([reference.tcn_sequence(one, encoder) for one in windows])
    np.testing.assert_allclose(encoder(windows, sequence=True), expected, atol=1e-9, rtol=0)
    np.testing.assert_allclose(encoder(windows), expected[:, -1], atol=1e-9, rtol=0)
    assert encoder(windows).shape == (3, encoder.state_size)


def test_stock_layers_agree_on_the_centred_convolution_pooling_and_doubling() -> None:
    encoder = make_encoder([4, 6], 4, False, False, "float64")
    x = np.random.default_rng(0).normal(size=(2, 8, 5))
    weights = [np.asarray(weight) for weight in encoder.weights]
    expected = x
    for index in range(4):
        if index >= 2:
            expected = keras.layers.UpSampling1D(2, dtype="float64")(expected)
        filters = [4, 6, 6, 4][index]
        convolution = keras.layers.Conv1D(filters, 4, padding="same", activation="relu", dtype="float64")
        convolution.build(expected.shape)
        convolution.set_weights(weights[2 * index : 2 * index + 2])
        expected = convolution(expected)
        if index < 2:
            expected = keras.layers.MaxPooling1D(2, dtype="float64")(expected)
    np.testing.assert_allclose(encoder(x, sequence=True), expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [1, 7, 12])
def test_rows_equal_every_explicit_window(dtype: str, causal: bool, window: int) -> None:
    encoder = make_encoder([4, 6], 5, True, causal, dtype)
    # A film of one second, one shorter than the window, one that crosses a block's border.
    x, starts = films([1, 5, 2, 300])
    windows = np.stack([reference.window_of(x, row, start, window) for row, start in enumerate(starts)])
    np.testing.assert_allclose(encoder.encode_rows(x, starts, window), encoder(windows), atol=TOLERANCE[dtype], rtol=0)


def test_a_film_comes_out_the_same_whatever_shares_the_call() -> None:
    encoder = make_encoder([32, 40], 5, True, False, "float32", size=40)
    x, starts = films([33, 400, 61], size=40)
    together = np.asarray(encoder.encode_rows(x.astype(np.float32), starts, 12))
    alone = np.zeros((512, 40), np.float32)
    alone[:400] = x[33:433]
    start = np.where(np.arange(512) < 400, 0, np.arange(512)).astype(np.int32)
    np.testing.assert_array_equal(np.asarray(encoder.encode_rows(alone, start, 12))[:400], together[33:433])


@pytest.mark.parametrize("causal", [False, True])
def test_a_causal_output_sees_no_second_after_its_own(causal: bool) -> None:
    encoder = make_encoder([4, 6], 3, False, causal, "float64")
    x = np.random.default_rng(5).normal(size=(1, 11, 5))
    before = np.asarray(encoder(x, sequence=True))[0]
    saw_the_future = False
    for second in range(11):
        changed = x.copy()
        changed[0, second] += 10.0
        moved = np.abs(np.asarray(encoder(changed, sequence=True))[0] - before).max(axis=1) > 0
        saw_the_future |= bool(moved[:second].any())
    assert saw_the_future != causal


def test_a_state_depends_on_its_own_window_alone() -> None:
    encoder = make_encoder([4], 3, False, False, "float64")
    x, starts = films([40, 50])
    before = np.asarray(encoder.encode_rows(x, starts, 3))
    changed = x.copy()
    changed[60] += 10.0
    moved = np.abs(np.asarray(encoder.encode_rows(changed, starts, 3)) - before).max(axis=1) > 0
    assert set(np.flatnonzero(moved)) <= {60, 61, 62}
    assert moved[60]


def test_it_comes_back_from_its_configuration_and_penalises_its_kernels() -> None:
    config = EncoderConfig(kind="tcn", levels=3, filters=4, filters_step=2, kernel_s=3, causal=True, activation="relu")
    encoder = build_encoder(config, l2=0.5, seed=8, name="image_encoder")
    assert isinstance(encoder, TCNEncoder)
    assert (encoder.filters, encoder.kernel, encoder.causal, encoder.normalized) == ([4, 6, 8], 3, True, False)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(encoder))
    assert again.get_config() == encoder.get_config()
    x = np.random.default_rng(1).normal(size=(2, 5, 3)).astype(np.float32)
    np.testing.assert_array_equal(again(x), encoder(x))
    kernels = [np.asarray(weight) for weight in encoder.weights if weight.name.endswith("kernel")]
    assert len(kernels) == 6
    assert float(sum(encoder.losses)) == pytest.approx(0.5 * sum(np.sum(kernel**2) for kernel in kernels), rel=1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_gradients_are_finite_also_where_nothing_is_active(policy: str) -> None:
    encoder = TCNEncoder([4, 6], 3, seed=3, dtype=policy)
    x = tf.concat([tf.zeros((1, 9, 5)), tf.random.stateless_normal((2, 9, 5), [1, 2])], axis=0)
    with tf.GradientTape() as tape:
        states = encoder(x, sequence=True)
        loss = tf.reduce_sum(tf.cast(states, tf.float32) ** 2)
    gradients = tape.gradient(loss, encoder.trainable_variables)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert float(tf.linalg.global_norm(gradients)) > 0.0
    assert states.dtype == encoder.compute_dtype
