"""How much each second counts in the loss, by how near its raters are to each other (ours)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from beam_pipelines.foundation.errors import ConfigurationError
from trainer.data.dataset import TrainingFilm


def agreement_weights(films: Sequence[TrainingFilm]) -> np.ndarray:
    """The weights of all seconds, one film after another, float32 [R]; their mean over labelled seconds is 1.

    With s a second's standard deviation, the mean of its targets', and m the root mean square of s over the films, the
    weight is in proportion to 1 / (1 + (s / m)^2). A second of which it isn't known counts as one with s = m.

    Raises:
        ConfigurationError: if no film's labels have several raters or their deviation.
    """
    apart = np.concatenate([_deviation(film) for film in films])
    known = np.concatenate([film.known for film in films])
    there = known & np.isfinite(apart)
    if not there.any():
        raise ConfigurationError(
            "train.weigh_by_agreement: no training film's labels have several raters or their standard deviation; "
            "leave the key out, or name the raters in train.labels.table"
        )
    square = float(np.mean(apart[there] ** 2))
    ratio = np.divide(apart**2, square, out=np.ones_like(apart), where=there & (square > 0.0))
    weights = 1.0 / (1.0 + ratio)
    return (weights / weights[known].mean()).astype(np.float32)


def _deviation(film: TrainingFilm) -> np.ndarray:
    if film.deviation is None:
        return np.full(film.seconds, np.nan)
    return np.asarray(film.deviation, np.float64).mean(axis=1)
