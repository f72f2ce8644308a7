"""One optimisation step as a graph: gather windows on the device, predict, take the loss, apply Adam."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.checkpoints import TrainingState
from trainer.config import TrainConfig
from trainer.losses import batch_loss
from trainer.model import AffectModel
from trainer.windows import WindowTable, gather_windows, window_positions


def make_optimizer(config: TrainConfig) -> keras.optimizers.Optimizer:
    """Adam (paper); with float16 under a loss scale that follows the gradients.

    Small gradients are zero in float16, so the loss is made larger by the scale and the gradients are divided by it
    again. A step whose gradients overflow is left out, and the scale halved. The scale lies in the optimizer's
    variables, and so in the checkpoint.
    """
    adam = keras.optimizers.Adam(config.learning_rate)
    return keras.optimizers.LossScaleOptimizer(adam) if config.precision == "mixed_float16" else adam


def make_step(
    model: AffectModel,
    optimizer: keras.optimizers.Optimizer,
    table: WindowTable,
    state: TrainingState,
    config: TrainConfig,
) -> Callable[[np.ndarray, np.ndarray], Any]:
    """The step: (ends int32 [B], dropout seed int32 [2]) -> None.

    It changes weights and optimizer, adds the batch's loss times B to `state.loss_sum`, and the norm of its gradients,
    before clipping, to `state.gradient_norm_sum` (0 for a step that loss scaling left out).
    """
    supervise = supervise_windows if config.sequence_loss else supervise_last
    span = config.labels.maximum - config.labels.minimum
    targets = (table.labels - config.labels.minimum) / span
    known = tf.constant(table.known)
    variables = model.trainable_variables

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32), tf.TensorSpec([2], tf.int32)])
    def step(ends: Any, seed: Any) -> None:
        starts = tf.gather(table.row_start, ends)
        inputs = {key: gather_windows(rows, ends, starts, config.model.window_s) for key, rows in table.rows.items()}
        seconds, rows, weights = supervise(ends, starts, known, config.model.window_s)
        with tf.GradientTape() as tape:
            probabilities = model(inputs, training=True, dropout_seed=seed, seconds=seconds)
            data_loss = batch_loss(config.loss, probabilities, tf.gather(targets, rows), weights)
            scaled = optimizer.scale_loss(data_loss + model.l2_loss())
        norm = _apply(optimizer, tape.gradient(scaled, variables), variables, config.gradient_clip_norm)
        windows = tf.cast(tf.shape(ends)[0], tf.float64)
        state.loss_sum.assign_add(tf.cast(data_loss, tf.float64) * windows)
        state.gradient_norm_sum.assign_add(tf.cast(norm, tf.float64))

    return step


def supervise_last(ends: Any, starts: Any, known: Any, window_s: int) -> tuple[Any, Any, Any]:
    """Sequence to one: no selection of seconds, the last row of each window, equal weights float32 [B]."""
    return None, ends, tf.ones_like(ends, tf.float32) / tf.cast(tf.shape(ends)[0], tf.float32)


def supervise_windows(ends: Any, starts: Any, known: Any, window_s: int) -> tuple[Any, Any, Any]:
    """Sequence to sequence: all labelled seconds, bool [B, W], their rows and weights [N]; each window counts alike."""
    position, inside = window_positions(ends, starts, window_s)
    seconds = inside & tf.gather(known, tf.where(inside, position, starts[:, None]))
    share = tf.cast(seconds, tf.float32)
    weights = share / (tf.reduce_sum(share, axis=1, keepdims=True) * tf.cast(tf.shape(ends)[0], tf.float32))
    return seconds, tf.boolean_mask(position, seconds), tf.boolean_mask(weights, seconds)


def _apply(optimizer: keras.optimizers.Optimizer, gradients: Any, variables: Any, clip_norm: float) -> Any:
    """Clips and applies gradients, scaled ones where the optimizer scales; returns the norm of the unscaled ones."""
    norm, scale = tf.linalg.global_norm(gradients), 1.0
    scaling = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if scaling:
        scale = tf.convert_to_tensor(optimizer.dynamic_scale)
    if clip_norm > 0.0:
        # An overflow stays one: with an infinite norm all gradients become NaN, and the optimizer leaves the step out.
        gradients, _ = tf.clip_by_global_norm(gradients, clip_norm * scale, use_norm=norm)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return tf.where(tf.math.is_finite(norm), norm / scale, 0.0) if scaling else norm
