"""Losses on probabilities: the paper's sigmoid cross entropy, and also squared error and concordance.

All take probabilities and targets in [0, 1] (labels, mapped linearly from their own range) and sum over valence and
arousal. Values and gradients are finite everywhere, also at 0, at 1 and for constants.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from trainer.foundation.distribution import replica_sum, replicas

EPSILON = 1e-6
"""Added to a probability before its logarithm: log(0) is not finite; log(p + e) and its gradient are."""

CCC_EPSILON = 1e-8
"""Added to the denominator of the concordance, which is 0 if prediction and target are the same constant."""


def batch_loss(kind: str, probabilities: Any, targets: Any, weights: Any) -> Any:
    """The loss of a batch, a float32 scalar.

    If several replicas share a batch, each returns a part of its loss; the parts add up to the loss of the batch.

    Args:
        kind: `cross_entropy`, `mse` or `ccc`.
        probabilities: float32 [N, 2], in [0, 1].
        targets: float32 [N, 2], in [0, 1].
        weights: float32 [N]; the weight of each row, 1 in sum. The concordance is that of the weighted batch as a
            whole, even if its rows are seconds of several windows.
    """
    if kind == "ccc":
        return concordance_loss(probabilities, targets, weights)
    losses = {"cross_entropy": cross_entropy, "mse": squared_error}[kind](probabilities, targets)
    return tf.reduce_sum(weights * losses)


def cross_entropy(probabilities: Any, targets: Any) -> Any:
    """Sigmoid cross entropy of probabilities: -(y log p + (1 - y) log(1 - p)), summed over the targets.

    Source: paper, section Regression Models ("multi-label sigmoid cross-entropy").

    Args:
        probabilities: float32 [B, 2], in [0, 1].
        targets: float32 [B, 2], in [0, 1].

    Returns:
        float32 [B]; finite for every p, including 0 and 1.
    """
    positive = targets * tf.math.log(probabilities + EPSILON)
    negative = (1.0 - targets) * tf.math.log(1.0 - probabilities + EPSILON)
    return -tf.reduce_sum(positive + negative, axis=-1)


def squared_error(probabilities: Any, targets: Any) -> Any:
    """The squared error (p - y)^2, summed over the targets; float32 [B, 2] each -> float32 [B]."""
    return tf.reduce_sum(tf.square(probabilities - targets), axis=-1)


def concordance_loss(probabilities: Any, targets: Any, weights: Any) -> Any:
    """One minus the concordance correlation coefficient over the batch, summed over the targets.

        CCC = 2 cov(p, y) / (var p + var y + (mean p - mean y)^2)

    Moments are weighted and central, so that nothing cancels. If prediction or target is constant the coefficient is 0;
    if both are the same constant, its gradient is 0 too. Several replicas compute the moments over all their rows, and
    each returns an equal part of the loss. Source: Lin 1989.

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
