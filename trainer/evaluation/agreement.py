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

_LEAST_GAIN = 0.02
_WHEN = {True: "after the others", False: "before the others"}


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
        lags: who comes later or earlier than the others; the one who is farthest away first.
    """

    film_id: str
    target: str
    raters: int
    seconds: int
    pcc: float
    ccc: float
    alpha: float
    findings: tuple[str, ...]
    lags: tuple[Lag, ...]

    @property
    def curve(self) -> str:
        """Of what it is, for people."""
        return f"{self.film_id}, {self.target}"


@dataclass(frozen=True)
class Lag:
    """A rater comes so many seconds after the others (below 0: before); PCC with them as it is, and when moved."""

    rater: str
    seconds: int
    pcc: float
    moved_pcc: float

    def __str__(self) -> str:
        when = f"{abs(self.seconds)} s {_WHEN[self.seconds > 0]}"
        return f"rater {self.rater}: {when} (PCC {self.pcc:.2f}, {self.moved_pcc:.2f} when moved)"


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
        (*_findings(values, names, dead_s), *_doubles(values, names)),
        tuple(_lags(values, names)),
    )


def lines_of(found: Sequence[Agreement]) -> list[str]:
    """What to look at in all curves, as lines; what is so in half of them or more stands in one line."""
    lines = []
    late = [(one.curve, lag) for one in found for lag in one.lags]
    for rater, is_late in dict.fromkeys((lag.rater, lag.seconds > 0) for _, lag in late):
        own = [(curve, lag) for curve, lag in late if (lag.rater, lag.seconds > 0) == (rater, is_late)]
        if _is_usual(own, found):
            seconds = sorted(abs(lag.seconds) for _, lag in own)
            between = f" ({seconds[0]} to {seconds[-1]} s)" if seconds[0] < seconds[-1] else ""
            about = f"about {seconds[len(seconds) // 2]} s {_WHEN[is_late]}{between}"
            lines.append(f"rater {rater}: {about} in {len(own)} of {len(found)} curves")
        else:
            lines += [f"{curve}: {lag}" for curve, lag in own]
    where: dict[str, list[str]] = {}
    for one in found:
        for finding in one.findings:
            where.setdefault(finding, []).append(one.curve)
    for finding, curves in where.items():
        if _is_usual(curves, found):
            lines.append(f"{finding} (in {len(curves)} of {len(found)} curves)")
        else:
            lines += [f"{curve}: {finding}" for curve in curves]
    return lines


def _is_usual(own: Sequence[object], found: Sequence[Agreement]) -> bool:
    return len(own) > 1 and 2 * len(own) >= len(found)


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


def _findings(values: np.ndarray, names: Sequence[str], dead_s: int) -> Iterator[str]:
    for index, name in enumerate(names):
        own, others = values[:, index], others_mean(values, index)
        if _is_constant(own):
            yield f"rater {name}: gave {np.nanmin(own):g} throughout, on the labels' scale; leave this rater out"
            continue
        for first, stop in dead_stretches(own, dead_s):
            yield f"rater {name}: the same value from second {first} to {stop - 1}"
        at_once = _pcc_in_common(own, others)
        if at_once < 0.0:
            yield f"rater {name}: runs against the others (PCC {at_once:.2f}); is the scale the other way round?"


def _doubles(values: np.ndarray, names: Sequence[str]) -> Iterator[str]:
    """Raters with the values of another one: most often a file that is there twice."""
    for first, second in combinations(range(len(names)), 2):
        own, other = values[:, first], values[:, second]
        if np.array_equal(own, other, equal_nan=True) and not _is_constant(own):
            yield f"raters {names[first]} and {names[second]}: the same values; if they are one rater, leave one out"


def _lags(values: np.ndarray, names: Sequence[str]) -> Iterator[Lag]:
    """The raters who come at another time than the others, the farthest first.

    Each that is found no longer counts among the others: against a mean with one late rater all others look early.
    Of two raters nobody knows who is right; the later one is named.
    """
    left = [index for index in range(len(names)) if not _is_constant(values[:, index])]
    while len(left) > 1:
        found = []
        for place, index in enumerate(left):
            own, others = values[:, index], others_mean(values[:, left], place)
            at_once = _pcc_in_common(own, others)
            shift, best = lag_s(own, others) if at_once >= 0.0 else (0, at_once)
            if best - at_once > _LEAST_GAIN:
                found.append((abs(shift), shift > 0, best - at_once, index, Lag(names[index], shift, at_once, best)))
        if not found:
            return
        *_, farthest, lag = max(found, key=lambda one: one[:3])
        yield lag
        left.remove(farthest)


def _is_constant(own: np.ndarray) -> bool:
    return bool(np.nanmax(own) - np.nanmin(own) <= 1e-9)


def _pcc_in_common(own: np.ndarray, others: np.ndarray) -> float:
    """The correlation in the seconds that both have; NaN where they are too few."""
    both = np.isfinite(own) & np.isfinite(others)
    return pcc(own[both], others[both]) if both.sum() >= LEAST_SECONDS else math.nan


def _common(values: np.ndarray, first: int, second: int) -> tuple[np.ndarray, np.ndarray] | None:
    both = np.isfinite(values[:, first]) & np.isfinite(values[:, second])
    return (values[both, first], values[both, second]) if both.sum() >= LEAST_SECONDS else None


def _mean_of(
    figure: Callable[[np.ndarray, np.ndarray], float], pairs: Sequence[tuple[np.ndarray, np.ndarray]]
) -> float:
    found = [value for pair in pairs if not math.isnan(value := figure(*pair))]
    return sum(found) / len(found) if found else math.nan
