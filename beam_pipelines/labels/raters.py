"""Several raters of one film: brought to one scale, fused to one label, and how far apart they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.labels.table_config import RatersConfig

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ratings:
    """What every rater gave in every second.

    Attributes:
        raters: their names, R of them, sorted.
        values: float [T, R, targets], in the labels' range; NaN where a rater has none.
    """

    raters: tuple[str, ...]
    values: NDArray[np.floating]


def standardised(values: Floats) -> Floats:
    """The raters brought to one mean and deviation, float64 [T, R]: those of all of them, on average.

    A rater who gave one value throughout is moved to the common mean, one who gave none is left out.
    """
    rated = ~np.isnan(values).all(axis=0)
    moved = values.copy()
    if not rated.any():
        return moved
    own = values[:, rated]
    means, deviations = np.nanmean(own, axis=0), np.nanstd(own, axis=0)
    # The mean of equal values may miss them by a rounding, which must not be blown up to a common deviation.
    deviations[np.nanmax(own, axis=0) == np.nanmin(own, axis=0)] = 0.0
    scale = np.divide(np.mean(deviations), deviations, out=np.zeros_like(deviations), where=deviations > 0.0)
    moved[:, rated] = np.mean(means) + (own - means) * scale
    return moved


def evaluator_weights(values: Floats) -> Floats:
    """The weight of every rater, float64 [R]: the correlation with the mean of all raters, 0 where it is negative.

    Source: Grimm and Kroschel 2005, Evaluation of natural emotions using self assessment manikins.

    Args:
        values: float64 [T, R], NaN where a rater has none.
    """
    known = ~np.isnan(values)
    mean = row_means(values)
    weights = np.zeros(values.shape[1])
    for rater in range(values.shape[1]):
        own, all_ = values[known[:, rater], rater], mean[known[:, rater]]
        if len(own) > 1 and np.ptp(own) > 0.0 and np.ptp(all_) > 0.0:
            weights[rater] = max(0.0, float(np.corrcoef(own, all_)[0, 1]))
    return weights


def fused(values: Floats, config: RatersConfig) -> Floats:
    """The label of every second, float64 [T]: the raters' mean, weighted as configured; NaN with too few of them.

    Args:
        values: float64 [T, R], NaN where a rater has none.
        config: how raters are fused.

    Raises:
        ValueError: if no rater correlates with the mean of all, so that none has a weight.
    """
    known = ~np.isnan(values)
    weights = np.ones(values.shape[1])
    if config.fusion == "ewe" and values.shape[1] > 1:
        weights = evaluator_weights(values)
        if not weights.any():
            raise ValueError("no rater correlates with the mean of all, so none has a weight; set raters.fusion: mean")
    total = known @ weights
    enough = (known.sum(axis=1) >= config.least) & (total > 0.0)
    sums = np.where(known, values, 0.0) @ weights
    label: Floats = np.divide(sums, total, out=np.full(len(values), np.nan), where=enough)
    return label


def disagreement(values: Floats) -> Floats:
    """The raters' sample standard deviation in every second, float64 [T]; NaN where fewer than two have a value."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    apart = np.where(known, values - row_means(values)[:, None], 0.0)
    several = count > 1
    variance = np.divide((apart**2).sum(axis=1), count - 1, out=np.full(len(values), np.nan), where=several)
    deviation: Floats = np.sqrt(variance)
    return deviation


def others_mean(values: Floats, rater: int) -> Floats:
    """The mean of all other raters in every second, float64 [T]; NaN where there is none."""
    return row_means(np.delete(values, rater, axis=1))


def row_means(values: Floats) -> Floats:
    """The mean over the raters of every second, float64 [T, R] -> [T]; NaN where there is none."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    sums = np.where(known, values, 0.0).sum(axis=1)
    means: Floats = np.divide(sums, count, out=np.full(len(values), np.nan), where=count > 0)
    return means


def stacked(columns: Sequence[Floats]) -> Floats:
    """Raters' seconds of different lengths as one array, float64 [T, R], NaN after the end of each."""
    seconds = max((len(column) for column in columns), default=0)
    padded = [np.pad(column, (0, seconds - len(column)), constant_values=np.nan) for column in columns]
    return np.stack(padded, axis=1) if padded else np.zeros((0, 0))
