"""The fusion of the encoders' states: (batch normalisation), (dropout), context gate, mixture of experts, context gate.

Source: paper, section Fusion. The places of batch normalisation and dropout are ours.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from trainer.foundation.config import ModelConfig
from trainer.network.dropout import STATES, dropout
from trainer.network.layers import OPEN_LOGIT, ContextGate, MixtureOfExperts, Multiply, Normalize, weight_seed


class Fusion(keras.layers.Layer):
    """Probabilities of each target from concatenated states, float [N, H] -> float [N, targets].

    Args:
        config: the network's configuration.
        seed: the seed of all its weights.
        targets: the number of targets.
    """

    def __init__(self, config: ModelConfig, seed: int, targets: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.config = config
        self.targets = targets
        common = {"l2": config.l2, "dtype": self.dtype_policy}
        gate = {"batch_normalization": config.batch_normalization, **common}
        self.normalization = (
            keras.layers.BatchNormalization(dtype=self.dtype_policy, name="normalization")
            if config.batch_normalization
            else None
        )
        self.first_gate = (
            ContextGate(seed=weight_seed(seed, "first_gate"), name="first_gate", **gate) if config.gates else None
        )
        self.experts = MixtureOfExperts(
            targets, config.experts, config.dummy_expert, seed=weight_seed(seed, "experts"), name="experts", **common
        )
        self.second_gate = (
            ContextGate(open_at_start=True, seed=weight_seed(seed, "second_gate"), name="second_gate", **gate)
            if config.gates
            else None
        )

    def build(self, input_shape: Any) -> None:
        """Creates all weights for states [N, H]."""
        if self.normalization is not None:
            self.normalization.build(input_shape)
        if self.first_gate is not None:
            self.first_gate.build(input_shape)
        self.experts.build(input_shape)
        if self.second_gate is not None:
            self.second_gate.build((None, self.targets))

    def start_at(self, means: Any) -> None:
        """Sets the experts' biases so that the untrained network predicts about `means`, float [targets] in [0, 1].

        With the dummy expert no untrained prediction exceeds about 0.95 E / (E + 1), 0.63 for two experts; higher means
        start there.
        """
        target = mixed = np.asarray(means, np.float64)
        if self.second_gate is not None:
            kernel = np.asarray(self.second_gate.kernel, np.float64)
            for _ in range(20):  # The second gate shrinks what the experts give by a share that depends on it.
                mixed = target * (1.0 + np.exp(-(mixed @ kernel + OPEN_LOGIT)))
        self.experts.start_at(mixed)

    def call(
        self,
        x: Any,
        training: bool = False,
        dropout_seed: Any = None,
        normalize: Normalize | None = None,
        multiply: Multiply = ops.matmul,
    ) -> Any:
        """The probabilities [N, targets].

        Args:
            x: float [N, H].
            training: whether dropout and batch statistics are on.
            dropout_seed: int [2], see `trainer.network.dropout`.
            normalize: replaces the batch normalisation of all layers, to use other statistics.
            multiply: computes the products with kernels.
        """
        if self.normalization is not None:
            x = normalize(self.normalization, x) if normalize else self.normalization(x, training=training)
        if training and self.config.dropout:
            x = dropout(x, self.config.dropout, ops.shape(x), dropout_seed, STATES)
        gate = {"training": training, "normalize": normalize, "multiply": multiply}
        if self.first_gate is not None:
            x = self.first_gate(x, **gate)
        x = self.experts(x, multiply=multiply)
        return x if self.second_gate is None else self.second_gate(x, **gate)
