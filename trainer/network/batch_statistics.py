"""Batch normalisation with the statistics of one film: contract 2's "batch".

The paper normalised with batch statistics at inference too, and found that it helped valence. A prediction then depends
on its batch; here that is all windows of the one film, so that a film's curve never depends on what else is scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

FEWEST_WINDOWS = 30
"""Below so many windows a film's statistics say too little, and the population's are taken (contract 2)."""


@dataclass(frozen=True, eq=False)
class FilmBatches:
    """Which film each of N windows belongs to.

    Attributes:
        index: int32 [N]; number of the window's film.
        windows: float64 [films]; windows of each film.
    """

    index: Any
    windows: Any

    @classmethod
    def of(cls, films: Any) -> FilmBatches:
        """From any integer a film, [N]; windows of one film have the same, wherever they stand."""
        unique, index = tf.unique(films)
        ones = tf.ones(tf.shape(index), tf.float64)
        return cls(index, tf.math.unsorted_segment_sum(ones, index, tf.size(unique)))

    def normalize(self, layer: Any, x: Any) -> Any:
        """Batch normalisation of x, float [N, n], by each film's own mean and variance.

            y = gamma (x - m) / sqrt(v + epsilon) + beta

        m and v are the mean and the (biased) variance over the film's windows, as Keras takes them over a batch in
        training; for a film of fewer than `FEWEST_WINDOWS` windows they are the layer's moving averages.

        Args:
            layer: a built `keras.layers.BatchNormalization` with centre and scale.
            x: float [N, n].
        """
        # In double precision and in two passes: a film has thousands of windows, and its sums must not drift.
        wide, count = tf.cast(x, tf.float64), self.windows[:, None]
        mean = self._sum(wide) / count
        variance = self._sum(tf.square(wide - tf.gather(mean, self.index))) / count
        enough = count >= FEWEST_WINDOWS
        mean = tf.where(enough, mean, tf.cast(layer.moving_mean, tf.float64))
        variance = tf.where(enough, variance, tf.cast(layer.moving_variance, tf.float64))
        scale = tf.cast(layer.gamma, tf.float64) / tf.sqrt(variance + layer.epsilon)
        centred = wide - tf.gather(mean, self.index)
        return tf.cast(centred * tf.gather(scale, self.index) + tf.cast(layer.beta, tf.float64), x.dtype)

    def _sum(self, values: Any) -> Any:
        return tf.math.unsorted_segment_sum(values, self.index, tf.shape(self.windows)[0])
