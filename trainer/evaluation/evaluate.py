"""Curves against labels: smoothing, its choice on validation films, and the table of figures.

This module needs no TensorFlow, and evaluates curves from any source.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol

import numpy as np

from beam_pipelines.contracts.curves.curves import CURVES, curve_uri
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig, smooth
from beam_pipelines.contracts.runs import EVALUATION
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.labels.annotations import LabelReport, align, raters_on_clock, read_labels, report_alignment
from beam_pipelines.labels.config import LabelConfig
from beam_pipelines.labels.raters import Ratings
from trainer.evaluation.bands import Measured, bands_of_new_films
from trainer.evaluation.curve_files import RAW, RIDGE, SMOOTHED, read_curve, ridge_rows, targets_of_curve
from trainer.evaluation.metrics import MetricsTable, mean_label, tabulate
from trainer.evaluation.rater_rows import rater_rows
from trainer.evaluation.run_files import read_run_file, run_name
from trainer.evaluation.run_origin import RunOrigin, known_films, origin_of_run
from trainer.foundation.config import TrainConfig


class LabelledFilm(Protocol):
    """The attributes of a film that evaluation needs: its id, labels float32 [T, targets] and known bool [T]."""

    @property
    def film_id(self) -> str: ...
    @property
    def labels(self) -> np.ndarray: ...
    @property
    def known(self) -> np.ndarray: ...


def evaluate_curves(
    curves: Mapping[str, Mapping[str, np.ndarray]],
    films: Sequence[LabelledFilm],
    constant: np.ndarray,
    targets: Sequence[str] = TARGETS,
) -> MetricsTable:
    """The figures of one or several predictors next to the constant mean.

    Args:
        curves: predictor (`raw`, `smoothed`, …) -> film id -> [T, targets], in the labels' range.
        films: the films to evaluate; each predictor must have them all.
        constant: [targets], mean of the training labels (`metrics.mean_label`).
        targets: the names of the columns.

    Raises:
        ValueError: as `metrics.tabulate` raises it.
    """
    return tabulate(curves, {film.film_id: (film.labels, film.known) for film in films}, constant, targets)


def smooth_curves(
    curves: Mapping[str, np.ndarray], smoothing: SmoothingConfig, labels: LabelConfig
) -> dict[str, np.ndarray]:
    """Smooths each film's [T, targets], each target separately; float64 [T, targets], within the labels' range."""
    label_range = (labels.minimum, labels.maximum)
    smoothed = {}
    for film_id, curve in curves.items():
        columns = [smooth(column, smoothing, label_range=label_range) for column in np.asarray(curve).T]
        smoothed[film_id] = np.stack(columns, axis=1)
    return smoothed


def smoothing_candidates(config: TrainConfig) -> list[SmoothingConfig]:
    """The filters to choose from: the configured one first, then its other cutoffs, and no filter last.

    Other methods than Butterworth have no cutoff and stay as they are; so does a Butterworth filter without
    `config.smoothing_cutoffs_hz`.
    """
    if config.smoothing.method != "butterworth" or not config.smoothing_cutoffs_hz:
        return [config.smoothing]
    cutoffs = dict.fromkeys((config.smoothing.cutoff_hz, *config.smoothing_cutoffs_hz))
    filters = [config.smoothing.model_copy(update={"cutoff_hz": cutoff_hz}) for cutoff_hz in cutoffs]
    return [*filters, SmoothingConfig(method="none")]


def choose_smoothing(
    curves: Mapping[str, np.ndarray], films: Sequence[LabelledFilm], config: TrainConfig
) -> SmoothingConfig:
    """The one of `smoothing_candidates` that is best on some films by `config.selection`; without films the first.

    Of equally good ones the first wins.
    """
    if not films:
        return config.smoothing
    raw = {film.film_id: curves[film.film_id] for film in films}
    constant = mean_label(film.labels[film.known] for film in films)
    scores = {}
    for candidate in smoothing_candidates(config):
        smoothed = {SMOOTHED: smooth_curves(raw, candidate, config.labels)}
        table = evaluate_curves(smoothed, films, constant, config.labels.targets)
        scores[candidate] = selection_score(table, config.selection, SMOOTHED)
    return max(scores, key=lambda candidate: scores[candidate])


def selection_score(table: MetricsTable, selection: str, predictor: str) -> float:
    """The pooled figure used to choose, mean of all targets; higher is better, so MSE counts negative.

    An undefined correlation (of a constant prediction) is the worst: minus infinity.
    """
    figure = float(np.mean([getattr(table.find(predictor, target), selection) for target in table.targets]))
    if math.isnan(figure):
        return -math.inf
    return -figure if selection == "mse" else figure


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of `evaluate_run`.

    Attributes:
        table: the figures.
        reports: what was cut of each film's labels.
        without_curve: films of the splits that have labels but no curve.
        without_labels: films of the splits that have no labels.
        untrained: modalities whose features come from random weights; None if the run doesn't say.
        learned_from: films that the model has learned from; None if the run doesn't say.
        chosen_on: films that chose the model's epoch and filter; None if the run doesn't say.
        without_ridge: films without a curve of ridge regression, if others have one; its rows are left out then.
        own_range: whether the model gives every film a range of its own, so that the table has correlations only.
        bands: how well the curves' bands hold on new films; empty if there are none.
        bands_without: films that have bands but had a part in the model or its bands, so that they say nothing of them.
    """

    table: MetricsTable
    reports: tuple[LabelReport, ...]
    without_curve: tuple[str, ...]
    without_labels: tuple[str, ...]
    untrained: tuple[str, ...] | None
    learned_from: tuple[str, ...] | None = None
    chosen_on: tuple[str, ...] | None = None
    without_ridge: tuple[str, ...] = ()
    own_range: bool = False
    bands: Measured = field(default_factory=dict)
    bands_without: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class FilmLabels:
    """A film's labels and ratings, cut to the length of its curve: labels float32 [T, targets], known bool [T]."""

    film_id: str
    labels: np.ndarray
    known: np.ndarray
    ratings: Ratings | None = None


def evaluate_run(scores: str, films: Sequence[Film], constant_films: Sequence[Film], config: LabelConfig) -> Evaluation:
    """Compares the curves of a scoring or training run with label files.

    Args:
        scores: the run's directory, with `curves/<film_id>.csv`, and perhaps `ridge/curves/` with those of ridge
            regression.
        films: the films to evaluate.
        constant_films: the films whose mean label is the constant mean: those of the training split.
        config: how labels are read; `lag_s` is the model's if the run names it.

    Raises:
        ConfigurationError: if a label file or curve is damaged, there is nothing to evaluate, or `config` gives another
            lag than the model's, or the ridge regression has another lag.
    """
    folder, beside = storage.join(scores, CURVES), storage.join(scores, RIDGE)

    def curve_of(film_id: str) -> Mapping[str, np.ndarray] | None:
        try:
            own = read_curve(curve_uri(scores, film_id), config.targets)
        except FileNotFoundError:
            return None
        try:
            ridge = read_curve(curve_uri(beside, film_id), config.targets)
        except FileNotFoundError:
            return own
        return {**{ridge_rows(name): ridge[name] for name in (RAW, SMOOTHED) if name in ridge}, **own}

    origin = origin_of_run(scores).with_beside(origin_of_run(beside), beside)
    config = config.with_lag_of(scores, origin.label_lag_s)
    targets = _targets_of(scores, films)
    config = config.with_targets_of(folder, targets) if targets else config
    found = _evaluate(folder, curve_of, films, constant_films, config, origin, scores)
    had_part = {*(found.learned_from or ()), *(found.chosen_on or ()), *origin.calibrated}
    bands, without = bands_of_new_films(scores, films, config, had_part)
    return replace(found, bands=bands, bands_without=without)


def _targets_of(scores: str, films: Sequence[Film]) -> tuple[str, ...]:
    """The targets of a run's curves, those of the first film that has one; empty if there is none."""
    for film in films:
        try:
            return targets_of_curve(curve_uri(scores, film.film_id))
        except FileNotFoundError:
            continue
    return ()


def evaluate_run_file(
    uri: str, films: Sequence[Film], constant_films: Sequence[Film], config: LabelConfig
) -> Evaluation:
    """Compares a run file in the task's format (`trainer.evaluation.run_files`) with label files; see `evaluate_run`.

    The predictor has the name of the file. As in the task's own script, the longer of a film's rows and labels is cut.
    A run file has the time of the ratings (`run_files.write_run_file`), so the lag of `config` has no effect.

    Raises:
        RunFileError: if the file is no run file.
        ConfigurationError: if a label file is damaged, or there is nothing to evaluate.
    """
    run, name = read_run_file(uri), run_name(uri)
    places = [TARGETS.index(target) for target in config.targets]

    def curve_of(film_id: str) -> Mapping[str, np.ndarray] | None:
        return {name: run[film_id][:, places]} if film_id in run else None

    return _evaluate(uri, curve_of, films, constant_films, config.model_copy(update={"lag_s": 0}), RunOrigin())


def _evaluate(
    source: str,
    curve_of: Callable[[str], Mapping[str, np.ndarray] | None],
    films: Sequence[Film],
    constant_films: Sequence[Film],
    config: LabelConfig,
    origin: RunOrigin,
    scores: str = "",
) -> Evaluation:
    curves: dict[str, dict[str, np.ndarray]] = {}
    labelled, reports, without_curve = [], [], []
    for film in films:
        if not film.labels:
            continue
        curve = curve_of(film.film_id)
        if curve is None:
            without_curve.append(film.film_id)
            continue
        labels = read_labels(film.labels, config, film.film_id)
        seconds = len(next(iter(curve.values())))
        labelled.append(FilmLabels(film.film_id, *align(labels, seconds), raters_on_clock(labels, seconds)[1]))
        reports.append(report_alignment(film.film_id, labels, seconds))
        for predictor, values in curve.items():
            curves.setdefault(predictor, {})[film.film_id] = values
    if not any(film.known.any() for film in labelled):
        raise ConfigurationError(
            f"{source}: no curve of the {len(films)} chosen films has a labelled second "
            f"({len(without_curve)} have labels but no curve there)"
        )
    # Raw comes before smoothed, whatever the order of a file's columns, and ridge regression before both.
    beside = [name for name in curves if name.startswith(RIDGE)]
    names = [name for name in dict.fromkeys((*beside, RAW, *curves)) if name in curves]
    whole = {name: curves[name] for name in names if len(curves[name]) == len(labelled)}
    try:
        table = evaluate_curves(whole, labelled, _constant(constant_films, config), config.targets)
        table = table.beside_raters(rater_rows(labelled, config.targets))
    except ValueError as error:
        raise ConfigurationError(f"{source}: {error}") from error
    if origin.own_range:
        table = table.correlations()
    without_labels = tuple(film.film_id for film in films if not film.labels)
    evaluated = [film.film_id for film in labelled]
    learned, chosen = (None, None) if origin.learned is None else known_films(origin.learned, scores, evaluated)
    lacking = tuple(sorted({film_id for name in beside for film_id in evaluated if film_id not in curves[name]}))
    of_films = (tuple(reports), tuple(without_curve), without_labels)
    return Evaluation(table, *of_films, origin.untrained, learned, chosen, lacking, origin.own_range)


def write_evaluation(evaluation: Evaluation, directory: str) -> None:
    """Writes `evaluation.json`, which names the films that the model knows, and `evaluation.csv`."""
    content = {
        "untrained": None if evaluation.untrained is None else list(evaluation.untrained),
        "rows": evaluation.table.to_dict(),
        "labels": [asdict(report) for report in evaluation.reports],
        "films_without_curve": list(evaluation.without_curve),
        "films_without_labels": list(evaluation.without_labels),
        "learned_from": None if evaluation.learned_from is None else list(evaluation.learned_from),
        "chosen_on": None if evaluation.chosen_on is None else list(evaluation.chosen_on),
        **({"bands": evaluation.bands} if evaluation.bands else {}),
        **({"bands_without": evaluation.bands_without} if evaluation.bands_without else {}),
    }
    storage.write_text(storage.join(directory, EVALUATION), json.dumps(content, indent=2, allow_nan=False) + "\n")
    storage.write_text(storage.join(directory, "evaluation.csv"), evaluation.table.to_csv(evaluation.untrained or ()))


def _constant(films: Sequence[Film], config: LabelConfig) -> np.ndarray:
    labels = [read_labels(film.labels, config, film.film_id) for film in films if film.labels]
    if not labels:
        raise ConfigurationError("--train-splits: none of these films has labels to take the constant mean from")
    return mean_label(one.values for one in labels)
