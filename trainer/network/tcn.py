"""The encoder-decoder temporal convolutional network of the paper, after Lea et al.

    a film between endless zeros
      encoder, level 1 … n:  convolution over time ▶ normalised ReLU ▶ maximum of each two steps     T, T/2, … T/2^n
      decoder, level n … 1:  every step twice      ▶ convolution over time ▶ normalised ReLU         T/2^n … T/2, T
    ──▶ a state at every second

Lea, Vidal, Reiter and Hager, "Temporal Convolutional Networks: A Unified Approach to Action Segmentation" (2016). The
normalised ReLU divides by the largest activation of the same step. Their last layer, a softmax at each step, is here
the fusion of the modalities, the same for all encoders.

As in that paper the network runs over whole films: the state of second t is its output there, from `reach` seconds
before t to `reach` after it. In training it runs over windows that are longer by the reach at both ends, so that every
compared second sees what it sees in the film; but the seconds that share a maximum are counted from the window's first
there, and from the film's here. Rows outside a film are zeros, as for the recurrent encoders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from trainer.network.chunked_rows import ROW_BLOCK, film_stops
from trainer.network.layers import l2_regularizer

CHUNK_S = 128
"""Seconds of a film that are computed together, a multiple of 2^levels: always the same products, the same bits."""

NORM_EPSILON = 1e-5
"""Added to the largest activation by which the normalised ReLU divides, as in the authors' code."""

Drop = Callable[[Any, int], Any]
"""A function (activations [B, L, F], number of the convolution) -> the same with some channels dropped."""


@keras.saving.register_keras_serializable(package="cineaffect")
class TCNEncoder(keras.layers.Layer):
    """Encoder-decoder TCN; its state has the size of the first level's filters.

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

    @property
    def reach(self) -> tuple[int, int]:
        """The seconds before and after a second that its state depends on, at most."""
        steps = 2 ** len(self.filters) - 1  # A step of level l is 2^l seconds: 1 + 2 + 4 + …
        before, after = 2 * self._taps_before * steps, 2 * (self.kernel - 1 - self._taps_before) * steps
        # A maximum covers all seconds of its step; in the causal network it counts a step later instead.
        return (before + 2 * steps, 0) if self.causal else (before + steps, after + steps)

    def rows(self, window: int, sequence: bool) -> tuple[int, int]:
        """The rows before and after a window's last that `call` takes, to give one state or `window` of them."""
        before, after = self.reach
        return before + (window - 1 if sequence else 0), after

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates kernels [taps, in, out] and biases for inputs [B, L, D]: encoder, then decoder."""
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

    def call(self, x: Any, training: bool = False, sequence: bool = False, drop: Drop | None = None) -> Any:
        """The state at a second, float [B, before + 1 + after, D] -> float [B, state_size], with `reach` before, after.

        With `sequence` it is the state at every second that has its reach on both sides, float [B, n, state_size].
        `drop` is called after every convolution, as in the authors' code; `training` has no effect.
        """
        length, (before, after) = x.shape[1], self.reach
        x = ops.pad(x, [[0, 0], [0, -length % 2 ** len(self.filters)], [0, 0]])
        states = self._network(x, drop)[:, before : length - after]
        return states if sequence else states[:, -1]

    def encode_rows(self, x: Any, row_start: Any, window: int, ends: Any, block: Any = ROW_BLOCK) -> Any:
        """The state at some seconds of whole films, in the precision of the weights.

        It computes films in chunks with their surroundings, all of the same size:

            film      0 … 127 | 128 … 255 | 256 … 299            chunks of `CHUNK_S`, from second 0 of each film
            chunk     zeros and 0 … 127 and reach;  reach and 128 … 255 and reach;  reach and 256 … 299 and zeros

        Args:
            x: float [R, D]; the rows of one film after another.
            row_start: int32 [R], not falling; for each row, the first row of its film.
            window: has no effect.
            ends: int32 [N]: the rows whose states to return; all are computed.
            block: a number or a tensor: one chunk at a time, or one for each `ROW_BLOCK` rows of it.

        Returns:
            float [N, state_size].
        """
        multiple, (before, after) = 2 ** len(self.filters), self.reach
        lead, tail = -(-before // multiple) * multiple, -(-after // multiple) * multiple
        rows, size = ops.shape(x)[0], x.shape[-1]
        table = ops.pad(ops.cast(x, self.variable_dtype), [[0, 1], [0, 0]])  # The last row is zero.
        second = ops.arange(rows, dtype="int32") - row_start
        begins = ops.equal(second % CHUNK_S, 0)
        # On a processor each chunk is computed by itself: by TensorFlow's own kernels, which it takes where there is no
        # AVX-512 VNNI, the last bits of a convolution depend on a row's place.
        together = ops.maximum(block // ROW_BLOCK, 1)
        chunks = ops.cast(ops.nonzero(begins)[0], "int32")
        # Chunks that fill the last group are films without rows.
        firsts, starts, stops = (
            ops.reshape(ops.pad(each, [[0, -ops.shape(chunks)[0] % together]], constant_values=rows), (-1, together))
            for each in (chunks, ops.take(row_start, chunks), ops.take(film_stops(row_start), chunks))
        )

        def encode_chunks(chunk: Any) -> Any:
            first, start, stop = (bound[:, None] for bound in chunk)
            position = first + ops.arange(-lead, CHUNK_S + tail, dtype="int32")
            inside = (position >= start) & (position < stop)
            near = ops.take(table, ops.where(inside, position, rows), axis=0)
            near = ops.reshape(near, (-1, lead + CHUNK_S + tail, size))
            return self._network(near)[:, lead : lead + CHUNK_S]

        states = ops.reshape(ops.map(encode_chunks, (firsts, starts, stops)), (-1, self.state_size))
        place = (ops.cumsum(ops.cast(begins, "int32")) - 1) * CHUNK_S + second % CHUNK_S
        return ops.take(states, ops.take(place, ends), axis=0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[B, L, D] -> [B, state_size]."""
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

    def _network(self, x: Any, drop: Drop | None = None) -> Any:
        """The whole network, float [B, L, D] -> float [B, L, filters[0]]; L is a multiple of 2^levels."""
        levels = len(self.filters)
        for index in range(2 * levels):
            if index >= levels:
                x = self._double(x)
            x = self._convolve(x, index)
            x = self._activate(drop(x, index) if drop else x)
            if index < levels:
                x = ops.max(ops.reshape(x, (-1, x.shape[1] // 2, 2, x.shape[2])), axis=2)
        return x

    def _convolve(self, x: Any, index: int) -> Any:
        before = self._taps_before
        x = ops.pad(x, [[0, 0], [before, self.kernel - 1 - before], [0, 0]])
        kernel, bias = (ops.cast(weights[index], x.dtype) for weights in (self._kernels, self._biases))
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
