"""Whether two predictors of an experiment differ: paired differences over its films, with an interval.

The spread over seeds says how much a training varies, not how much films do: with few films two predictors can differ
in every seed and still be equally good on other films.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from beam_pipelines.foundation.text_tables import aligned
from trainer.evaluation.metrics import CONSTANT_MEAN, RATERS
from trainer.evaluation.paired import interval
from trainer.experiments.table import FIGURES, Row

CONFIDENCE = 0.95
NOT_DISTINGUISHABLE = "not distinguishable"


@dataclass(frozen=True)
class Difference:
    """One figure of two predictors, film by film.

    Attributes:
        first, second: the predictors.
        target, figure: the figure's names.
        films: the films in which both have the figure.
        mean: first minus second, mean over the films; a film's figure is its mean over the seeds.
        low, high: the interval of that mean by Student's t, at 95 %; None for fewer than two films.
    """

    first: str
    second: str
    target: str
    figure: str
    films: int
    mean: float
    low: float | None
    high: float | None

    @property
    def verdict(self) -> str:
        """Which predictor is better, or that the two are not distinguishable, since the interval includes 0."""
        if self.low is None or self.high is None or self.low <= 0.0 <= self.high:
            return NOT_DISTINGUISHABLE
        return f"{self.first if (self.mean > 0.0) != (self.figure == 'mse') else self.second} is better"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "verdict": self.verdict}


def differences(rows: Sequence[Row]) -> list[Difference]:
    """The differences of every two predictors but the constant mean and raters, in the order of the rows."""
    figures: dict[tuple[str, str, str], dict[str, float]] = {}
    grouped: dict[tuple[str, str, str, str], list[float]] = {}
    for row in rows:
        for figure in FIGURES:
            if row["scope"] == "film" and row[figure] is not None:
                grouped.setdefault((row["predictor"], row["target"], figure, row["film_id"]), []).append(row[figure])
    for (predictor, target, figure, film_id), values in grouped.items():
        figures.setdefault((predictor, target, figure), {})[film_id] = statistics.fmean(values)
    names = [name for name in dict.fromkeys(row["predictor"] for row in rows) if name not in (CONSTANT_MEAN, RATERS)]
    found = []
    targets = dict.fromkeys(row["target"] for row in rows)
    for (first, second), target, figure in itertools.product(itertools.combinations(names, 2), targets, FIGURES):
        ours, theirs = (figures.get((name, target, figure), {}) for name in (first, second))
        gains = np.array([ours[film] - theirs[film] for film in sorted(ours.keys() & theirs.keys())])
        if len(gains):
            low, high = (bound if math.isfinite(bound) else None for bound in interval(gains, CONFIDENCE))
            found.append(Difference(first, second, target, figure, len(gains), float(gains.mean()), low, high))
    return found


def render_differences(found: Sequence[Difference]) -> str:
    """The table for a terminal, with the method above it; empty if there is nothing to compare."""
    if not found:
        return ""
    cells = [["difference", "target", "figure", "films", "mean", "interval", ""]]
    for one in found:
        bounds = "–" if one.low is None else f"[{one.low:+.4f}, {one.high:+.4f}]"
        names = [f"{one.first} - {one.second}", one.target, one.figure.upper(), str(one.films)]
        cells.append([*names, f"{one.mean:+.4f}", bounds, one.verdict])
    head = (
        f"paired differences over films, mean over seeds; {CONFIDENCE:.0%} intervals by Student's t, each by itself "
        "(one in twenty misses by chance):"
    )
    return "\n".join([head, *aligned(cells, words=3)])
