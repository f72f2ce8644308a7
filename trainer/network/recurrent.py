"""The recurrent encoders of the paper, GRU and LSTM, sequence to one.

On explicit windows they are the stock Keras layers. On rows all windows advance together, and the input projection, the
larger part of the arithmetic, is computed once per row instead of once per row and window:

    step k = 0 … W - 1: row r's input is row r - (W - 1) + k, or the zero row if that lies outside the film

With a look-ahead of A seconds, the recurrence goes on for A steps and the state of second t is that at second t + A.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from trainer.network.chunked_rows import ROW_BLOCK, by_row_blocks, map_row_blocks
from trainer.network.layers import l2_regularizer


class RecurrentEncoder(keras.layers.Layer):
    """One or more stacked recurrent layers: float [B, W + A, D] -> float [B, state_size].

    Args:
        units: H, size of a layer's state.
        layers: number of stacked layers.
        states: `last`: the final state of the last layer; `all`: the final states of all layers, first layer first.
        lookahead: A, seconds after the predicted one.
        l2: weight of the squared norm of the kernels and recurrent kernels.
        seed: seed of all weights.
    """

    def __init__(
        self,
        units: int,
        layers: int = 1,
        states: str = "last",
        lookahead: int = 0,
        l2: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.units = units
        self.layers = layers
        self.states = states
        self.lookahead = lookahead
        self.l2 = l2
        self.seed = seed
        self.stack = [self._make_layer(index) for index in range(layers)]

    @property
    def state_size(self) -> int:
        """The size of the state: units, or units times layers."""
        return self.units * (self.layers if self.states == "all" else 1)

    def rows(self, window: int, sequence: bool) -> tuple[int, int]:
        """The rows before and after a window's last that `call` takes, to give one state or `window` of them."""
        return window - 1, self.lookahead

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights for inputs [B, L, D]."""
        size = input_shape[-1]
        for layer in self.stack:
            layer.build((None, None, size))
            size = self.units

    def call(self, x: Any, training: bool = False, sequence: bool = False) -> Any:
        """The state of each explicit window, float [B, W + A, D] -> float [B, state_size].

        With `sequence` it is the state of each of the W seconds, float [B, W, state_size]. A layer's final state is its
        output at the last second (for the LSTM the hidden state).
        """
        outputs = []
        for layer in self.stack:
            x = layer(x, training=training)
            outputs.append(x[:, self.lookahead :] if sequence else x[:, -1])
        return outputs[-1] if self.states == "last" else ops.concatenate(outputs, axis=-1)

    def encode_rows(
        self, x: Any, row_start: Any, window: int, ends: Any, block: Any = ROW_BLOCK, backwards: bool = False
    ) -> Any:
        """The state of the windows that end at some rows of some films.

        It equals `call` on every explicit zero-padded window, in the precision of the weights (not in that of a mixed
        policy). Nothing differentiates it, so it keeps no intermediate states.

        Args:
            x: float [R, D]; the rows of one film after another, R a multiple of `block` (the caller pads once for all
                encoders).
            row_start: int32 [R], not falling; for each row, the first row of its film.
            window: W, rows per window. Positions outside the film are rows of zeros.
            ends: int32 [N], N a multiple of `block`: the rows whose windows to compute.
            block: rows that are advanced at a time, a number or a tensor.
            backwards: whether the windows begin at `ends` instead, and are read from their end to `ends`.

        Returns:
            float [N, state_size].
        """
        weights = [self._step_weights(layer) for layer in self.stack]
        projected = by_row_blocks(weights[0].project, ops.cast(x, self.variable_dtype), block)
        # Row 0 of the table is the projection of a row of zeros; row i + 1 that of row i.
        table = ops.concatenate([weights[0].project(ops.zeros((1, x.shape[-1]), self.variable_dtype)), projected])

        steps = window + self.lookahead
        first, step = (steps - 1, -1) if backwards else (1 - window, 1)

        def encode_block(rows: Any, starts: Any, stops: Any) -> Any:
            outputs = _advance_block(weights, table, (rows + first, step, steps), starts, stops)
            return outputs[-1] if self.states == "last" else ops.concatenate(outputs, axis=-1)

        return map_row_blocks(encode_block, row_start, ends, block)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[B, L, D] -> [B, state_size]."""
        return (input_shape[0], self.state_size)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "layers": self.layers,
            "states": self.states,
            "lookahead": self.lookahead,
            "l2": self.l2,
            "seed": self.seed,
        }

    def _make_layer(self, index: int) -> Any:
        raise TypeError(f"{type(self).__name__} is a base: make a GRUEncoder or an LSTMEncoder")

    def _step_weights(self, layer: Any) -> _GRUWeights | _LSTMWeights:
        raise TypeError(f"{type(self).__name__} is a base: make a GRUEncoder or an LSTMEncoder")

    def _layer_options(self, index: int, name: str) -> dict[str, Any]:
        seeds = [None, None] if self.seed is None else [self.seed + 2 * index, self.seed + 2 * index + 1]
        return {
            "return_sequences": True,
            "kernel_initializer": keras.initializers.GlorotUniform(seed=seeds[0]),
            "recurrent_initializer": keras.initializers.Orthogonal(seed=seeds[1]),
            "kernel_regularizer": l2_regularizer(self.l2),
            "recurrent_regularizer": l2_regularizer(self.l2),
            "dtype": self.dtype_policy,
            "name": f"{name}_{index + 1}",
        }


@keras.saving.register_keras_serializable(package="cineaffect")
class GRUEncoder(RecurrentEncoder):
    """Stacked GRUs: stock `keras.layers.GRU` with `reset_after=True`, the form that cuDNN runs.

    They have default activations, no recurrent dropout and no mask. Source: Cho et al. 2014, in cuDNN's form; paper,
    section Temporal Models.
    """

    def _make_layer(self, index: int) -> keras.layers.GRU:
        return keras.layers.GRU(self.units, reset_after=True, **self._layer_options(index, "gru"))

    def _step_weights(self, layer: Any) -> _GRUWeights:
        return _GRUWeights(layer)


@keras.saving.register_keras_serializable(package="cineaffect")
class LSTMEncoder(RecurrentEncoder):
    """Stacked LSTMs: stock `keras.layers.LSTM`, which cuDNN runs; the encoder's state is the hidden state.

    They have default activations, a forget gate whose bias starts at 1, no recurrent dropout and no mask. Source:
    Hochreiter and Schmidhuber 1997 with forget gates (Gers et al. 2000), in cuDNN's form; paper, section Temporal
    Models.
    """

    def _make_layer(self, index: int) -> keras.layers.LSTM:
        return keras.layers.LSTM(self.units, **self._layer_options(index, "lstm"))

    def _step_weights(self, layer: Any) -> _LSTMWeights:
        return _LSTMWeights(layer)


class _GRUWeights:
    """The weights of one stock GRU layer and the two halves of its step; gates in Keras's order z, r, candidate."""

    memories = 1

    def __init__(self, gru: keras.layers.GRU):
        self.units = gru.units
        self.kernel = ops.convert_to_tensor(gru.cell.kernel)
        self.recurrent_kernel = ops.convert_to_tensor(gru.cell.recurrent_kernel)
        bias = ops.convert_to_tensor(gru.cell.bias)
        # z and r add both biases to the same sum, so these are added once per row; the candidate's recurrent bias lies
        # inside the reset gate and stays in the step.
        outside = ops.concatenate([bias[1, : 2 * self.units], ops.zeros((self.units,), bias.dtype)])
        self.bias = bias[0] + outside
        self.candidate_bias = bias[1, 2 * self.units :]

    def project(self, x: Any) -> Any:
        """The input projection, float [N, D] -> float [N, 3 units]."""
        return ops.matmul(x, self.kernel) + self.bias

    def advance(self, memory: tuple[Any, ...], projected: Any) -> tuple[Any, ...]:
        """One step: state float [N, units] and projected input float [N, 3 units] -> state float [N, units]."""
        (state,), two = memory, 2 * self.units
        recurrent = ops.matmul(state, self.recurrent_kernel)
        gates = ops.sigmoid(projected[:, :two] + recurrent[:, :two])
        update, reset = gates[:, : self.units], gates[:, self.units :]
        candidate = ops.tanh(projected[:, two:] + reset * (recurrent[:, two:] + self.candidate_bias))
        return (candidate + update * (state - candidate),)


class _LSTMWeights:
    """The weights of one stock LSTM layer and the two halves of its step; gates in Keras's order i, f, candidate, o."""

    memories = 2

    def __init__(self, lstm: keras.layers.LSTM):
        self.units = lstm.units
        self.kernel = ops.convert_to_tensor(lstm.cell.kernel)
        self.recurrent_kernel = ops.convert_to_tensor(lstm.cell.recurrent_kernel)
        self.bias = ops.convert_to_tensor(lstm.cell.bias)

    def project(self, x: Any) -> Any:
        """The input projection, float [N, D] -> float [N, 4 units]."""
        return ops.matmul(x, self.kernel) + self.bias

    def advance(self, memory: tuple[Any, ...], projected: Any) -> tuple[Any, ...]:
        """One step: hidden state and cell, float [N, units] each, and projected input float [N, 4 units]."""
        state, cell = memory
        gates = projected + ops.matmul(state, self.recurrent_kernel)
        entrance, forget, candidate, exit_ = ops.split(gates, 4, axis=-1)
        cell = ops.sigmoid(forget) * cell + ops.sigmoid(entrance) * ops.tanh(candidate)
        return ops.sigmoid(exit_) * ops.tanh(cell), cell


def _advance_block(
    weights: list[Any], table: Any, positions: tuple[Any, int, int], starts: Any, stops: Any
) -> list[Any]:
    """The final states of each layer for some windows -> float [block, units].

    `positions` are the windows' first rows, int32 [block], the step from one to the next (1 or -1) and their number.

    One loop advances all layers. From the second layer on, a layer's inputs are the states of the layer below *in that
    window*, so they differ between windows, and windows can't share their projection.
    """
    first, step, steps = positions

    def advance(k: Any, memories: tuple[Any, ...]) -> tuple[Any, ...]:
        position = first + step * k
        inside = (position >= starts) & (position < stops)
        projected = ops.take(table, ops.where(inside, position + 1, 0), axis=0)
        advanced: list[Any] = []
        for index, (weight, memory) in enumerate(zip(weights, memories, strict=True)):
            if index:
                projected = weight.project(advanced[-1][0])
            advanced.append(weight.advance(memory, projected))
        return tuple(advanced)

    initial = tuple(
        tuple(ops.zeros((ops.shape(first)[0], weight.units), table.dtype) for _ in range(weight.memories))
        for weight in weights
    )
    return [memory[0] for memory in ops.fori_loop(0, steps, advance, initial)]
