"""The GRU encoder against the recurrence in NumPy, and its two forms against one another."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tests.support import numpy_reference as reference
from trainer.foundation.config import EncoderConfig
from trainer.network.encoders import ROW_BLOCK, GRUEncoder, build_encoder

TOLERANCE = {"float64": 1e-9, "float32": 1e-5}


def make_encoder(layers: int, dtype: str, units: int = 6, size: int = 5) -> GRUEncoder:
    encoder = GRUEncoder(units, layers, seed=11, dtype=dtype)
    encoder.build((None, None, size))
    reference.scatter_weights(encoder, seed=4)
    return encoder


def films(lengths: list[int], size: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows [R, size] and each row's film start [R], filled up with one-row films of zeros to whole blocks."""
    rows = sum(lengths)
    padding = -rows % ROW_BLOCK
    x = np.concatenate([np.random.default_rng(seed).normal(size=(rows, size)), np.zeros((padding, size))])
    starts = np.concatenate([np.repeat(np.cumsum([0, *lengths[:-1]]), lengths), np.arange(rows, rows + padding)])
    return x, starts.astype(np.int32)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("layers", [1, 2])
def test_explicit_windows_are_the_published_recurrence(dtype, layers):
    encoder = make_encoder(layers, dtype)
    windows = np.random.default_rng(0).normal(size=(4, 9, 5))
    windows[0, :6] = 0.0
    expected = np.stack([reference.gru(window, reference.gru_weights(encoder)) for window in windows])
    np.testing.assert_allclose(encoder(windows), expected, atol=TOLERANCE[dtype], rtol=0)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("window", [1, 7, 21])
def test_rows_equal_the_stock_layer_on_every_explicit_window(dtype, layers, window):
    encoder = make_encoder(layers, dtype)
    # A film of one second, one shorter than the window, one that crosses a block's border.
    x, starts = films([1, 5, 2, 300])
    windows = np.stack([reference.window_of(x, row, start, window) for row, start in enumerate(starts)])
    states = encoder.encode_rows(x, starts, window, np.arange(len(x)))
    np.testing.assert_allclose(states, encoder(windows), atol=TOLERANCE[dtype], rtol=0)


def test_padding_is_run_through_the_recurrence_and_not_skipped():
    # With a bias the zero rows before a film move the state: a first second is not the state after one step.
    encoder = make_encoder(1, "float64")
    x, starts = films([1])
    long, short = (np.asarray(encoder.encode_rows(x, starts, window, np.arange(len(x))))[0] for window in (30, 1))
    assert np.abs(long - short).max() > 0.01


def test_a_state_depends_on_its_own_window_alone():
    encoder = make_encoder(2, "float64")
    x, starts = films([40, 50])
    before = np.asarray(encoder.encode_rows(x, starts, 10, np.arange(len(x))))
    changed = x.copy()
    changed[60] += 1.0
    after = np.asarray(encoder.encode_rows(changed, starts, 10, np.arange(len(x))))
    moved = np.abs(after - before).max(axis=1) > 0
    assert np.flatnonzero(moved).tolist() == list(range(60, 70))


@pytest.mark.parametrize("layers", [1, 2])
def test_a_film_comes_out_the_same_to_the_bit_whatever_shares_the_call(layers):
    encoder = make_encoder(layers, "float32", units=32, size=40)
    x, starts = films([33, 400, 61], size=40)
    together = np.asarray(encoder.encode_rows(x.astype(np.float32), starts, 20, np.arange(512)))
    alone = np.zeros((512, 40), np.float32)
    alone[:400] = x[33:433]
    start = np.where(np.arange(512) < 400, 0, np.arange(512)).astype(np.int32)
    np.testing.assert_array_equal(
        np.asarray(encoder.encode_rows(alone, start, 20, np.arange(512)))[:400], together[33:433]
    )


def test_an_encoder_comes_back_from_its_configuration():
    encoder = build_encoder(EncoderConfig(units=4, layers=2), l2=0.01, seed=8, name="image_encoder")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(encoder))
    assert again.get_config() == encoder.get_config()
    x = np.random.default_rng(1).normal(size=(2, 5, 3)).astype(np.float32)
    np.testing.assert_array_equal(again(x), encoder(x))


def test_l2_penalises_kernels_and_recurrent_kernels():
    encoder = GRUEncoder(4, layers=2, l2=0.5, seed=1, dtype="float64")
    encoder.build((None, None, 3))
    reference.scatter_weights(encoder, seed=4)
    matrices = [matrix for layer in reference.gru_weights(encoder) for matrix in layer[:2]]
    assert float(sum(encoder.losses)) == pytest.approx(0.5 * sum(np.sum(matrix**2) for matrix in matrices))
