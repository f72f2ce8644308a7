"""Encoders: from one modality's rows to one state a second.

An encoder has two forms. `encoder(x)` takes explicit windows; training uses it. For the recurrent encoders it runs the
stock Keras layers, including cuDNN. `encoder.encode_rows(x, row_start, window, ends)` takes whole films as rows and
returns the states of some seconds, without building the windows; prediction and export use it.

Both give the state of second t from the rows t - before … t + after, where rows outside the film are zeros:
`encoder.rows(window, sequence=False)` is (before, after), and what the explicit windows must hold. With `sequence=True`
the first form gives the states of the W seconds that end at t, for a sequence-to-sequence loss.
"""

from __future__ import annotations

from typing import Any

from trainer.foundation.config import EncoderConfig
from trainer.network.bidirectional import RECURRENT, BidirectionalEncoder
from trainer.network.chunked_rows import ROW_BLOCK
from trainer.network.recurrent import GRUEncoder, LSTMEncoder
from trainer.network.tcn import TCNEncoder

__all__ = ["ROW_BLOCK", "Encoder", "GRUEncoder", "LSTMEncoder", "TCNEncoder", "build_encoder"]

Encoder = GRUEncoder | LSTMEncoder | BidirectionalEncoder | TCNEncoder
"""The result of `build_encoder`: a Keras layer with `state_size`, `rows` and `encode_rows`."""


def build_encoder(
    config: EncoderConfig, *, lookahead: int = 0, l2: float, seed: int, name: str, dtype: Any = None
) -> Encoder:
    """Builds the encoder of a configuration, with weights drawn from `seed`.

    `lookahead` is the number of seconds after the predicted one that recurrent encoders read.
    """
    common: dict[str, Any] = {"l2": l2, "seed": seed, "name": name, "dtype": dtype}
    if config.kind == "tcn":
        filters = [config.filters + level * config.filters_step for level in range(config.levels)]
        return TCNEncoder(
            filters, config.kernel_s, causal=config.causal, normalized=config.activation == "norm_relu", **common
        )
    common.update(units=config.units, layers=config.layers, states=config.states, lookahead=lookahead)
    return BidirectionalEncoder(config.kind, **common) if config.bidirectional else RECURRENT[config.kind](**common)
