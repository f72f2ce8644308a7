"""GRU and LSTM encoders with the states of one layer or of all, against the recurrences in NumPy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from beam_pipelines.foundation.configuration import validate
from beam_pipelines.foundation.errors import ConfigurationError
from tests.support import numpy_reference as reference
from tests.trainer.network.test_encoders import TOLERANCE, films
from trainer.foundation.config import EncoderConfig, ModelConfig
from trainer.network.encoders import LSTMEncoder, build_encoder

KINDS = [("lstm", 1, "last"), ("lstm", 2, "last"), ("lstm", 2, "all"), ("gru", 2, "all")]
BOTH_SIDES = [("gru", 1, "last", 3, False), ("lstm", 2, "all", 9, False), ("gru", 2, "last", 1, True)]
BOTH_SIDES += [("lstm", 1, "last", 4, True), ("gru", 1, "last", 9, True)]
"""Kind, layers, states, look-ahead (some beyond a film's end), and whether a second recurrence reads it backwards."""


def make_encoder(
    kind: str,
    layers: int,
    states: str,
    dtype: str,
    units: int = 6,
    size: int = 5,
    lookahead: int = 0,
    bidirectional: bool = False,
) -> Any:
    keys = {"kind": kind, "units": units, "layers": layers, "states": states, "bidirectional": bidirectional}
    config = EncoderConfig.model_validate(keys)
    encoder = build_encoder(config, lookahead=lookahead, l2=0.0, seed=11, name="encoder", dtype=dtype)
    encoder.build((None, None, size))
    reference.scatter_weights(encoder, seed=4)
    return encoder


def row_states(encoder: Any, x: np.ndarray, starts: np.ndarray, window: int) -> np.ndarray:
    return np.asarray(encoder.encode_rows(x, starts, window, np.arange(len(x), dtype=np.int32)))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("kind", "layers", "states"), KINDS)
def test_both_forms_are_the_published_recurrence(kind: str, layers: int, states: str, dtype: str) -> None:
    encoder = make_encoder(kind, layers, states, dtype)
    assert encoder.state_size == 6 * (layers if states == "all" else 1)
    # A film of one second, one shorter than the window, one that crosses a block's border.
    x, starts = films([1, 3, 260])
    windows = np.stack([reference.window_of(x, row, start, 5) for row, start in enumerate(starts)])
    by_rows, by_windows = row_states(encoder, x, starts, 5), np.asarray(encoder(windows))
    np.testing.assert_allclose(by_rows, by_windows, atol=TOLERANCE[dtype], rtol=0)
    some = [0, 1, 3, 4, 100, 263]
    expected = np.stack([reference.encoder_sequence(windows[row], encoder)[-1] for row in some])
    np.testing.assert_allclose(by_rows[some], expected, atol=TOLERANCE[dtype], rtol=0)


@pytest.mark.parametrize(("kind", "layers", "states", "lookahead", "bidirectional"), BOTH_SIDES)
def test_with_a_look_ahead_both_forms_read_the_future_of_their_film(
    kind: str, layers: int, states: str, lookahead: int, bidirectional: bool
) -> None:
    encoder = make_encoder(kind, layers, states, "float64", lookahead=lookahead, bidirectional=bidirectional)
    lengths = [1, 4, 17]
    x, starts = films(lengths)
    expected = reference.encoder_rows(x[:22], starts[:22], encoder, 5, lookahead)
    assert expected.shape == (22, encoder.state_size)
    by_rows = row_states(encoder, x, starts, 5)[:22]
    np.testing.assert_allclose(by_rows, expected, atol=TOLERANCE["float64"], rtol=0)
    stops = np.repeat(np.cumsum(lengths), lengths)
    windows = [reference.window_of(x, row, starts[row], 5, stops[row], lookahead) for row in range(22)]
    np.testing.assert_allclose(encoder(np.stack(windows)), expected, atol=TOLERANCE["float64"], rtol=0)
    sequence = np.asarray(encoder(np.stack(windows), sequence=True))
    assert sequence.shape == (22, 5, encoder.state_size)
    np.testing.assert_allclose(sequence[:, -1], expected, atol=TOLERANCE["float64"], rtol=0)
    # What lies further ahead, or in another film, has no effect; the last second that it may see has one.
    assert encoder.rows(5, sequence=False) == (4, lookahead)
    changed = x.copy()
    changed[15] += 5.0
    moved = np.abs(row_states(encoder, changed, starts, 5)[:22] - by_rows).max(axis=1) > 0
    assert np.flatnonzero(moved).tolist() == list(range(max(5, 15 - lookahead), 20))


@pytest.mark.parametrize(("kind", "layers", "states"), KINDS)
def test_as_a_sequence_it_gives_the_state_at_every_second(kind: str, layers: int, states: str) -> None:
    encoder = make_encoder(kind, layers, states, "float64")
    windows = np.random.default_rng(2).normal(size=(3, 7, 5))
    sequence = np.asarray(encoder(windows, sequence=True))
    expected = np.stack([reference.encoder_sequence(window, encoder) for window in windows])
    np.testing.assert_allclose(sequence, expected, atol=1e-9, rtol=0)
    np.testing.assert_array_equal(sequence[:, -1], encoder(windows))


def test_a_film_comes_out_of_an_lstm_the_same_to_the_bit_whatever_shares_the_call() -> None:
    encoder = make_encoder("lstm", 2, "all", "float32", units=32, size=40)
    x, starts = films([33, 400, 61], size=40)
    together = np.asarray(encoder.encode_rows(x.astype(np.float32), starts, 6, np.arange(512)))
    alone = np.zeros((512, 40), np.float32)
    alone[:400] = x[33:433]
    start = np.where(np.arange(512) < 400, 0, np.arange(512)).astype(np.int32)
    np.testing.assert_array_equal(row_states(encoder, alone, start, 6)[:400], together[33:433])


def test_an_lstm_is_what_cudnn_runs_and_forgets_little_at_first() -> None:
    encoder = build_encoder(EncoderConfig(kind="lstm", units=4, layers=2), l2=0.0, seed=8, name="encoder")
    encoder.build((None, None, 3))
    for layer in encoder.stack:
        assert (layer.activation, layer.recurrent_activation) == (keras.activations.tanh, keras.activations.sigmoid)
        assert layer.use_bias
        assert not layer.unroll
        assert not layer.recurrent_dropout
        np.testing.assert_array_equal(np.asarray(layer.cell.bias), [0.0] * 4 + [1.0] * 4 + [0.0] * 8)


def test_a_bidirectional_encoder_comes_back_from_its_configuration() -> None:
    config = EncoderConfig(units=4, layers=2, bidirectional=True)
    encoder = build_encoder(config, lookahead=3, l2=0.01, seed=8, name="image_encoder")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(encoder))
    assert again.get_config() == encoder.get_config()
    x = np.random.default_rng(1).normal(size=(2, 8, 3)).astype(np.float32)
    np.testing.assert_array_equal(again(x), encoder(x))
    kernels = [np.asarray(weight) for weight in encoder.trainable_weights if weight.path.endswith("kernel")]
    assert len({kernel.tobytes() for kernel in kernels}) == 8  # no two layers were drawn from one seed
    assert float(sum(encoder.losses)) == pytest.approx(0.01 * sum(np.sum(kernel**2) for kernel in kernels), rel=1e-5)
    with pytest.raises(ConfigurationError, match="set lookahead_s"):
        validate(ModelConfig, {"encoder": {"bidirectional": True}}, "experiment.yaml: train.model")


def test_an_lstm_comes_back_from_its_configuration() -> None:
    config = EncoderConfig(kind="lstm", units=4, layers=2, states="all")
    encoder = build_encoder(config, l2=0.01, seed=8, name="image_encoder")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(encoder))
    assert isinstance(again, LSTMEncoder)
    assert again.get_config() == encoder.get_config()
    x = np.random.default_rng(1).normal(size=(2, 5, 3)).astype(np.float32)
    np.testing.assert_array_equal(again(x), encoder(x))
    matrices = [matrix for layer in reference.recurrent_weights(encoder) for matrix in layer[:2]]
    assert float(sum(encoder.losses)) == pytest.approx(0.01 * sum(np.sum(matrix**2) for matrix in matrices), rel=1e-5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "lstm", "levels": 3}, "'levels' has no effect on an encoder of kind 'lstm'"),
        ({"kind": "tcn", "units": 64}, "'units' has no effect on an encoder of kind 'tcn'"),
        ({"kind": "rnn"}, "kind"),
    ],
)
def test_keys_of_another_kind_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        validate(EncoderConfig, values, "experiment.yaml: train.model.encoder")
    assert EncoderConfig.model_validate(EncoderConfig(kind="tcn", levels=3).model_dump()).levels == 3
