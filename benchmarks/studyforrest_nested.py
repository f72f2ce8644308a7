"""The choice of the rule that combines the candidates, by the fold's own validation run only.

The validation run is cut into blocks. A rule takes weights and cutoff from the other blocks (less a margin) and
predicts the block that was left out, each block in turn. So a rule predicts every second of the run without knowing its
label, and rules that overfit are exposed. The score is that of the whole curve, as on the test run: the mean of PCC and
CCC over both targets, since one rule serves both. Of equal rules the first is taken, which is the simpler one.
Afterwards the rule takes weights and cutoff from the whole run.

The score doesn't show how well a choice transfers from one run to another: that would need two runs to choose by. The
networks' epoch was chosen on the whole run, so the scores of all rules are equally too high.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from beam_pipelines.contracts.targets import TARGETS
from benchmarks.studyforrest_data import MARGIN_S, Fold, Recording
from benchmarks.studyforrest_ensemble import RULES, Rule, apply, blocks, choose, filters_of, smoothed
from trainer.evaluation.metrics import ccc, pcc
from trainer.foundation.config import TrainConfig


@dataclass(frozen=True, eq=False)
class Curves:
    """What one candidate gave on one fold with one seed, raw: float64 [T, 2] of the validation and of the test run."""

    validation: np.ndarray
    test: np.ndarray


Trained = Mapping[tuple[str, int, int], Curves]
"""Candidate, test run, seed -> curves."""


@dataclass(frozen=True, eq=False)
class FoldCurves:
    """All candidates' curves of one fold, through each of the filters.

    Attributes:
        names: of the candidates.
        validation, test: float64 [2, F, C, S, T]: target, filter, candidate, seed and second of each run.
        true: the validation run's labels [2, T]. Those of the test run aren't here: nothing can be chosen by them.
    """

    names: tuple[str, ...]
    validation: np.ndarray
    test: np.ndarray
    true: np.ndarray

    @classmethod
    def of(
        cls, trained: Trained, recording: Recording, names: Sequence[str], test: int, settings: TrainConfig
    ) -> FoldCurves:
        """Takes the curves of one fold together, with every seed that it was trained with."""
        seeds = sorted({seed for _, run, seed in trained if run == test})
        known, asked = (
            np.stack(
                [
                    smoothed(
                        np.array(
                            [[getattr(trained[name, test, seed], kind)[:, column] for seed in seeds] for name in names]
                        ),
                        settings,
                    )
                    for column in range(len(TARGETS))
                ]
            )
            for kind in ("validation", "test")
        )
        return cls(tuple(names), known, asked, recording.labels[recording.run == Fold(test).validation].T)

    @property
    def seeds(self) -> list[FoldCurves]:
        """The curves of each seed by itself."""
        each = range(self.validation.shape[3])
        return [FoldCurves(self.names, self.validation[:, :, :, [i]], self.test[:, :, :, [i]], self.true) for i in each]


@dataclass(frozen=True, eq=False)
class Answer:
    """A rule's answer on one fold.

    Attributes:
        test: smoothed curves of the test run, float64 [T, 2].
        chosen: for each target what the rule took from the validation run, for people.
    """

    test: np.ndarray
    chosen: tuple[str, ...]


def answer(rule: Rule, fold: FoldCurves, settings: TrainConfig) -> Answer:
    """The rule's answer to the test run, with weights and cutoff from the whole validation run."""
    curves, chosen = [], []
    for known, asked, true in zip(fold.validation, fold.test, fold.true, strict=True):
        choice = choose(rule, known, true, np.ones(len(true), bool), settings)
        curves.append(apply(rule, choice, asked, settings))
        weights = ", ".join(f"{w:.2f} {name}" for w, name in zip(choice.weights, fold.names, strict=True) if w > 0.0)
        cutoff_hz = filters_of(settings)[choice.filter].cutoff_hz
        chosen.append(f"{weights}; cutoff {cutoff_hz:g} Hz; validation CCC {choice.ccc:.3f}")
    return Answer(np.stack(curves, axis=1), tuple(chosen))


def nested_score(rule: Rule, curves: np.ndarray, true: np.ndarray, settings: TrainConfig) -> float:
    """How good a rule is on blocks that it doesn't know: mean of PCC and CCC.

    Args:
        rule: the rule.
        curves: smoothed, of the validation run and one target, float64 [F, C, S, T].
        true: the labels [T].
        settings: the labels' range.
    """
    answered = np.empty(len(true))
    for block, around in zip(blocks(len(true)), blocks(len(true), MARGIN_S), strict=True):
        choice = choose(rule, curves, true, ~around, settings)
        answered[block] = apply(rule, choice, curves, settings)[block]
    return 0.5 * (pcc(answered, true) + ccc(answered, true))


def nested_scores(fold: FoldCurves, settings: TrainConfig, rules: Sequence[Rule] = RULES) -> dict[str, float]:
    """Rule -> its nested score on a fold's validation run, mean over both targets."""
    return {
        rule.name: float(
            np.mean([nested_score(rule, *target, settings) for target in zip(fold.validation, fold.true, strict=True)])
        )
        for rule in rules
    }


def best_rule(scores: Sequence[Mapping[str, float]], rules: Sequence[Rule] = RULES) -> Rule:
    """The rule of the highest mean score over some folds, the first of equals."""
    return max(rules, key=lambda rule: np.mean([score[rule.name] for score in scores]))
