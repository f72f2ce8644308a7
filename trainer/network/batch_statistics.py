"""Batch normalisation with statistics other than Keras's moving averages: a film's, or exactly the population's.

The statistics of one film are contract 2's "batch". The paper used batch statistics at inference too, and found that
this helped valence. A prediction then depends on its batch. Here the batch is all windows of one film, so that a film's
curve never depends on other films.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

FEWEST_WINDOWS = 30
"""A film with fewer windows than this takes the population's statistics (contract 2)."""


@dataclass(frozen=True, eq=False)
class FilmBatches:
    """The film of each of N windows.

    Attributes:
        index: int32 [N]; number of the window's film.
        windows: float64 [films]; number of windows of each film.
    """

    index: Any
    windows: Any

    @classmethod
    def of(cls, films: Any) -> FilmBatches:
        """Builds it from one integer per window, [N]; windows of one film have the same integer, in any order."""
        unique, index = tf.unique(films)
        ones = tf.ones(tf.shape(index), tf.float64)
        return cls(index, tf.math.unsorted_segment_sum(ones, index, tf.size(unique)))

    def normalize(self, layer: Any, x: Any) -> Any:
        """Batch normalisation of x, float [N, n], by each film's own mean and variance.

            y = gamma (x - m) / sqrt(v + epsilon) + beta

        m and v are the mean and the (biased) variance over the film's windows, as Keras computes them over a batch in
        training. For a film of fewer than `FEWEST_WINDOWS` windows they are the layer's moving averages.

        Args:
            layer: a built `keras.layers.BatchNormalization` with centre and scale.
            x: float [N, n].
        """
        # Double precision and two passes, since the sums over thousands of windows must not drift.
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


def set_population(layer: Any, x: Any) -> Any:
    """Makes mean and (biased) variance of x, float [N, n], the layer's population statistics; x normalised by them."""
    mean, variance = tf.nn.moments(tf.cast(x, tf.float64), axes=[0])
    layer.moving_mean.assign(tf.cast(mean, layer.moving_mean.dtype))
    layer.moving_variance.assign(tf.cast(variance, layer.moving_variance.dtype))
    return layer(x, training=False)
