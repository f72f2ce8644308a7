"""The encoder-decoder temporal convolutional network of the paper, after Lea et al.

    window, W seconds ──▶ zeros in front, up to a multiple of 2^levels
      encoder, level 1 … n:  convolution over time ▶ normalised ReLU ▶ maximum of each two steps     L, L/2, … L/2^n
      decoder, level n … 1:  every step twice      ▶ convolution over time ▶ normalised ReLU         L/2^n … L/2, L
    ──▶ a state at every second; the window's state is that of its last second

Lea, Vidal, Reiter and Hager, "Temporal Convolutional Networks: A Unified Approach to Action Segmentation" (2016). The
normalised ReLU divides by the largest activation of the same step. Their last layer, a softmax at each step, is here
the fusion of the modalities, the same for all encoders.

The use of windows is ours, and the same as for the recurrent encoders: the state of second t is the output at the last
second of window t - W + 1 … t. So contract 2 holds (a second's prediction depends only on its own window, and a film's
curve only on the film), encoders of different kinds can be fused, and short films need no special case. In training it
is sequence to sequence: the outputs at all seconds of the window are compared with their labels
(`TrainConfig.loss_seconds`). With `causal=False`, outputs before the last second also depend on later seconds of the
window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from trainer.network.chunked_rows import ROW_BLOCK, map_row_blocks, multiply_by_row_blocks
from trainer.network.layers import l2_regularizer

_PACKET_ROWS = 64
"""A multiple of the rows that matrix products on processors take at a time."""

NORM_EPSILON = 1e-5
"""Added to the largest activation by which the normalised ReLU divides, as in the authors' code."""


@keras.saving.register_keras_serializable(package="cineaffect")
class TCNEncoder(keras.layers.Layer):
    """Encoder-decoder TCN: float [B, W, D] -> float [B, filters[0]], or, as a sequence, float [B, W, filters[0]].

    Args:
        filters: filters of each level, the first at full resolution; the decoder mirrors them.
        kernel: taps of every convolution.
        causal: False: a convolution is centred (with an even number of taps, half a step to the future). True: it ends
            at its own step, and a pooled step counts only after both of its seconds, so that no output depends on later
            seconds.
        normalized: whether the ReLU is normalised.
        l2: weight of the squared norm of all kernels.
        seed: seed of all weights (Glorot uniform).
    """

    def __init__(
        self,
        filters: Sequence[int],
        kernel: int,
        causal: bool = False,
        normalized: bool = True,
        l2: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = list(filters)
        self.kernel = kernel
        self.causal = causal
        self.normalized = normalized
        self.l2 = l2
        self.seed = seed
        self._kernels: list[Any] = []
        self._biases: list[Any] = []

    @property
    def state_size(self) -> int:
        """The size of the state: filters of the first level."""
        return self.filters[0]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates kernels [taps, in, out] and biases for inputs [B, W, D]: encoder, then decoder."""
        size = int(input_shape[-1])  # type: ignore[arg-type]
        for index, outputs in enumerate([*self.filters, *reversed(self.filters)]):
            seed = None if self.seed is None else self.seed + index
            kernel = self.add_weight(
                shape=(self.kernel, size, outputs),
                initializer=keras.initializers.GlorotUniform(seed=seed),
                regularizer=l2_regularizer(self.l2),
                name=f"convolution_{index + 1}_kernel",
            )
            self._kernels.append(kernel)
            self._biases.append(
                self.add_weight(shape=(outputs,), initializer="zeros", name=f"convolution_{index + 1}_bias")
            )
            size = outputs

    def call(self, x: Any, training: bool = False, sequence: bool = False) -> Any:
        """The state at the last second of each window, float [B, W, D] -> float [B, state_size].

        With `sequence` it is the state at every second, float [B, W, state_size]. `training` has no effect.
        """
        window = x.shape[1]
        x = ops.pad(x, [[0, 0], [self._padded(window) - window, 0], [0, 0]])
        first = self._convolve(x, self._weight(0, x.dtype), self._bias(0, x.dtype))
        states = self._after_first_convolution(first)
        return states[:, -window:] if sequence else states[:, -1]

    def encode_rows(self, x: Any, row_start: Any, window: int, ends: Any = None, block: Any = ROW_BLOCK) -> Any:
        """The state at the last second of the window that ends at each row of some films.

        It equals `call` on every explicit zero-padded window, in the precision of the weights. The first convolution,
        whose input is wide, is computed once per row and tap instead of once per row, tap and window.

        Args:
            x: float [R, D]; the rows of one film after another, R a multiple of `block`.
            row_start: int32 [R]; for each row, the first row of its film.
            window: W, rows per window. Positions before `row_start` are rows of zeros.
            ends: int32 [N], N a multiple of `block`: the rows whose windows to compute; None for all.
            block: rows that are computed at a time, a number or a tensor.

        Returns:
            float [R, state_size], or [N, state_size].
        """
        dtype = self.variable_dtype
        # W - 1 rows in front make the rows of a block's windows one slice. Rows behind fill that slice up to whole
        # packets: a product sums its few last rows in another order, and a film's second must not be among them in one
        # call and not in another.
        behind = -(block + window - 1) % _PACKET_ROWS
        near_rows = block + window - 1 + behind
        padded = ops.pad(ops.cast(x, dtype), [[window - 1, behind], [0, 0]])
        kernel = ops.convert_to_tensor(self._kernels[0])
        bias = ops.convert_to_tensor(self._biases[0])
        taps = ops.reshape(ops.transpose(kernel, (1, 0, 2)), (x.shape[-1], self.kernel * self.filters[0]))

        def table_of(products: Any) -> Any:
            # The last row of the table is zero, for every position outside the window or the film.
            return ops.reshape(ops.pad(products, [[0, 1], [0, 0]]), (-1, self.kernel, self.filters[0]))

        def encode_block(rows: Any, starts: Any) -> Any:
            near = ops.slice(padded, (rows[0], 0), (near_rows, x.shape[-1]))
            first = self._first_convolution(table_of(ops.matmul(near, taps)), rows, starts, window, rows[0]) + bias
            return self._after_first_convolution(first)[:, -1]

        if ends is None:
            return map_row_blocks(encode_block, row_start, block=block)
        # Rows that are not consecutive have no common slice: their table is that of all rows.
        missing = -ops.shape(padded)[0] % block
        table = table_of(multiply_by_row_blocks(ops.pad(padded, [[0, missing], [0, 0]]), taps, block))

        def encode_apart(rows: Any, starts: Any) -> Any:
            first = self._first_convolution(table, rows, starts, window, 0) + bias
            return self._after_first_convolution(first)[:, -1]

        return map_row_blocks(encode_apart, row_start, ends, block)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[B, W, D] -> [B, state_size]."""
        return (input_shape[0], self.state_size)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": list(self.filters),
            "kernel": self.kernel,
            "causal": self.causal,
            "normalized": self.normalized,
            "l2": self.l2,
            "seed": self.seed,
        }

    @property
    def _taps_before(self) -> int:
        """The number of taps before a step; the others lie at it and after it."""
        return self.kernel - 1 if self.causal else (self.kernel - 1) // 2

    def _padded(self, window: int) -> int:
        multiple = 2 ** len(self.filters)
        return -(-window // multiple) * multiple

    def _first_convolution(self, table: Any, rows: Any, starts: Any, window: int, first_row: Any) -> Any:
        """The sum of the taps' products, [block, L, F], for the windows that end at `rows`; table [N + 1, taps, F].

        The table begins W - 1 rows before `first_row`.
        """
        length = self._padded(window)
        # Positions of a window count from its first second, negative in the zeros before it.
        position = ops.arange(length, dtype="int32") - (length - window)
        total = 0.0
        for tap in range(self.kernel):
            source = (position + (tap - self._taps_before))[None, :]
            row = rows[:, None] - (window - 1) + source
            inside = (source >= 0) & (source < window) & (row >= starts[:, None])
            index = ops.where(inside, row - first_row + (window - 1), ops.shape(table)[0] - 1)
            total = total + ops.take(table[:, tap], index, axis=0)
        return total

    def _after_first_convolution(self, x: Any) -> Any:
        """Everything after the first convolution, float [B, L, filters[0]] -> float [B, L, filters[0]]."""
        levels = len(self.filters)
        for level in range(levels):
            if level:
                x = self._convolve(x, self._weight(level, x.dtype), self._bias(level, x.dtype))
            x = _halve(self._activate(x))
        for index in range(levels, 2 * levels):
            x = self._convolve(self._double(x), self._weight(index, x.dtype), self._bias(index, x.dtype))
            x = self._activate(x)
        return x

    def _convolve(self, x: Any, kernel: Any, bias: Any) -> Any:
        before = self._taps_before
        x = ops.pad(x, [[0, 0], [before, self.kernel - 1 - before], [0, 0]])
        return ops.conv(x, kernel, strides=1, padding="valid", data_format="channels_last") + bias

    def _activate(self, x: Any) -> Any:
        # Division by 1e-5 and similar values leaves float16's normal range.
        precise = ops.relu(ops.cast(x, self.variable_dtype))
        if self.normalized:
            precise = precise / (ops.max(precise, axis=-1, keepdims=True) + NORM_EPSILON)
        return ops.cast(precise, x.dtype)

    def _double(self, x: Any) -> Any:
        x = ops.repeat(x, 2, axis=1)
        # Step i depends on seconds 2 i and 2 i + 1, so it is known at 2 i + 1 and not before.
        return ops.pad(x, [[0, 0], [1, 0], [0, 0]])[:, :-1] if self.causal else x

    def _weight(self, index: int, dtype: Any) -> Any:
        return ops.cast(self._kernels[index], dtype)

    def _bias(self, index: int, dtype: Any) -> Any:
        return ops.cast(self._biases[index], dtype)


def _halve(x: Any) -> Any:
    """The maximum of each two steps, float [B, L, F] -> float [B, L / 2, F]."""
    return ops.max(ops.reshape(x, (-1, x.shape[1] // 2, 2, x.shape[2])), axis=2)
