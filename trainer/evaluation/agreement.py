"""How well the raters of a film agree, and which of them to look at."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from beam_pipelines.labels.raters import Ratings, others_mean
from trainer.evaluation.metrics import ccc, pcc

LONGEST_LAG_S = 10
LEAST_SECONDS = 10
"""Seconds in common below which two raters aren't compared."""


@dataclass(frozen=True)
class Agreement:
    """The agreement of a film's raters on one target.

    Attributes:
        film_id, target: of what.
        raters: how many rated it.
        seconds: how many seconds at least two of them rated.
        pcc, ccc: the mean over all pairs of raters; NaN where no pair has enough in common.
        alpha: Cronbach's alpha over the seconds that all rated: how reliable the mean of all is.
        findings: what to look at, a sentence each.
    """

    film_id: str
    target: str
    raters: int
    seconds: int
    pcc: float
    ccc: float
    alpha: float
    findings: tuple[str, ...]


def agreement(film_id: str, target: str, ratings: Ratings, place: int, dead_s: int) -> Agreement:
    """The agreement of a film's raters.

    Args:
        film_id: the film.
        target: the target's name.
        ratings: what they gave.
        place: the target's place in the values.
        dead_s: from how many seconds on an unchanged value is a dead stretch.
    """
    values = np.asarray(ratings.values[:, :, place], np.float64)
    there = [index for index in range(values.shape[1]) if np.isfinite(values[:, index]).any()]
    values, names = values[:, there], [ratings.raters[index] for index in there]
    pairs = [found for first, second in combinations(range(len(names)), 2) if (found := _common(values, first, second))]
    return Agreement(
        film_id,
        target,
        len(names),
        int((np.isfinite(values).sum(axis=1) > 1).sum()),
        _mean_of(pcc, pairs),
        _mean_of(ccc, pairs),
        cronbachs_alpha(values),
        tuple(finding for index, name in enumerate(names) for finding in _findings(values, index, name, dead_s)),
    )


def cronbachs_alpha(values: np.ndarray) -> float:
    """Cronbach's alpha, float64 [T, R], over the seconds that all raters have; NaN for fewer than two raters.

    R / (R - 1) (1 - sum of the raters' variances / variance of their sum). Source: Cronbach 1951.
    """
    whole = values[np.isfinite(values).all(axis=1)]
    count = values.shape[1]
    if count < 2 or len(whole) < 2:
        return math.nan
    total = float(whole.sum(axis=1).var(ddof=1))
    if total == 0.0:
        return math.nan
    return count / (count - 1) * (1.0 - float(whole.var(axis=0, ddof=1).sum()) / total)


def lag_s(own: np.ndarray, others: np.ndarray, longest_s: int = LONGEST_LAG_S) -> tuple[int, float]:
    """By how many seconds a rater [T] comes after the others [T], and the correlation there; NaN if nothing is defined.

    It is the shift of the highest correlation; of equal ones the shortest.
    """
    best, shift = -math.inf, 0
    for lag in sorted(range(-longest_s, longest_s + 1), key=abs):
        late, early = (own[lag:], others[: len(others) - lag]) if lag >= 0 else (own[:lag], others[-lag:])
        both = np.isfinite(late) & np.isfinite(early)
        if both.sum() >= LEAST_SECONDS:
            found = pcc(late[both], early[both])
            if found > best + 1e-9:
                best, shift = found, lag
    return shift, best if math.isfinite(best) else math.nan


def dead_stretches(own: np.ndarray, least_s: int) -> list[tuple[int, int]]:
    """The stretches [first, stop) of at least so many seconds in which a rater's value stays the same."""
    changes = np.flatnonzero(~(np.abs(np.diff(own)) <= 1e-9)) + 1  # NaN is a change
    edges = [0, *changes.tolist(), len(own)]
    return [(first, stop) for first, stop in pairwise(edges) if stop - first >= least_s and np.isfinite(own[first])]


def _findings(values: np.ndarray, index: int, name: str, dead_s: int) -> Iterator[str]:
    own, others = values[:, index], others_mean(values, index)
    known = own[np.isfinite(own)]
    if np.ptp(known) <= 1e-9:
        yield f"rater {name}: gave {known[0]:g} throughout; leave this rater out"
        return
    for first, stop in dead_stretches(own, dead_s):
        yield f"rater {name}: the same value from second {first} to {stop - 1}"
    both = np.isfinite(own) & np.isfinite(others)
    if both.sum() < LEAST_SECONDS:
        return
    at_once = pcc(own[both], others[both])
    shift, best = lag_s(own, others)
    if at_once < 0.0:
        yield f"rater {name}: runs against the others (PCC {at_once:.2f}); is the scale the other way round?"
    elif shift and best - at_once > 0.02:
        when = f"{abs(shift)} s {'after' if shift > 0 else 'before'} the others"
        yield f"rater {name}: {when} (PCC {at_once:.2f}, {best:.2f} when moved)"


def _common(values: np.ndarray, first: int, second: int) -> tuple[np.ndarray, np.ndarray] | None:
    both = np.isfinite(values[:, first]) & np.isfinite(values[:, second])
    return (values[both, first], values[both, second]) if both.sum() >= LEAST_SECONDS else None


def _mean_of(
    figure: Callable[[np.ndarray, np.ndarray], float], pairs: Sequence[tuple[np.ndarray, np.ndarray]]
) -> float:
    found = [value for pair in pairs if not math.isnan(value := figure(*pair))]
    return sum(found) / len(found) if found else math.nan
