"""Statistics of paired figures over a few runs: a t test, Holm, block bootstrap, circular shifts, detectable effect.

Curves and labels of a run are float64 [T] of one target.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from trainer.evaluation.metrics import ccc, mse, pcc

Figure = Callable[[np.ndarray, np.ndarray], float]
"""(curve, labels) -> figure."""


def rmse(predicted: np.ndarray, true: np.ndarray) -> float:
    """The root of the mean squared difference."""
    return math.sqrt(mse(predicted, true))


FIGURES: Mapping[str, Figure] = {"pcc": pcc, "rmse": rmse, "ccc": ccc}
LOWER_IS_BETTER = ("rmse",)


@dataclass(frozen=True)
class Difference:
    """How much better one arm is than another.

    Attributes:
        mean, sd: over the runs; positive is better, for RMSE too.
        p_value: one-sided, of the paired t test; this and `sd` are NaN for a single run.
    """

    mean: float
    sd: float
    p_value: float


def difference(ours: Sequence[float], theirs: Sequence[float], figure: str) -> Difference:
    """The paired differences of two arms' figures of the same runs."""
    sign = -1.0 if figure in LOWER_IS_BETTER else 1.0
    found = sign * (np.asarray(ours) - np.asarray(theirs))
    if len(found) < 2:
        return Difference(float(found.mean()), math.nan, math.nan)
    sd = float(found.std(ddof=1))
    if sd == 0.0:
        return Difference(float(found.mean()), sd, 0.0 if found.mean() > 0.0 else 1.0)
    return Difference(float(found.mean()), sd, float(stats.ttest_1samp(found, 0.0, alternative="greater").pvalue))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's adjusted p values: name -> the level at which this hypothesis would just be rejected beside the others."""
    ordered, adjusted, least = sorted(p_values, key=lambda name: p_values[name]), {}, 0.0
    for place, name in enumerate(ordered):
        least = max(least, min(1.0, (len(ordered) - place) * p_values[name]))
        adjusted[name] = least
    return adjusted


def detectable_effect(runs: int, level: float, power: float) -> float:
    """The true mean difference, in standard deviations, that a one-sided t test over so many runs finds so often."""
    critical = stats.t.ppf(1.0 - level, runs - 1)

    def missing(effect: float) -> float:
        return float(stats.nct.sf(critical, runs - 1, effect * math.sqrt(runs)) - power)

    return float(optimize.brentq(missing, 1e-6, 20.0))


def block_interval(
    ours: Sequence[np.ndarray],
    theirs: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    figure: str,
    *,
    block_s: int = 120,
    draws: int = 2000,
    share: float = 0.9,
    seed: int = 1,
) -> tuple[float, float]:
    """The interval of the mean difference over the runs, from blocks of seconds drawn within each run.

    Blocks begin anywhere and go on at the run's beginning (circular block bootstrap, Politis and Romano 1992); both
    arms get the same blocks.

    Args:
        ours, theirs: the two arms' curves of each run.
        labels: of each run.
        figure: a name of `FIGURES`.
        block_s: the length of a block.
        draws: how often all runs are drawn.
        share: of the draws within the interval.
        seed: of the draws.
    """
    generator, found = np.random.default_rng(seed), np.zeros(draws)
    sign = -1.0 if figure in LOWER_IS_BETTER else 1.0
    for our, their, true in zip(ours, theirs, labels, strict=True):
        length = len(true)
        for draw in range(draws):
            starts = generator.integers(0, length, -(-length // block_s))
            rows = ((starts[:, None] + np.arange(block_s)) % length).ravel()[:length]
            one, other = FIGURES[figure](our[rows], true[rows]), FIGURES[figure](their[rows], true[rows])
            found[draw] += sign * (one - other) / len(labels)
    low, high = np.nanquantile(found, [(1.0 - share) / 2.0, (1.0 + share) / 2.0])
    return float(low), float(high)


def shift_null(
    curves: Sequence[np.ndarray], labels: Sequence[np.ndarray], *, least_s: int = 60, draws: int = 2000, seed: int = 1
) -> np.ndarray:
    """The mean PCC over the runs where each run's labels are shifted circularly at random, float64 [draws].

    It keeps both series as slow as they are, which is why they correlate by chance.
    """
    generator, found = np.random.default_rng(seed), np.zeros(draws)
    for curve, true in zip(curves, labels, strict=True):
        shifts = generator.integers(least_s, len(true) - least_s + 1, draws)
        found += np.array([pcc(curve, np.roll(true, shift)) for shift in shifts]) / len(labels)
    return found


def drawn_out(curve: np.ndarray, width: float, label_range: tuple[float, float] = (-1.0, 1.0)) -> np.ndarray:
    """Curves [T, …], `width` times as wide about their mean over time, within the labels' range."""
    mean = curve.mean(axis=0)
    return np.clip(mean + width * (curve - mean), *label_range)
