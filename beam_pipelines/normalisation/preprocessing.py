"""The tf.Transform preprocessing function that the `prepare` section configures.

Statistics cover only the present slots of the given rows: a second without a face says nothing about faces. An absent
slot becomes zeros, the mean of the present ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf
import tensorflow_transform as tft

from beam_pipelines.contracts.records.feature_track import PRESENT_SUFFIX
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.normalisation.config import PrepareConfig

_SMALLEST_DEVIATION = 1e-6
_PCA_GRID = 2.0**16


def preprocessing(
    config: PrepareConfig, dimensions: Mapping[str, int], slots: Mapping[str, int]
) -> Callable[[Mapping[str, tf.Tensor]], dict[str, tf.Tensor]]:
    """The preprocessing function for tf.Transform.

    Args:
        config: the prepare section.
        dimensions: modality -> width of its raw rows.
        slots: modality -> slots per second.

    Returns:
        A function from `{modality: float32 [N, D], <modality>_present: float32 [N, slots]}` to
        `{modality: float32 [N, D']}`: per slot the z-score, cut at `clip`, then, if configured, principal components.

    Raises:
        ConfigurationError: if components are set for an absent modality, or more of them than a slot has dimensions.
    """
    for modality, components in config.pca_components.items():
        width = dimensions.get(modality, 0) // slots.get(modality, 1)
        if not 1 <= components <= width:
            raise ConfigurationError(
                f"prepare.pca_components.{modality}: {components} components of {width} dimensions a slot "
                f"(the records hold {', '.join(sorted(dimensions))})"
            )

    def preprocessing_fn(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        outputs = {}
        for modality in sorted(dimensions):
            present = inputs[modality + PRESENT_SUFFIX]
            parts = tf.split(inputs[modality], slots[modality], axis=1)
            masks = tf.split(present, slots[modality], axis=1)
            components = config.pca_components.get(modality)
            outputs[modality] = tf.concat(
                [
                    _normalise(slot, mask, components, config, f"{modality}_{index}")
                    for index, (slot, mask) in enumerate(zip(parts, masks, strict=True))
                ],
                axis=1,
            )
        return outputs

    return preprocessing_fn


def _normalise(slot: tf.Tensor, mask: tf.Tensor, components: int | None, config: PrepareConfig, name: str) -> tf.Tensor:
    """One slot's rows float32 [N, D] and its presence [N, 1] -> float32 [N, D'], zero where absent."""
    # One damaged value would spoil the statistics of the whole set: it counts as absent.
    finite = tf.reduce_all(tf.math.is_finite(slot), axis=1, keepdims=True)
    here = tf.logical_and(mask > 0, finite)
    rows = tf.where(here, slot, tf.zeros_like(slot))
    weights = tf.cast(here, tf.float64)
    standardised = _cut(_standardise(rows, weights, name), config.clip)
    if components is None:
        return standardised
    projection = tft.pca(tf.cast(standardised, tf.float64), components, tf.float64, name=f"{name}_pca")
    # Rounded, so that the order in which workers add up the covariance doesn't change the last digits.
    projection = tf.cast(tf.round(projection * _PCA_GRID) / _PCA_GRID, tf.float32)
    projected = tf.matmul(standardised, projection)
    if not config.pca_whiten:
        return projected  # no z-scores: the first components are large
    return _cut(_standardise(projected, weights, f"{name}_projected"), config.clip)


def _cut(scores: tf.Tensor, limit: float | None) -> tf.Tensor:
    return scores if limit is None else tf.clip_by_value(scores, -limit, limit)


def _standardise(rows: tf.Tensor, weights: tf.Tensor, name: str) -> tf.Tensor:
    """(x - mean) / deviation with statistics over the rows of weight 1; rows of weight 0 become zero.

    It takes two passes in float64: the sum of squares about the mean doesn't cancel as the difference of two sums does.
    """
    exact = tf.cast(rows, tf.float64)
    count = tf.maximum(tft.sum(weights, False, name=f"{name}_count"), 1.0)
    mean = tft.sum(exact * weights, False, name=f"{name}_mean") / count
    variance = tft.sum(tf.square(exact - mean) * weights, False, name=f"{name}_variance") / count
    deviation = tf.sqrt(variance)
    # A constant dimension carries no information: it becomes zero, without a division by zero.
    scale = tf.where(deviation > _SMALLEST_DEVIATION, 1.0 / deviation, tf.zeros_like(deviation))
    centred = (rows - tf.cast(mean, tf.float32)) * tf.cast(scale, tf.float32)
    return centred * tf.cast(weights, tf.float32)
