"""One optimisation step as a graph: gather windows on the device, predict, compute the loss, apply Adam.

On several devices or workers each replica does so for its share of the batch. Gradients are summed before their norm is
computed, so clipping, float16's test for an overflow and the update are those of one device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.data.windows import WindowTable, gather_windows, window_positions
from trainer.foundation.config import TrainConfig
from trainer.foundation.distribution import copies, own_share, replica_sum, replicas
from trainer.network.model import AffectModel
from trainer.training.checkpoints import TrainingState
from trainer.training.losses import batch_loss


def make_optimizer(config: TrainConfig) -> keras.optimizers.Optimizer:
    """Adam (paper); for float16 with a dynamic loss scale.

    Small gradients become zero in float16, so the loss is multiplied by the scale and the gradients are divided by it.
    A step whose gradients overflow is skipped, and the scale halved. The scale is one of the optimizer's variables, so
    the checkpoint holds it.
    """
    adam = _AdamOnSums(config.learning_rate, name="adam")
    return keras.optimizers.LossScaleOptimizer(adam) if config.precision == "mixed_float16" else adam


class _AdamOnSums(keras.optimizers.Adam):
    """Adam for gradients that are already summed over the replicas: it doesn't sum them again."""

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        return list(grads_and_vars)


def make_step(
    model: AffectModel,
    optimizer: keras.optimizers.Optimizer,
    table: WindowTable,
    state: TrainingState,
    config: TrainConfig,
    strategy: Any = None,
) -> Callable[[np.ndarray, np.ndarray], None]:
    """Makes the step, a function (ends int32 [B], dropout seed int32 [2]) -> None. Every worker passes the whole batch.

    It changes weights and optimizer, adds the batch's loss times B to `state.loss_sum`, and the norm of its gradients,
    before clipping, to `state.gradient_norm_sum` (0 for a step that loss scaling skipped).

    Args:
        model: the model, built in the scope of `strategy`.
        optimizer: from `make_optimizer`, built in the same scope.
        table: the training films.
        state: holds the sums.
        config: the train section.
        strategy: distributes the batch; None for one device.
    """
    strategy = strategy or tf.distribute.get_strategy()
    supervise = supervise_windows if config.sequence_loss else supervise_last
    span = config.labels.maximum - config.labels.minimum
    targets = (table.labels - config.labels.minimum) / span
    bounds = {"row_start": table.row_start, "row_stop": table.row_stop}
    weighted = {} if table.weights is None else {"weights": tf.constant(table.weights)}
    data = copies(strategy, {**bounds, "targets": targets, "known": tf.constant(table.known), **weighted})
    films = copies(strategy, table.rows)
    variables, window_s = model.trainable_variables, config.model.window_s
    before, after = model.window_rows(config.sequence_loss)

    def step_of_replica(batch: Any, seed: Any, data: Any, films: Any) -> tuple[Any, Any]:
        windows = tf.shape(batch)[0]
        ends = own_share(batch)
        starts, stops = (tf.gather(data[key], ends) for key in bounds)
        inputs = {key: gather_windows(rows, ends, starts, stops, before, after) for key, rows in films.items()}
        seconds, rows, weights = supervise(ends, starts, data["known"], window_s, windows)
        if weighted:
            weights *= tf.gather(data["weights"], rows)
        with tf.GradientTape() as tape:
            probabilities = model(inputs, training=True, dropout_seed=seed, seconds=seconds)
            data_loss = batch_loss(config.loss, probabilities, tf.gather(data["targets"], rows), weights)
            scaled = optimizer.scale_loss(data_loss + model.l2_loss() / replicas())
        gradients = replica_sum(tape.gradient(scaled, variables))
        norm = _apply(optimizer, gradients, variables, config.gradient_clip_norm)
        return tf.cast(replica_sum(data_loss), tf.float64) * tf.cast(windows, tf.float64), tf.cast(norm, tf.float64)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32), tf.TensorSpec([2], tf.int32)], autograph=False)
    def step_of_all(batch: Any, seed: Any) -> tuple[Any, Any]:
        loss, norm = strategy.run(step_of_replica, args=(batch, seed, data, films))
        return strategy.experimental_local_results(loss)[0], strategy.experimental_local_results(norm)[0]

    def step(batch: np.ndarray, seed: np.ndarray) -> None:
        loss, norm = step_of_all(batch, seed)
        state.loss_sum.assign_add(loss)
        state.gradient_norm_sum.assign_add(norm)

    return step


def supervise_last(ends: Any, starts: Any, known: Any, window_s: int, windows: Any) -> tuple[Any, Any, Any]:
    """Sequence to one: no selection of seconds, the last row of each window, weights float32 [B], 1 / `windows` each.

    `windows`, int32, is the number of windows of the whole batch; `ends` may be a replica's share of it.
    """
    return None, ends, tf.ones_like(ends, tf.float32) / tf.cast(windows, tf.float32)


def supervise_windows(ends: Any, starts: Any, known: Any, window_s: int, windows: Any) -> tuple[Any, Any, Any]:
    """Sequence to sequence: all labelled seconds, bool [B, W], their rows and weights [N]; windows have equal weights.

    `windows`, int32, is the number of windows of the whole batch; `ends` may be a replica's share of it.
    """
    position, inside = window_positions(ends, starts, ends + 1, window_s - 1)
    seconds = inside & tf.gather(known, tf.where(inside, position, starts[:, None]))
    share = tf.cast(seconds, tf.float32)
    weights = share / (tf.reduce_sum(share, axis=1, keepdims=True) * tf.cast(windows, tf.float32))
    return seconds, tf.boolean_mask(position, seconds), tf.boolean_mask(weights, seconds)


def _apply(optimizer: keras.optimizers.Optimizer, gradients: Any, variables: Any, clip_norm: float) -> Any:
    """Clips and applies gradients (scaled ones if the optimizer scales); returns the norm of the unscaled ones."""
    norm, scale = tf.linalg.global_norm(gradients), 1.0
    scaling = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if scaling:
        scale = tf.convert_to_tensor(optimizer.dynamic_scale)
    if clip_norm > 0.0:
        # An overflow is kept: with an infinite norm all gradients become NaN, and the optimizer skips the step.
        gradients, _ = tf.clip_by_global_norm(gradients, clip_norm * scale, use_norm=norm)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return tf.where(tf.math.is_finite(norm), norm / scale, 0.0) if scaling else norm
