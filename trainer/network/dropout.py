"""Dropout whose masks depend only on a seed that each step passes in, so that no generator's state must be kept.

`place` separates the uses of one step's seed. Masks are drawn by Philox: the same on every device (XLA, which no
training uses, draws others). Each of several replicas draws the mask of the whole batch and takes its own rows, so the
masks don't depend on the number of replicas.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras import ops

from trainer.foundation.distribution import replicas, rows_of_all

STATES, MODALITIES, FIRST_FEATURE = 0, 1 << 20, 1
"""The places: concatenated states, choice of modalities, and the inputs of modality i at `FIRST_FEATURE + i`."""

FIRST_LAYER, MOST_LAYERS = 1 << 21, 64
"""The place of layer l of modality i's encoder: `FIRST_LAYER + i MOST_LAYERS + l`."""


def dropout(x: Any, rate: float, mask_shape: Any, seed: Any, place: int) -> Any:
    """Inverted dropout: x, with a share of `rate` set to zero and the rest divided by 1 - rate.

    Args:
        x: float, any shape.
        rate: in [0, 1).
        mask_shape: shape of the mask, which is broadcast over x.
        seed: int [2]; the run's seed and the step's number.
        place: the place in the network.

    Raises:
        ValueError: if there is no seed.
    """
    kept = _uniform(mask_shape, seed, place) >= rate
    return x * ops.cast(kept, x.dtype) / (1.0 - rate)


def channel_dropout(x: Any, layer: int, *, rate: float, seed: Any, modality: int) -> Any:
    """Dropout of whole channels of an encoder's layer, float [B, L, F], for all seconds of a window alike."""
    return dropout(x, rate, (ops.shape(x)[0], 1, x.shape[-1]), seed, FIRST_LAYER + modality * MOST_LAYERS + layer)


def kept_modalities(windows: Any, modalities: int, rate: float, seed: Any) -> Any:
    """Whether each modality stays in each window, bool [windows, modalities].

    Each is left out independently with probability `rate`. If that would leave none, one stays, all with equal
    probability.

    Raises:
        ValueError: if there is no seed.
    """
    drawn = _uniform((windows, modalities), seed, MODALITIES)
    # The modality with the largest draw: if all draws lie below the rate, this one stays; else it stays anyway.
    largest = tf.one_hot(tf.argmax(drawn, axis=1), modalities, on_value=True, off_value=False, dtype=tf.bool)
    return (drawn >= rate) | largest


def _uniform(shape: Any, seed: Any, place: int) -> Any:
    if seed is None:
        raise ValueError("training with dropout needs dropout_seed, int [2]: the run's seed and the step's number")
    folded = tf.random.experimental.stateless_fold_in(tf.cast(seed, tf.int32), place)
    if replicas() == 1:
        return tf.random.stateless_uniform(shape, folded, alg="philox")
    rows, *further = shape if isinstance(shape, (tuple, list)) else tf.unstack(shape)
    rows_in_all, before = rows_of_all(rows)
    drawn = tf.random.stateless_uniform([rows_in_all, *further], folded, alg="philox")
    return drawn[before : before + rows]
