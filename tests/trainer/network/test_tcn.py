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
from trainer.network.dropout import channel_dropout
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
@pytest.mark.parametrize("window", [1, 5])
def test_a_window_is_the_published_network(
    filters: list[int], kernel: int, normalized: bool, causal: bool, window: int
) -> None:
    encoder = make_encoder(filters, kernel, normalized, causal, "float64")
    before, after = encoder.rows(window, sequence=True)
    windows = np.random.default_rng(0).normal(size=(2, before + 1 + after, 5))
    expected = np.stack([reference.tcn_sequence(one, encoder) for one in windows])
    expected = expected[:, encoder.reach[0] : before + 1]
    np.testing.assert_allclose(encoder(windows, sequence=True), expected, atol=1e-9, rtol=0)
    np.testing.assert_allclose(encoder(windows), expected[:, -1], atol=1e-9, rtol=0)
    assert expected.shape == (2, window, encoder.state_size)


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
    np.testing.assert_allclose(encoder._network(x), expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize(("dtype", "causal"), [("float64", False), ("float32", True)])
def test_rows_are_the_network_over_whole_films_and_over_windows_of_the_reach(dtype: str, causal: bool) -> None:
    encoder, lengths = make_encoder([4, 6], 5, True, causal, dtype), [1, 5, 2, 300]  # the last has three chunks
    x, starts = (values[:308] for values in films(lengths))
    every = np.arange(308, dtype=np.int32)
    states = np.asarray(encoder.encode_rows(x, starts, 1, every))
    expected = [
        reference.tcn_film(x[first : first + seconds], encoder) for first, seconds in ((0, 1), (1, 5), (8, 300))
    ]
    np.testing.assert_allclose(states[np.r_[:6, 8:308]], np.concatenate(expected), atol=TOLERANCE[dtype], rtol=0)
    np.testing.assert_array_equal(encoder.encode_rows(x, starts, 1, every[7:100:3]), states[7:100:3])
    # A window whose pairs of seconds are those of the film sees what the film shows.
    before, after = encoder.reach
    aligned = [row for row in range(308) if (row - starts[row] - before) % 4 == 0]
    stop = {0: 1, 1: 6, 6: 8, 8: 308}
    windows = [
        reference.window_of(x, row, starts[row], before + 1, stop[starts[row]], lookahead=after) for row in aligned
    ]
    np.testing.assert_allclose(encoder(np.stack(windows)), states[aligned], atol=TOLERANCE[dtype], rtol=0)


# Odd sizes, so that a row's place would show in its last bits; which ones show it depends on the processor.
@pytest.mark.parametrize(("filters", "kernel"), [([32, 40], 5), ([32, 40], 4), ([5, 7], 7), ([3], 2)])
def test_a_film_comes_out_the_same_whatever_shares_the_call(filters: list[int], kernel: int) -> None:
    encoder = make_encoder(filters, kernel, True, False, "float32", size=40)
    x, starts = (values[:494] for values in films([33, 400, 61], size=40))
    every = np.arange(494, dtype=np.int32)
    together = np.asarray(encoder.encode_rows(x.astype(np.float32), starts, 12, every))
    alone, start = x[33:433].astype(np.float32), np.zeros(400, np.int32)
    np.testing.assert_array_equal(encoder.encode_rows(alone, start, 12, every[:400]), together[33:433])
    for block in (64, 512):
        blocks = np.asarray(encoder.encode_rows(alone, start, 12, every[:400], block))
        np.testing.assert_allclose(blocks, together[33:433], atol=1e-6, rtol=0)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("filters", "kernel"), [([4], 2), ([4, 6], 3), ([3, 4, 5], 4)])
def test_a_second_is_seen_as_far_as_the_reach_says_and_never_across_films(
    filters: list[int], kernel: int, causal: bool
) -> None:
    encoder = make_encoder(filters, kernel, False, causal, "float64")
    before, after = encoder.reach
    assert (after == 0) == causal
    x, starts = (values[:230] for values in films([200, 30]))
    every = np.arange(230, dtype=np.int32)
    states = np.asarray(encoder.encode_rows(x, starts, 1, every))
    reached = [0, 0]
    for second in (96, 95 + 2 ** len(filters)):  # the first and the last of a step of the last level
        changed = x.copy()
        changed[second] += 10.0
        moved = np.flatnonzero(np.abs(np.asarray(encoder.encode_rows(changed, starts, 1, every)) - states).max(axis=1))
        reached = [max(reached[0], moved.max() - second), max(reached[1], second - moved.min())]
    # The bound holds, and isn't idle: some second is seen from as far as that, or nearly.
    assert before - 2 ** len(filters) <= reached[0] <= before
    assert after - 2 ** len(filters) <= reached[1] <= after
    changed = x.copy()
    changed[200:] += 10.0
    moved = np.abs(np.asarray(encoder.encode_rows(changed, starts, 1, every)) - states).max(axis=1) > 0
    assert moved[200:].any()
    assert not moved[:200].any()


def test_dropped_channels_are_dropped_for_a_whole_window() -> None:
    encoder = make_encoder([8, 8], 3, False, False, "float64")
    before, after = encoder.rows(6, sequence=True)
    windows = np.random.default_rng(0).normal(size=(40, before + 1 + after, 5))
    seen = []

    def drop(x: Any, layer: int) -> Any:
        dropped = channel_dropout(x, layer, rate=0.3, seed=tf.constant([1, 2]), modality=0)
        seen.append(np.asarray(dropped))
        return dropped

    first = np.asarray(encoder(windows, sequence=True, drop=drop))
    assert len(seen) == 4
    for layer in seen:
        silent = (layer == 0.0).all(axis=1)
        assert silent.mean() == pytest.approx(0.3, abs=0.1)
        assert ((layer == 0.0).any(axis=1) == silent).all()
    assert len({tuple((layer == 0.0).all(axis=1).ravel()) for layer in seen}) == 4
    np.testing.assert_array_equal(encoder(windows, sequence=True, drop=drop), first)
    assert np.abs(first - np.asarray(encoder(windows, sequence=True))).max() > 0.1


def test_it_comes_back_from_its_configuration_and_penalises_its_kernels() -> None:
    config = EncoderConfig(kind="tcn", levels=3, filters=4, filters_step=2, kernel_s=3, causal=True, activation="relu")
    encoder = build_encoder(config, l2=0.5, seed=8, name="image_encoder")
    assert isinstance(encoder, TCNEncoder)
    assert (encoder.filters, encoder.kernel, encoder.causal, encoder.normalized) == ([4, 6, 8], 3, True, False)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(encoder))
    assert again.get_config() == encoder.get_config()
    x = np.random.default_rng(1).normal(size=(2, sum(encoder.reach) + 1, 3)).astype(np.float32)
    np.testing.assert_array_equal(again(x), encoder(x))
    kernels = [np.asarray(weight) for weight in encoder.weights if weight.name.endswith("kernel")]
    assert len(kernels) == 6
    assert float(sum(encoder.losses)) == pytest.approx(0.5 * sum(np.sum(kernel**2) for kernel in kernels), rel=1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_gradients_are_finite_also_where_nothing_is_active(policy: str) -> None:
    encoder = TCNEncoder([4, 6], 3, seed=3, dtype=policy)
    x = tf.concat([tf.zeros((1, 40, 5)), tf.random.stateless_normal((2, 40, 5), [1, 2])], axis=0)
    with tf.GradientTape() as tape:
        states = encoder(x, sequence=True)
        loss = tf.reduce_sum(tf.cast(states, tf.float32) ** 2)
    gradients = tape.gradient(loss, encoder.trainable_variables)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert float(tf.linalg.global_norm(gradients)) > 0.0
    assert states.dtype == encoder.compute_dtype
