"""How several models' curves become one answer, with labels of the validation run only.

All rules take raw curves of the validation run and of the test run, float64 [M, T], of M models. Every rule chooses the
filter's cutoff by the CCC of its own answer on the validation run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from beam_pipelines.smoothing import SmoothingConfig, smooth
from trainer.config import TrainConfig
from trainer.metrics import ccc

ROUNDS = 20
"""Members that the greedy selection takes, each as often as it helps."""

Combine = Callable[[np.ndarray], np.ndarray]
"""Smoothed curves [M, T] -> one curve [T]."""


@dataclass(frozen=True)
class Answer:
    """What a rule gives.

    Attributes:
        test: smoothed curve of the test run, float64 [T].
        validation_ccc: of its curve of the validation run.
        chosen: what it chose there.
    """

    test: np.ndarray
    validation_ccc: float
    chosen: str


def mean(curves: np.ndarray) -> np.ndarray:
    """The mean of curves [M, T], second by second."""
    return np.asarray(curves.mean(axis=0))


def stretched_mean(curves: np.ndarray) -> np.ndarray:
    """The mean of curves [M, T], stretched about its own mean until it is as wide as they are on average.

    Models that were trained to be as wide as the labels (CCC) have a mean that is narrower, since they differ.
    """
    narrow = mean(curves)
    width = narrow.std()
    factor = curves.std(axis=1).mean() / width if width > 0.0 else 1.0
    return np.asarray(narrow.mean() + factor * (narrow - narrow.mean()))


def answer(
    combine: Combine, validation: np.ndarray, test: np.ndarray, true: np.ndarray, settings: TrainConfig
) -> Answer:
    """Smooths and combines curves [M, T] with the cutoff that does best on the validation run's labels, `true` [T]."""

    def on_validation(smoothing: SmoothingConfig) -> float:
        return ccc(_combined(combine, validation, smoothing, settings), true)

    best = max(filters_of(settings), key=on_validation)
    text = f"cutoff {best.cutoff_hz:g} Hz"
    return Answer(_combined(combine, test, best, settings), on_validation(best), text)


def best_of(
    validation: Mapping[str, np.ndarray], test: Mapping[str, np.ndarray], true: np.ndarray, settings: TrainConfig
) -> Answer:
    """The one candidate (name -> curves of its seeds [S, T]) whose mean does best on the validation run."""
    answers = {name: answer(mean, validation[name], test[name], true, settings) for name in validation}
    name = max(answers, key=lambda name: answers[name].validation_ccc)
    found = answers[name]
    return Answer(found.test, found.validation_ccc, f"{name}, {found.chosen}")


def greedy(
    validation: Mapping[str, np.ndarray], test: Mapping[str, np.ndarray], true: np.ndarray, settings: TrainConfig
) -> Answer:
    """Greedy selection with replacement (Caruana et al. 2004) of candidates, each the mean of its seeds.

    `ROUNDS` times the candidate is added that makes the mean of all that were added best on the validation run; of all
    rounds the best one stands.
    """
    names = list(validation)
    known, asked = (np.stack([mean(curves[name]) for name in names]) for curves in (validation, test))
    # Each curve is smoothed once with each filter, for the mean of smoothed curves is all that is asked for.
    smoothed = np.stack([_smoothed(known, one, settings) for one in filters_of(settings)])

    def score(members: list[int]) -> float:
        return max(ccc(mean(curves[members]), true) for curves in smoothed)

    taken: list[int] = []
    scores = []
    for _ in range(ROUNDS):
        taken.append(max(range(len(names)), key=lambda index: score([*taken, index])))
        scores.append(score(taken))
    members = taken[: int(np.argmax(scores)) + 1]
    found = answer(mean, known[members], asked[members], true, settings)
    weights = ", ".join(f"{members.count(i) / len(members):.2f} {names[i]}" for i in sorted(set(members)))
    return Answer(found.test, found.validation_ccc, f"{weights}; {found.chosen}")


def filters_of(settings: TrainConfig) -> list[SmoothingConfig]:
    """The filters to choose from: the configured one with each of the cutoffs."""
    cutoffs = dict.fromkeys((settings.smoothing.cutoff_hz, *settings.smoothing_cutoffs_hz))
    return [settings.smoothing.model_copy(update={"cutoff_hz": cutoff_hz}) for cutoff_hz in cutoffs]


def _combined(combine: Combine, curves: np.ndarray, smoothing: SmoothingConfig, settings: TrainConfig) -> np.ndarray:
    combined = combine(_smoothed(curves, smoothing, settings))
    return np.clip(combined, settings.labels.minimum, settings.labels.maximum)


def _smoothed(curves: np.ndarray, smoothing: SmoothingConfig, settings: TrainConfig) -> np.ndarray:
    label_range = settings.labels.minimum, settings.labels.maximum
    return np.stack([smooth(curve, smoothing, label_range=label_range).values for curve in curves])
