"""Losses on probabilities: the paper's sigmoid cross entropy, and beside it squared error and concordance.

All take probabilities and targets in [0, 1] (labels in their own range, mapped linearly), sum over valence and arousal,
and are finite with finite gradients everywhere, 0, 1 and constants included.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from trainer.foundation.distribution import replica_sum, replicas

EPSILON = 1e-6
"""Added to a probability before its logarithm: log(0) is not finite, and the gradient of log(p + e) is."""

CCC_EPSILON = 1e-8
"""Added to the denominator of the concordance, which is 0 where prediction and target are the same constant."""


def batch_loss(kind: str, probabilities: Any, targets: Any, weights: Any) -> Any:
    """The loss of a batch, a float32 scalar.

    Several replicas that share a batch each give a part of its loss; the parts' sum is the loss of the whole.

    Args:
        kind: `cross_entropy`, `mse` or `ccc`.
        probabilities: float32 [N, 2], in [0, 1].
        targets: float32 [N, 2], in [0, 1].
        weights: float32 [N]; how much each counts, 1 in sum. For the concordance of several windows' seconds too: it is
            that of the weighted batch as a whole.
    """
    if kind == "ccc":
        return concordance_loss(probabilities, targets, weights)
    losses = {"cross_entropy": cross_entropy, "mse": squared_error}[kind](probabilities, targets)
    return tf.reduce_sum(weights * losses)


def cross_entropy(probabilities: Any, targets: Any) -> Any:
    """Sigmoid cross entropy, taken on probabilities: -(y log p + (1 - y) log(1 - p)), summed over the targets.

    Source: paper, section Regression Models ("multi-label sigmoid cross-entropy").

    Args:
        probabilities: float32 [B, 2], in [0, 1].
        targets: float32 [B, 2], in [0, 1].

    Returns:
        float32 [B]; finite for every p, 0 and 1 included.
    """
    positive = targets * tf.math.log(probabilities + EPSILON)
    negative = (1.0 - targets) * tf.math.log(1.0 - probabilities + EPSILON)
    return -tf.reduce_sum(positive + negative, axis=-1)


def squared_error(probabilities: Any, targets: Any) -> Any:
    """(p - y)^2, summed over the targets; float32 [B, 2] each -> float32 [B]."""
    return tf.reduce_sum(tf.square(probabilities - targets), axis=-1)


def concordance_loss(probabilities: Any, targets: Any, weights: Any) -> Any:
    """One minus the concordance correlation coefficient over the batch, summed over the targets.

        CCC = 2 cov(p, y) / (var p + var y + (mean p - mean y)^2)

    Moments are weighted and taken about the mean, so that nothing cancels. Where prediction or target is constant the
    coefficient is 0, and so, where both are the same constant, is its gradient. Several replicas take the moments over
    the rows of them all, and each gives an equal part of the loss. Source: Lin 1989.

    Args:
        probabilities: float32 [N, 2].
        targets: float32 [N, 2].
        weights: float32 [N], not negative, their sum not 0.

    Returns:
        float32 scalar in [0, 4].
    """
    share = (weights / replica_sum(tf.reduce_sum(weights)))[:, None]

    def mean(values: Any) -> Any:
        return replica_sum(tf.reduce_sum(share * values, axis=0))

    mean_p, mean_y = mean(probabilities), mean(targets)
    p, y = probabilities - mean_p, targets - mean_y
    spread = mean(tf.square(p)) + mean(tf.square(y)) + tf.square(mean_p - mean_y)
    return tf.reduce_sum(1.0 - 2.0 * mean(p * y) / (spread + CCC_EPSILON)) / replicas()
