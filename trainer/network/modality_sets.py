"""Predictions of whole films as if only some of their modalities were there: what Shapley values are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.network.model import AffectModel


def predict_sets(
    model: AffectModel, inputs: Mapping[str, Any], row_start: tf.Tensor, sets: np.ndarray, ends: tf.Tensor, block: Any
) -> tf.Tensor:
    """Predicts some rows of whole films for each set of modalities, float [S, N, targets]; see `predict_rows`.

    The others are absent, zeros with presence 0, in all seconds and, as ever, before and after the film. So the state
    of an absent modality is the same everywhere: one row of zeros gives it, and every encoder runs once over the film.

    Args:
        model: the network.
        inputs, row_start, ends, block: as for `AffectModel.predict_rows`.
        sets: bool [S, modalities], in the model's order.
    """
    row_start, ends = tf.cast(row_start, tf.int32), tf.cast(ends, tf.int32)
    present = model.states(inputs, row_start, ends, block)
    nothing = {key: tf.zeros((1, spec.shape[1]), spec.dtype) for key, spec in model.row_signature().items()}
    first = tf.zeros((1,), tf.int32)
    absent = model.states(nothing, first, first, 1)[:1]
    kept = np.repeat(sets, [encoder.state_size for encoder in model.encoders], axis=1)
    return tf.map_fn(
        lambda here: model.fuse(tf.where(here, present, absent), row_start, ends, tf.cast(block, tf.int32)),
        tf.constant(kept),
        parallel_iterations=1,  # each holds a copy of the film's states
        fn_output_signature=tf.TensorSpec((None, len(model.targets)), model.variable_dtype),
    )
