"""Two predictors on the same films: their differences film by film, an interval, and one-sided tests.

A film is one observation, since its seconds depend on each other. All arrays have their films on the last axis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

from trainer.evaluation import metrics

Figure = Literal["mse", "pcc", "ccc"]
Series = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""The predictions and labels of each film's labelled seconds, [N, targets] each."""

_FLIPS = 9999
"""Up to 13 films have fewer assignments of signs, and all of them are counted."""


def film_figures(series: Series, figure: Figure) -> np.ndarray:
    """The figure of each film, mean of all targets, float64 [films], sorted by film id.

    A correlation that is undefined, since a series is constant, counts as 0.
    """
    function = getattr(metrics, figure)
    each = [
        [function(predicted[:, column], true[:, column]) for column in range(true.shape[1])]
        for _, (predicted, true) in sorted(series.items())
    ]
    return np.nan_to_num(np.array(each)).mean(axis=1)


def p_value(gains: np.ndarray, figure: Figure, margin: float = 0.0) -> np.ndarray:
    """The chance of a mean gain at least as large as that of `gains` if the true one were `margin`; one-sided.

    For MSE it is that of Student's t of the paired differences. For PCC and CCC, which are bounded and skewed, that of
    the signs of the differences: all assignments of signs are counted, or 9,999 drawn ones above 13 films.

    Args:
        gains: by how much one predictor is better than the other, float [..., films], at least two films.
        figure: the figure that they are differences of.
        margin: the gain to exceed.
    """
    from scipy import stats  # here, for whoever reads a configuration compares nothing

    beyond = np.asarray(gains, np.float64) - margin
    if figure == "mse":
        mean, error = beyond.mean(axis=-1), _standard_error(beyond)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(error > 0, mean / error, np.where(mean > 0, np.inf, -np.inf))
        return np.asarray(stats.t.sf(t, beyond.shape[-1] - 1))
    found = stats.permutation_test(
        (beyond,), np.mean, permutation_type="samples", n_resamples=_FLIPS, alternative="greater", axis=-1, rng=0
    )
    return np.asarray(found.pvalue)


def interval(differences: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided interval of the mean of some differences [films], by Student's t; infinite for fewer than two."""
    from scipy import stats

    films = len(differences)
    if films < 2:
        return -math.inf, math.inf
    mean, error = float(np.mean(differences)), float(_standard_error(np.asarray(differences, np.float64)))
    half = float(stats.t.ppf((1.0 + confidence) / 2.0, films - 1)) * error
    return mean - half, mean + half


def _standard_error(values: np.ndarray) -> np.ndarray:
    return np.asarray(values.std(axis=-1, ddof=1) / math.sqrt(values.shape[-1]))
