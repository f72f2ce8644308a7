"""The test that decides whether a challenger is better than the model in use, on the same held-out films."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainer.evaluation.paired import Figure, Series, film_figures, p_value


@dataclass(frozen=True)
class Comparison:
    """A challenger against a reference on the same films.

    Attributes:
        metric: the figure that is compared: of each film, mean of all targets.
        challenger, reference: the mean of their figures over the films.
        improvement: by how much the challenger is better; positive is better, for MSE too.
        p_value: the chance of so large an improvement if the two differed by the margin only; None if nothing can be
            decided.
        better: whether that chance is at most one minus the confidence.
    """

    metric: Figure
    challenger: float
    reference: float
    improvement: float
    p_value: float | None
    better: bool


def compare(
    challenger: Series, reference: Series, metric: Figure, margin: float, confidence: float, least_films: int
) -> Comparison:
    """Compares two models film by film: for MSE by a paired t, for PCC and CCC by the signs of the differences.

    Both tests are one-sided (`trainer.evaluation.paired`). An equally good challenger passes in one minus the
    confidence of all comparisons.

    Args:
        challenger, reference: the two models' predictions and labels.
        metric: the figure.
        margin: the improvement that must be exceeded.
        confidence: the confidence of the test.
        least_films: the number of films below which nothing is decided; at least two.

    Raises:
        ValueError: if the two don't have the same films.
    """
    films = sorted(challenger)
    if films != sorted(reference) or not films:
        raise ValueError(f"the same films are needed on both sides, not {films} and {sorted(reference)}")
    ours, theirs = (film_figures(series, metric) for series in (challenger, reference))
    gains = theirs - ours if metric == "mse" else ours - theirs
    chance = float(p_value(gains, metric, margin)) if len(films) >= least_films else None
    better = chance is not None and chance <= 1.0 - confidence
    return Comparison(metric, float(np.mean(ours)), float(np.mean(theirs)), float(np.mean(gains)), chance, better)
