"""Rules that combine several candidates' curves to one, with labels of the validation run only.

A rule gives each candidate a weight. Its result is the weighted mean of the candidates, each the mean of its seeds,
smoothed with the cutoff that is best on the seconds that it knows, and stretched or not. All rules take curves of one
target, float64 [C, S, T] of C candidates with S seeds each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from beam_pipelines.contracts.curves.smoothing import SmoothingConfig, smooth
from benchmarks.studyforrest_data import MARGIN_S
from trainer.evaluation.metrics import ccc
from trainer.foundation.config import TrainConfig

ROUNDS = 20
"""Members that the greedy selection takes, each as often as it helps."""
BLOCKS = 5
"""Contiguous parts of a run, of which one at a time is left out."""

Weigh = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(smoothed candidates [F, C, T] for each of F filters, labels [T], known seconds bool [T]) -> weights [C], sum 1."""


@dataclass(frozen=True)
class Rule:
    """A way to combine candidates.

    Attributes:
        name: in the table.
        weigh: gives the candidates' weights.
        stretched: whether the weighted mean is stretched to the width that its members have. Models that were trained
            to be as wide as the labels (CCC) have a mean that is narrower, since they differ.
    """

    name: str
    weigh: Weigh
    stretched: bool = False


@dataclass(frozen=True, eq=False)
class Choice:
    """What a rule takes from the seconds that it knows.

    Attributes:
        weights: of the candidates, float64 [C].
        filter: index of the filter.
        ccc: of the rule's answer on the seconds that it knows.
    """

    weights: np.ndarray
    filter: int
    ccc: float


def equally(curves: np.ndarray, true: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The same weight for all."""
    return np.full(curves.shape[1], 1.0 / curves.shape[1])


def best(curves: np.ndarray, true: np.ndarray, known: np.ndarray) -> np.ndarray:
    """All weight for the one that does best by itself."""
    alone = np.eye(curves.shape[1])
    return np.asarray(alone[int(np.argmax(_ccc_of(curves, true, known)(alone)))])


def greedily(curves: np.ndarray, true: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Greedy selection with replacement (Caruana et al. 2004).

    `ROUNDS` times the candidate is added that makes the mean of all that were added best; of all rounds the best one
    stands.
    """
    score, alone = _ccc_of(curves, true, known), np.eye(curves.shape[1])
    taken, found = np.zeros(curves.shape[1]), (-np.inf, alone[0])
    for members in range(1, ROUNDS + 1):
        scores = score((taken + alone) / members)
        index = int(np.argmax(scores))
        taken = taken + alone[index]
        if scores[index] > found[0]:
            found = scores[index], taken / members
    return found[1]


def greedily_in_bags(curves: np.ndarray, true: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The mean weights of greedy selections that know one block less each.

    After Caruana et al. 2006, whose bags hold some of the models; here these are few, and what is scarce is seconds.
    """
    bags = (known & ~around for around in blocks(len(true), MARGIN_S))
    return np.asarray(np.mean([greedily(curves, true, bag) for bag in bags if bag.any()], axis=0))


def only(index: int, name: str) -> Rule:
    """All weight for one candidate."""
    return Rule(name, lambda curves, true, known: np.eye(curves.shape[1])[index])


RULES = tuple(
    Rule(name + (", stretched" if stretched else ""), weigh, stretched)
    for name, weigh in (
        ("mean of all", equally),
        ("best candidate on validation", best),
        ("greedy selection on validation", greedily),
        ("greedy selection in bags", greedily_in_bags),
    )
    for stretched in (False, True)
)
"""The rules there are, simple ones first."""


def blocks(seconds: int, margin_s: int = 0) -> list[np.ndarray]:
    """The `BLOCKS` contiguous parts of a run, equally long but for a second, and a margin on either side; bool [T]."""
    second = np.arange(seconds)
    parts = np.array_split(second, BLOCKS)
    return [(second >= part[0] - margin_s) & (second <= part[-1] + margin_s) for part in parts]


def filters_of(settings: TrainConfig) -> list[SmoothingConfig]:
    """The filters to choose from: the configured one with each of the cutoffs."""
    cutoffs = dict.fromkeys((settings.smoothing.cutoff_hz, *settings.smoothing_cutoffs_hz))
    return [settings.smoothing.model_copy(update={"cutoff_hz": cutoff_hz}) for cutoff_hz in cutoffs]


def smoothed(curves: np.ndarray, settings: TrainConfig) -> np.ndarray:
    """Curves [C, S, T] through each of the filters, float64 [F, C, S, T]."""
    label_range = settings.labels.minimum, settings.labels.maximum
    each = curves.reshape(-1, curves.shape[-1])
    made = [[smooth(curve, one, label_range=label_range) for curve in each] for one in filters_of(settings)]
    return np.array(made).reshape(-1, *curves.shape)


def combined(curves: np.ndarray, weights: np.ndarray, stretched: bool, settings: TrainConfig) -> np.ndarray:
    """The weighted mean [T] of candidates [C, S, T], within the labels' range.

    A stretched one is drawn out about its own mean until it is as wide as candidates and seeds are on average.
    """
    answer = weights @ curves.mean(axis=1)
    if stretched and (width := answer.std()) > 0.0:
        wanted = weights @ curves.std(axis=2).mean(axis=1)
        answer = answer.mean() + wanted / width * (answer - answer.mean())
    return np.clip(answer, settings.labels.minimum, settings.labels.maximum)


def choose(rule: Rule, curves: np.ndarray, true: np.ndarray, known: np.ndarray, settings: TrainConfig) -> Choice:
    """The rule's weights and cutoff, from labels [T] at the seconds that are known, bool [T], of smoothed curves."""
    weights = rule.weigh(curves.mean(axis=2), true, known)
    scores = [ccc(combined(one, weights, rule.stretched, settings)[known], true[known]) for one in curves]
    return Choice(weights, int(np.argmax(scores)), max(scores))


def apply(rule: Rule, choice: Choice, curves: np.ndarray, settings: TrainConfig) -> np.ndarray:
    """The rule's answer [T] for smoothed curves [F, C, S, T] of any run."""
    return combined(curves[choice.filter], choice.weights, rule.stretched, settings)


def _ccc_of(curves: np.ndarray, true: np.ndarray, known: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Weights [K, C] -> CCC [K] of the weighted means on the known seconds, each with its best filter."""
    each, labels = curves[:, :, known], true[known]
    mean = each.mean(axis=2)
    centred, deviation = each - mean[:, :, None], labels - labels.mean()
    covariance = centred @ centred.transpose(0, 2, 1) / len(labels)
    with_labels = centred @ deviation / len(labels)

    def score(weights: np.ndarray) -> np.ndarray:
        variance = np.einsum("kc,fcd,kd->fk", weights, covariance, weights)
        both = variance + labels.var() + (mean @ weights.T - labels.mean()) ** 2
        # Undefined, and counted as nothing, where curve and labels are the same constant.
        return np.divide(2.0 * with_labels @ weights.T, both, out=np.zeros_like(both), where=both > 0.0).max(axis=0)

    return score
