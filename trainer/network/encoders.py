"""Encoders: from one modality's window of rows to one state.

An encoder has two forms. `encoder(x)` takes explicit windows; training uses it. For the recurrent encoders it runs the
stock Keras layers, including cuDNN. `encoder.encode_rows(x, row_start, window)` takes whole films as rows and returns
the state of the window that ends at each row, without building the windows; prediction and export use it.

One definition covers all kinds: the state of second t is the encoder's output at the last second of window t, and
window t is t - W + 1 … t. With `sequence=True` the first form gives the output at every second of the window, for a
sequence-to-sequence loss.
"""

from __future__ import annotations

from typing import Any

from trainer.foundation.config import EncoderConfig
from trainer.network.chunked_rows import ROW_BLOCK
from trainer.network.recurrent import GRUEncoder, LSTMEncoder
from trainer.network.tcn import TCNEncoder

__all__ = ["ROW_BLOCK", "Encoder", "GRUEncoder", "LSTMEncoder", "TCNEncoder", "build_encoder"]

Encoder = GRUEncoder | LSTMEncoder | TCNEncoder
"""The result of `build_encoder`: a Keras layer with `state_size` and `encode_rows`."""


def build_encoder(config: EncoderConfig, *, l2: float, seed: int, name: str, dtype: Any = None) -> Encoder:
    """Builds the encoder of a configuration, with weights drawn from `seed`."""
    common: dict[str, Any] = {"l2": l2, "seed": seed, "name": name, "dtype": dtype}
    if config.kind == "tcn":
        filters = [config.filters + level * config.filters_step for level in range(config.levels)]
        return TCNEncoder(
            filters, config.kernel_s, causal=config.causal, normalized=config.activation == "norm_relu", **common
        )
    recurrent = {"gru": GRUEncoder, "lstm": LSTMEncoder}[config.kind]
    return recurrent(config.units, config.layers, states=config.states, **common)
