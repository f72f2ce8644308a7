"""The two layers of the paper's fusion: the context gate and the mixture of logistic experts.

Both work on the last axis of inputs of any rank (with batch normalisation, of the rank they were built for), in
float32, float64 and mixed precision, on any Keras 3 backend. Their constructor's arguments are their configuration:
`get_config` returns it, and a layer made from it draws the same weights.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

OPEN_LOGIT = 3.0
"""The logits of a gate that starts open: sigmoid(3) = 0.95 (ours; the sources give no value)."""

Normalize = Callable[[keras.layers.BatchNormalization, Any], Any]
"""A function (batch normalisation with its parameters, float [N, n]) -> float [N, n]."""

Multiply = Callable[[Any, Any], Any]
"""A function (float [..., n], kernel [n, m]) -> their product, float [..., m]."""


def weight_seed(seed: int, name: str) -> int:
    """The seed of the weights with a name: it doesn't depend on the order in which weights are made."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:4], "big") >> 1


def l2_regularizer(l2: float) -> keras.regularizers.Regularizer | None:
    """l2 times the squared norm (not half of it), or None for 0."""
    return keras.regularizers.L2(l2) if l2 > 0.0 else None


@keras.saving.register_keras_serializable(package="cineaffect")
class ContextGate(keras.layers.Layer):
    """Context gate: y = x * sigmoid(g(x W)), float [..., n] -> float [..., n].

    W is n x n, drawn from N(0, 1/sqrt(n)). With batch normalisation g is that (centre and scale) and there is no bias;
    without it g adds a bias. Source: Miech, Laptev, Sivic, "Learnable pooling with Context Gating for video
    classification" (2017), and the LOUPE code.

    Args:
        batch_normalization: whether g is a batch normalisation.
        open_at_start: whether g's offset starts at `OPEN_LOGIT` instead of 0. A gate only shrinks its input, so one
            behind probabilities would halve them at first.
        l2: weight of the squared norm of W.
        seed: seed of W.
    """

    def __init__(
        self,
        batch_normalization: bool = False,
        open_at_start: bool = False,
        l2: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.batch_normalization = batch_normalization
        self.open_at_start = open_at_start
        self.l2 = l2
        self.seed = seed
        self.normalization: keras.layers.BatchNormalization | None = None
        if batch_normalization:
            self.normalization = keras.layers.BatchNormalization(
                beta_initializer=self._offset_initializer(), dtype=self.dtype_policy, name="normalization"
            )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates W, and the bias or the batch normalisation; `input_shape` ends with n."""
        size = int(input_shape[-1])  # type: ignore[arg-type]
        self.kernel = self.add_weight(
            shape=(size, size),
            initializer=keras.initializers.RandomNormal(stddev=1.0 / math.sqrt(size), seed=self.seed),
            regularizer=l2_regularizer(self.l2),
            name="kernel",
        )
        self.bias = None
        if self.normalization is None:
            self.bias = self.add_weight(shape=(size,), initializer=self._offset_initializer(), name="bias")
        else:
            self.normalization.build(tuple(input_shape))

    def call(
        self, x: Any, training: bool = False, normalize: Normalize | None = None, multiply: Multiply = ops.matmul
    ) -> Any:
        """Gates x, float [..., n].

        Args:
            x: float [..., n].
            training: whether statistics are the batch's or the population's.
            normalize: replaces the layer's batch normalisation, to use other statistics.
            multiply: computes the product of x and W.
        """
        logits = multiply(x, self.kernel)
        if self.normalization is None:
            logits = logits + self.bias
        elif normalize is not None:
            logits = normalize(self.normalization, logits)
        else:
            logits = self.normalization(logits, training=training)
        return x * ops.sigmoid(logits)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "batch_normalization": self.batch_normalization,
            "open_at_start": self.open_at_start,
            "l2": self.l2,
            "seed": self.seed,
        }

    def _offset_initializer(self) -> keras.initializers.Initializer:
        return keras.initializers.Constant(OPEN_LOGIT if self.open_at_start else 0.0)


@keras.saving.register_keras_serializable(package="cineaffect")
class MixtureOfExperts(keras.layers.Layer):
    """Mixture of logistic experts with a softmax gate, float [..., n] -> probabilities float [..., classes].

        p_c = sum over e <= E of softmax_{E+1}(G_c x)_e * sigmoid(w_ce . x + b_ce)

    The gating network has no bias, and its last slot is a dummy expert whose output is 0. Source: the `MoeModel` of
    YouTube-8M's starter code (Abu-El-Haija et al. 2016), where most of many classes are absent from a film.

    Args:
        classes: number of targets; 2, valence and arousal.
        experts: E, logistic experts per class.
        dummy_expert: whether there is a dummy expert; without it the softmax has E slots.
        l2: weight of the squared norm of both kernels.
        seed: seed of both kernels (Glorot uniform, as in that code).
    """

    def __init__(
        self,
        classes: int = 2,
        experts: int = 2,
        dummy_expert: bool = True,
        l2: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.classes = classes
        self.experts = experts
        self.dummy_expert = dummy_expert
        self.l2 = l2
        self.seed = seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the gating kernel [n, classes slots], the experts' [n, classes E] and their bias [classes E]."""
        size = int(input_shape[-1])  # type: ignore[arg-type]

        def kernel(name: str, outputs: int, seed_offset: int) -> Any:
            seed = None if self.seed is None else self.seed + seed_offset
            return self.add_weight(
                shape=(size, outputs),
                initializer=keras.initializers.GlorotUniform(seed=seed),
                regularizer=l2_regularizer(self.l2),
                name=name,
            )

        # A single expert has nobody to share with: it answers alone, and the layer is a logistic regression.
        self.gating_kernel = kernel("gating_kernel", self.classes * self._slots, 0) if self._slots > 1 else None
        self.expert_kernel = kernel("expert_kernel", self.classes * self.experts, 1)
        self.expert_bias = self.add_weight(
            shape=(self.classes * self.experts,), initializer="zeros", name="expert_bias"
        )

    @property
    def _slots(self) -> int:
        """The slots of a class's softmax."""
        return self.experts + int(self.dummy_expert)

    def start_at(self, p: Any) -> None:
        """Sets the biases so that an input of zeros gives p, float [classes], or as near to it as experts can."""
        answers = np.clip(np.asarray(p, np.float64) * self._slots / self.experts, 0.01, 0.99)
        self.expert_bias.assign(np.repeat(np.log(answers / (1.0 - answers)), self.experts))

    def call(self, x: Any, multiply: Multiply = ops.matmul) -> Any:
        """Mixes the experts' outputs for x, float [..., n]; `multiply` computes the products of x and the kernels."""
        leading = ops.shape(x)[:-1]
        answers = ops.reshape(
            multiply(x, self.expert_kernel) + self.expert_bias, (*leading, self.classes, self.experts)
        )
        if self.gating_kernel is None:
            return ops.sigmoid(answers)[..., 0]
        gating = ops.reshape(multiply(x, self.gating_kernel), (*leading, self.classes, self._slots))
        # The dummy expert takes part in the softmax; its output is 0, so it drops out of the sum.
        shares = ops.softmax(gating, axis=-1)[..., : self.experts]
        return ops.sum(shares * ops.sigmoid(answers), axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[..., n] -> [..., classes]."""
        return (*input_shape[:-1], self.classes)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "classes": self.classes,
            "experts": self.experts,
            "dummy_expert": self.dummy_expert,
            "l2": self.l2,
            "seed": self.seed,
        }
