"""The bidirectional encoder: one recurrence reads the past up to the predicted second, another the future back to it.

    second     t - W + 1 … t - 1   t   t + 1 … t + A
    past       ──────────────────▶ state
    future                         state ◀────────────

Both states together are the state of second t. With several layers each direction has a stack of its own, so that no
layer mixes them (Schuster and Paliwal 1997; ours: which seconds each direction reads).
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from trainer.network.chunked_rows import ROW_BLOCK
from trainer.network.recurrent import GRUEncoder, LSTMEncoder

RECURRENT = {"gru": GRUEncoder, "lstm": LSTMEncoder}


@keras.saving.register_keras_serializable(package="cineaffect")
class BidirectionalEncoder(keras.layers.Layer):
    """Two recurrent encoders, one for each direction of time: float [B, W + A, D] -> float [B, state_size].

    Args:
        kind: `gru` or `lstm`.
        units, layers, states: of each direction, see `RecurrentEncoder`.
        lookahead: A, seconds after the predicted one; at least 1.
        l2: weight of the squared norm of all kernels.
        seed: seed of all weights.
    """

    def __init__(
        self,
        kind: str,
        units: int,
        layers: int = 1,
        states: str = "last",
        lookahead: int = 1,
        l2: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.settings = {"kind": kind, "units": units, "layers": layers, "states": states, "lookahead": lookahead}
        self.settings.update({"l2": l2, "seed": seed})
        self.lookahead = lookahead
        seeds = (None, None) if seed is None else (seed, seed + 2 * layers)
        self.past, self.future = (
            RECURRENT[kind](units, layers, states, l2=l2, seed=one, dtype=self.dtype_policy, name=name)
            for one, name in zip(seeds, ("past", "future"), strict=True)
        )

    @property
    def state_size(self) -> int:
        """The size of the state: twice that of one direction."""
        return self.past.state_size + self.future.state_size

    def rows(self, window: int, sequence: bool) -> tuple[int, int]:
        """The rows before and after a window's last that `call` takes, to give one state or `window` of them."""
        return window - 1, self.lookahead

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights for inputs [B, L, D]."""
        self.past.build(input_shape)
        self.future.build(input_shape)

    def call(self, x: Any, training: bool = False, sequence: bool = False) -> Any:
        """The state of each explicit window, float [B, W + A, D] -> float [B, state_size].

        With `sequence` it is the state of each of the W seconds, float [B, W, state_size]; seconds before the last then
        see more of the future, up to the window's end.
        """
        window = x.shape[1] - self.lookahead
        past = self.past(x[:, :window], training=training, sequence=sequence)
        if sequence:
            future = self.future(ops.flip(x, axis=1), training=training, sequence=True)
            future = ops.flip(future, axis=1)[:, :window]
        else:
            future = self.future(ops.flip(x[:, window - 1 :], axis=1), training=training)
        return ops.concatenate([past, future], axis=-1)

    def encode_rows(self, x: Any, row_start: Any, window: int, ends: Any, block: Any = ROW_BLOCK) -> Any:
        """The state of the windows that end at some rows of some films; see `RecurrentEncoder.encode_rows`."""
        past = self.past.encode_rows(x, row_start, window, ends, block)
        future = self.future.encode_rows(x, row_start, self.lookahead + 1, ends, block, backwards=True)
        return ops.concatenate([past, future], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[B, L, D] -> [B, state_size]."""
        return (input_shape[0], self.state_size)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), **self.settings}
