"""The human row of a table: how well each rater is predicted by the mean of the others, as a model is by the label.

A model is measured against the mean of all raters, which is steadier than one of them: it may come out above.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from beam_pipelines.labels.raters import Ratings, others_mean
from trainer.evaluation.metrics import RATERS, MetricsRow, ccc, mse, pcc

Pair = tuple[np.ndarray, np.ndarray]
"""A rater's values and the mean of the others, [N] each."""


class RatedFilm(Protocol):
    """A film with what each rater gave, float [T, R, targets], or None; and known bool [T]."""

    @property
    def film_id(self) -> str: ...
    @property
    def known(self) -> np.ndarray: ...
    @property
    def ratings(self) -> Ratings | None: ...


def rater_rows(films: Sequence[RatedFilm], targets: Sequence[str]) -> list[MetricsRow]:
    """The rows of raters: pooled, mean of films, and every film with two raters or more; none if there is no such film.

    A film's figure is the mean over its raters. Pooled, a rater's seconds of all films are one series, and the figure
    is the mean over raters.
    """
    rows = []
    for place, target in enumerate(targets):
        of_films = {film.film_id: found for film in films if (found := pairs_of_film(film, place))}
        if not of_films:
            continue
        of_raters: dict[str, list[Pair]] = {}
        for pairs in of_films.values():
            for rater, pair in pairs.items():
                of_raters.setdefault(rater, []).append(pair)
        whole = {name: _joined(pairs) for name, pairs in of_raters.items()}
        seconds = sum(len(own) for own, _ in whole.values())
        single = [
            MetricsRow(RATERS, target, "film", film_id, sum(len(own) for own, _ in pairs.values()), *_figures(pairs))
            for film_id, pairs in sorted(of_films.items())
        ]
        rows.append(MetricsRow(RATERS, target, "pooled", "", seconds, *_figures(whole)))
        means = (_mean([getattr(row, name) for row in single]) for name in ("mse", "pcc", "ccc"))
        no_pcc, no_ccc = (sum(math.isnan(getattr(row, name)) for row in single) for name in ("pcc", "ccc"))
        error, correlation, concordance = means
        mean = MetricsRow(RATERS, target, "mean of films", "", seconds, error, correlation, concordance, no_pcc, no_ccc)
        rows += [mean, *single]
    return rows


def pairs_of_film(film: RatedFilm, place: int) -> dict[str, Pair]:
    """Each rater's values of one target and the mean of the others, where both are known; empty for fewer than two."""
    if film.ratings is None or len(film.ratings.raters) < 2:
        return {}
    values = np.asarray(film.ratings.values[:, :, place], np.float64)
    found = {}
    for index, rater in enumerate(film.ratings.raters):
        own, others = values[:, index], others_mean(values, index)
        both = film.known & np.isfinite(own) & np.isfinite(others)
        if both.any():
            found[rater] = (own[both], others[both])
    return found


def _figures(pairs: Mapping[str, Pair]) -> tuple[float, float, float]:
    figures: tuple[Callable[[np.ndarray, np.ndarray], float], ...] = (mse, pcc, ccc)
    error, correlation, concordance = (_mean([figure(*pair) for pair in pairs.values()]) for figure in figures)
    return error, correlation, concordance


def _joined(pairs: Sequence[Pair]) -> Pair:
    own, others = (np.concatenate(series) for series in zip(*pairs, strict=True))
    return own, others


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan
