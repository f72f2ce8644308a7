"""A comparison: every variant trained with every seed, and the figures of the test films."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError
from trainer.evaluation.curve_files import RAW, SMOOTHED
from trainer.evaluation.evaluate import FilmLabels, LabelledFilm, evaluate_curves, selection_score, smooth_curves
from trainer.evaluation.metrics import mean_label
from trainer.evaluation.rater_rows import rater_rows
from trainer.experiments.data import TEST, VALIDATION, ExperimentData
from trainer.experiments.ridge import ridges_of_variants
from trainer.experiments.training import Trained, train_selecting, with_seed
from trainer.foundation.config import TrainConfig

MEAN, BEST = "mean of runs", "best on validation"
ORDERS = (1, 2, 4)
WIDTHS_S = (5, 9, 15, 25, 41)

Filters = list[dict[str, SmoothingConfig]]
"""For each seed: kind of filter -> the filter that its validation films chose."""


@dataclass(frozen=True)
class Labels:
    """The labels of test and validation films, the mean label of the training films [targets], and the targets."""

    validation: Sequence[FilmLabels]
    test: Sequence[FilmLabels]
    constant: np.ndarray
    targets: tuple[str, ...]


def compare_variants(
    what: str, data: ExperimentData, configs: Mapping[str, TrainConfig], seeds: int, output: str
) -> tuple[list[dict[str, Any]], Filters]:
    """Trains every variant with every seed; returns the rows of the table, and the filters if filters are compared.

    Args:
        what: one of `comparison_variants.COMPARISONS`.
        data: films, features and transform.
        configs: variant -> its train section.
        seeds: number of trainings of each variant.
        output: directory of the experiment; finished trainings there are reused.

    Raises:
        ConfigurationError: if variants read labels differently.
    """
    _assert_same_labels(configs)
    rows: list[dict[str, Any]] = []
    filters: Filters = []
    # Before the networks: it takes minutes, and no seed changes it.
    ridge = ridges_of_variants(storage.join(output, "runs"), data, configs)
    # All variants read the same labels, so the report of what was cut is printed once.
    labels: Labels | None = None
    for name, config in configs.items():
        runs = [
            train_selecting(
                storage.join(output, "runs"), f"seed{seed}", data, with_seed(config, seed), predict_test=True
            )
            for seed in range(seeds)
        ]
        labels = labels or _labels(data, config)
        if what == "smoothing":
            validation = data.films(VALIDATION)
            filters = [best_filters(run.curves(validation, RAW), labels.validation, config) for run in runs]
        rows += _rows(what, name, runs, filters, data, labels, config)
    assert labels is not None, "there is at least one variant"
    human = [{"seed": None, **row.as_dict()} for row in rater_rows(labels.test, labels.targets)]
    return human + _tabulated(None, ridge, labels) + rows, filters


def _assert_same_labels(configs: Mapping[str, TrainConfig]) -> None:
    first, *others = configs
    for name in others:
        if configs[name].labels != configs[first].labels:
            raise ConfigurationError(
                f"--set-in '{name}': the variants {first} and {name} differ in train.labels, so their figures would be "
                "those of other labels; change labels (lag_s, too) for all variants, with --set or --config"
            )


def _labels(data: ExperimentData, config: TrainConfig) -> Labels:
    labels = config.labels
    return Labels(data.labelled(VALIDATION, labels), data.labelled(TEST, labels), data.constant(labels), labels.targets)


def _rows(
    what: str,
    name: str,
    runs: Sequence[Trained],
    filters: Sequence[Mapping[str, SmoothingConfig]],
    data: ExperimentData,
    labels: Labels,
    config: TrainConfig,
) -> list[dict[str, Any]]:
    """The rows of one variant for every seed: per film, mean of films, and pooled."""
    test, rows = data.films(TEST), []
    for seed, run in enumerate(runs):
        found: dict[str, Mapping[str, np.ndarray]] = {name: run.curves(test)}
        if filters:
            raw = run.curves(test, RAW)
            found = {kind: smooth_curves(raw, one, config.labels) for kind, one in filters[seed].items()}
        rows += _tabulated(seed, found, labels)
    if what == "ensemble":
        curves = [run.curves(test) for run in runs]
        mean = {film.film_id: np.mean([one[film.film_id] for one in curves], axis=0) for film in test}
        best = max(range(len(runs)), key=lambda seed: _validation_score(runs[seed], data, labels, config))
        # All seeds together have one mean and one best run, so these have no spread.
        rows += _tabulated(None, {MEAN: mean, BEST: curves[best]}, labels)
    return rows


def _tabulated(
    seed: int | None, curves: Mapping[str, Mapping[str, np.ndarray]], labels: Labels
) -> list[dict[str, Any]]:
    table = evaluate_curves(curves, labels.test, labels.constant, labels.targets)
    return [{"seed": seed, **row} for row in table.to_dict()]


def _validation_score(run: Trained, data: ExperimentData, labels: Labels, config: TrainConfig) -> float:
    curves = {SMOOTHED: run.curves(data.films(VALIDATION))}
    table = evaluate_curves(curves, labels.validation, labels.constant, labels.targets)
    return selection_score(table, config.selection, SMOOTHED)


def best_filters(
    curves: Mapping[str, np.ndarray], validation: Sequence[LabelledFilm], config: TrainConfig
) -> dict[str, SmoothingConfig]:
    """No filter, and of each kind of filter the one that is best on the validation films by `config.selection`.

    Args:
        curves: film id -> raw curve [T, targets] of the validation films.
        validation: the validation films.
        config: the train section; its cutoffs are tried with orders 1, 2 and 4, the moving average with widths of 5 to
            41 s.
    """
    cutoffs = dict.fromkeys((config.smoothing.cutoff_hz, *config.smoothing_cutoffs_hz))
    candidates = {
        "raw": [SmoothingConfig(method="none")],
        "Butterworth": [SmoothingConfig(order=order, cutoff_hz=cutoff) for order in ORDERS for cutoff in cutoffs],
        "moving average": [SmoothingConfig(method="moving_average", width_s=width) for width in WIDTHS_S],
    }
    constant = mean_label(film.labels[film.known] for film in validation)

    def score(candidate: SmoothingConfig) -> float:
        smoothed = {SMOOTHED: smooth_curves(curves, candidate, config.labels)}
        table = evaluate_curves(smoothed, validation, constant, config.labels.targets)
        return selection_score(table, config.selection, SMOOTHED)

    return {name: max(filters, key=score) for name, filters in candidates.items()}


def describe_filters(filters: Filters) -> list[str]:
    """One line per seed with the filters that its validation films chose."""
    lines = []
    for seed, found in enumerate(filters):
        parts = [
            f"{kind}: order {one.order}, cutoff {one.cutoff_hz:g} Hz"
            if one.method == "butterworth"
            else f"{kind}: {one.weights}, width {one.width_s} s"
            for kind, one in found.items()
            if one.method != "none"
        ]
        lines.append(f"chosen on validation, seed {seed}: {'; '.join(parts)}")
    return lines
