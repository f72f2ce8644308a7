"""Encoders: from one modality's window of rows to one state.

An encoder answers the same question in two forms. `encoder(x)` takes explicit windows and is what training runs: the
stock Keras layers, cuDNN included. `encoder.encode_rows(x, row_start, window)` takes whole films as rows and answers
for the window that ends at each row, without ever making the windows; it is what prediction and the export run:

    rows of a film       0   1   2   3   4           window = 3
    window of row 1      .   0   1                   . is the zero row: positions before the film's first row
    window of row 4          2   3   4
    step k = 0, 1, 2     all windows advance together; row r's input at step k is row r - (window - 1) + k

The input projection, the larger part of the arithmetic, is done once a row instead of once a row and window.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from trainer.config import EncoderConfig
from trainer.layers import l2_regularizer

ROW_BLOCK = 256
"""Rows that `encode_rows` advances at a time: the working set of a step stays in a core's cache."""


def build_encoder(config: EncoderConfig, *, l2: float, seed: int, name: str, dtype: Any = None) -> GRUEncoder:
    """The encoder that a configuration describes, its weights drawn from `seed`."""
    return GRUEncoder(config.units, config.layers, l2=l2, seed=seed, name=name, dtype=dtype)


@keras.saving.register_keras_serializable(package="cineaffect")
class GRUEncoder(keras.layers.Layer):
    """One or more stacked GRU layers, sequence to one: float [B, W, D] -> the last layer's final state [B, units].

    Stock `keras.layers.GRU` with `reset_after=True`, default activations, no recurrent dropout and no mask, which is
    what cuDNN runs. Source: Cho et al. 2014, in the form of cuDNN; paper, section Temporal Models.

    Args:
        units: H, size of the state.
        layers: number of stacked layers.
        l2: weight of the squared norm of the kernels and recurrent kernels.
        seed: seed of all weights.
    """

    def __init__(self, units: int, layers: int = 1, l2: float = 0.0, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.units = units
        self.layers = layers
        self.l2 = l2
        self.seed = seed
        self.stack = [self._gru(index) for index in range(layers)]

    def _gru(self, index: int) -> keras.layers.GRU:
        seeds = [None, None] if self.seed is None else [self.seed + 2 * index, self.seed + 2 * index + 1]
        return keras.layers.GRU(
            self.units,
            return_sequences=index < self.layers - 1,
            reset_after=True,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seeds[0]),
            recurrent_initializer=keras.initializers.Orthogonal(seed=seeds[1]),
            kernel_regularizer=l2_regularizer(self.l2),
            recurrent_regularizer=l2_regularizer(self.l2),
            dtype=self.dtype_policy,
            name=f"gru_{index + 1}",
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights for inputs [B, W, D]."""
        size = input_shape[-1]
        for gru in self.stack:
            gru.build((None, None, size))
            size = self.units

    def call(self, x: Any, training: bool = False) -> Any:
        """The state after each explicit window, float [B, W, D] -> float [B, units]."""
        for gru in self.stack:
            x = gru(x, training=training)
        return x

    def encode_rows(self, x: Any, row_start: Any, window: int) -> Any:
        """The state for the window that ends at each row of some films.

        Equal to `call` on every explicit zero-padded window, in the precision of the weights (not in that of a mixed
        policy). Not differentiated anywhere, so it keeps no intermediate states.

        Args:
            x: float [R, D]; the rows of one film after another, R a multiple of `ROW_BLOCK` (the caller pads once for
                all encoders; with a fixed block a film's states don't depend on what shares the call).
            row_start: int32 [R]; for each row, the first row of its film.
            window: W, rows a window. Positions before `row_start` are rows of zeros.

        Returns:
            float [R, units].
        """
        weights = [_GRUWeights(gru) for gru in self.stack]
        projected = weights[0].project(ops.cast(x, self.variable_dtype))
        # Row 0 of the table is the projection of a row of zeros; row i + 1 that of row i.
        table = ops.concatenate([weights[0].project(ops.zeros((1, x.shape[-1]), self.variable_dtype)), projected])
        blocks = ops.reshape(ops.arange(ops.shape(x)[0], dtype="int32"), (-1, ROW_BLOCK))
        starts = ops.reshape(ops.cast(row_start, "int32"), (-1, ROW_BLOCK))

        def encode_block(block: tuple[Any, Any]) -> Any:
            return _advance_block(weights, table, *block, window)

        return ops.reshape(ops.map(encode_block, (blocks, starts)), (-1, self.units))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[B, W, D] -> [B, units]."""
        return (input_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "layers": self.layers,
            "l2": self.l2,
            "seed": self.seed,
        }


class _GRUWeights:
    """The weights of one stock GRU layer and the two halves of its step; gates in Keras's order z, r, candidate."""

    def __init__(self, gru: keras.layers.GRU):
        self.units = gru.units
        self.kernel = ops.convert_to_tensor(gru.cell.kernel)
        self.recurrent_kernel = ops.convert_to_tensor(gru.cell.recurrent_kernel)
        bias = ops.convert_to_tensor(gru.cell.bias)
        # z and r add both biases to the same sum, so theirs are added once a row; the candidate's recurrent bias lies
        # inside the reset gate and stays in the step.
        outside = ops.concatenate([bias[1, : 2 * self.units], ops.zeros((self.units,), bias.dtype)])
        self.bias = bias[0] + outside
        self.candidate_bias = bias[1, 2 * self.units :]

    def project(self, x: Any) -> Any:
        """Input projection, float [N, D] -> float [N, 3 units]."""
        return ops.matmul(x, self.kernel) + self.bias

    def advance(self, state: Any, projected: Any) -> Any:
        """One step: state float [N, units] and projected input float [N, 3 units] -> state float [N, units]."""
        two = 2 * self.units
        recurrent = ops.matmul(state, self.recurrent_kernel)
        gates = ops.sigmoid(projected[:, :two] + recurrent[:, :two])
        update, reset = gates[:, : self.units], gates[:, self.units :]
        candidate = ops.tanh(projected[:, two:] + reset * (recurrent[:, two:] + self.candidate_bias))
        return candidate + update * (state - candidate)


def _advance_block(weights: list[_GRUWeights], table: Any, rows: Any, starts: Any, window: int) -> Any:
    """Final states of the windows that end at `rows`, int32 [ROW_BLOCK] -> float [ROW_BLOCK, units].

    All layers go through the same loop: from the second layer on a layer's inputs differ from window to window, since
    they are the states of the layer below it *in that window*, so their projection can't be shared between windows.
    """

    def step(k: Any, states: tuple[Any, ...]) -> tuple[Any, ...]:
        position = rows - (window - 1) + k
        projected = ops.take(table, ops.where(position >= starts, position + 1, 0), axis=0)
        advanced: list[Any] = []
        for index, (weight, state) in enumerate(zip(weights, states, strict=True)):
            if index:
                projected = weight.project(advanced[-1])
            advanced.append(weight.advance(state, projected))
        return tuple(advanced)

    initial = tuple(ops.zeros((ROW_BLOCK, weight.units), table.dtype) for weight in weights)
    return ops.fori_loop(0, window, step, initial)[-1]
