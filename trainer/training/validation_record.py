"""A training run's record of its validation, so that its page needs no films, labels or features."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.contracts.runs import VALIDATION
from beam_pipelines.foundation import storage
from trainer.evaluation.curve_files import SMOOTHED
from trainer.evaluation.evaluate import LabelledFilm, evaluate_curves, smooth_curves, smoothing_candidates
from trainer.foundation.config import TrainConfig

_DECIMALS = 6


class ValidationFilm(LabelledFilm, Protocol):
    """A labelled film, with its raters' deviation float [T, targets], NaN where unknown, or None."""

    @property
    def deviation(self) -> np.ndarray | None: ...


def write_validation(
    curves: Mapping[str, np.ndarray],
    films: Sequence[ValidationFilm],
    constant: np.ndarray,
    chosen: SmoothingConfig,
    config: TrainConfig,
    output: str,
) -> None:
    """Writes `validation.json`: labels of the validation films, how far raters are apart, figures of every filter.

    Args:
        curves: film id -> raw prediction, float [T, targets].
        films: the validation films; if there are none, the file says so.
        constant: float [targets], mean of the training labels.
        chosen: the chosen filter.
        config: the train section.
        output: directory of the run.
    """
    document = {
        "selection": config.selection,
        "constant": dict(zip(config.labels.targets, map(float, constant), strict=True)),
        "labels": {film.film_id: _columns(film.labels, film.known, config.labels.targets) for film in films},
        "deviation": {
            film.film_id: _columns(film.deviation, np.isfinite(film.deviation).all(axis=1), config.labels.targets)
            for film in films
            if film.deviation is not None
        },
        "smoothing": _tried({film.film_id: curves[film.film_id] for film in films}, films, constant, chosen, config),
    }
    storage.write_text(storage.join(output, VALIDATION), json.dumps(document, allow_nan=False) + "\n")


def _columns(values: np.ndarray, known: np.ndarray, targets: Sequence[str]) -> dict[str, list[float | None]]:
    """The values [T, targets] of each target for every second; None in seconds without one."""
    return {
        target: [round(value, _DECIMALS) if one else None for value, one in zip(column, known.tolist(), strict=True)]
        for target, column in zip(targets, np.asarray(values, np.float64).T.tolist(), strict=True)
    }


def _tried(
    curves: Mapping[str, np.ndarray],
    films: Sequence[LabelledFilm],
    constant: np.ndarray,
    chosen: SmoothingConfig,
    config: TrainConfig,
) -> list[dict[str, Any]]:
    if not films:
        return []
    rows = []
    # No filter comes first, the strongest one last, as in the page's table.
    for candidate in sorted(smoothing_candidates(config), key=lambda one: (one.method != "none", -one.cutoff_hz)):
        smoothed = {SMOOTHED: smooth_curves(curves, candidate, config.labels)}
        table = evaluate_curves(smoothed, films, constant, config.labels.targets)
        figures: dict[str, float | None] = {}
        for target in table.targets:
            row = table.find(SMOOTHED, target)
            for name in ("mse", "pcc", "ccc"):
                value = float(getattr(row, name))
                figures[f"{target}_{name}"] = None if math.isnan(value) else value
        rows.append({**candidate.model_dump(mode="json"), "chosen": candidate == chosen, **figures})
    return rows
