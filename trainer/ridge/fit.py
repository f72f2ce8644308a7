"""Fitting: the penalty of each target and the filter chosen on the validation films, as the network's epoch is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.foundation.errors import ConfigurationError
from trainer.data.dataset import TrainingFilm
from trainer.evaluation.curve_files import RAW
from trainer.evaluation.evaluate import choose_smoothing, evaluate_curves
from trainer.evaluation.metrics import MetricsTable, mean_label
from trainer.foundation.config import TrainConfig
from trainer.ridge.equations import RidgeEquations
from trainer.ridge.model import RidgeModel


@dataclass(frozen=True, eq=False)
class RidgeFit:
    """A fitted model and what the validation films chose.

    Attributes:
        model: the model.
        penalty: target -> its penalty.
        smoothing: the filter.
        predictions: film id -> float32 [T, targets] of every training and validation film, raw, in the labels' range.
        constant: float64 [targets], mean of the training labels (`metrics.mean_label`).
    """

    model: RidgeModel
    penalty: Mapping[str, float]
    smoothing: SmoothingConfig
    predictions: Mapping[str, np.ndarray]
    constant: np.ndarray

    @property
    def penalties(self) -> str:
        """The penalties in words."""
        return "penalty " + ", ".join(f"{value:g} ({target})" for target, value in self.penalty.items())


def fit_ridge(
    films_train: Sequence[TrainingFilm], films_validation: Sequence[TrainingFilm], config: TrainConfig
) -> RidgeFit:
    """Fits ridge regression to some films; with the same films as a network, on the same seconds and features.

    Args:
        films_train: films to learn from.
        films_validation: films that choose penalties and cutoff. Without any, `config.ridge.penalty` and
            `config.smoothing` are taken.
        config: the train section.

    Raises:
        ConfigurationError: if there are neither validation films nor a penalty, or no labelled second.
    """
    constant = mean_label(film.label_rows for film in films_train)
    penalties = _candidates(config, films_validation)
    equations = RidgeEquations(films_train, config.model.modalities, config.model.presence_input, config.needed_ridge())
    models: dict[str, RidgeModel] = {}
    targets = config.labels.targets
    chosen: dict[str, float] = dict.fromkeys(targets, penalties[0])
    best: dict[str, float] = dict.fromkeys(targets, -math.inf)
    for penalty in penalties:
        model = _model(films_train[0], config, *equations.solve(penalty))
        if films_validation and config.needed_ridge().penalty is None:
            curves = model.predict_films(films_validation)
            table = evaluate_curves({RAW: curves}, films_validation, constant, targets)
            scores = {target: _score(table, config.selection, target) for target in targets}
        else:
            scores = {target: 0.0 for target in targets if _fixed(config, target) == penalty}
        for target, score in scores.items():
            if target not in models or score > best[target]:
                models[target], chosen[target], best[target] = model, penalty, score
    model = _join([models[target] for target in targets])
    predictions = model.predict_films([*films_train, *films_validation])
    return RidgeFit(model, chosen, choose_smoothing(predictions, films_validation, config), predictions, constant)


def _candidates(config: TrainConfig, films_validation: Sequence[TrainingFilm]) -> list[float]:
    """The penalties to try, the largest first, which wins among equals."""
    given = config.needed_ridge().penalty
    if given is not None:
        lacking = [target for target in config.labels.targets if getattr(given, target) is None]
        if lacking:
            raise ConfigurationError(f"train.ridge.penalty: has none of {lacking[0]}, which train.labels.targets names")
        return sorted({_fixed(config, target) for target in config.labels.targets}, reverse=True)
    if not films_validation:
        raise ConfigurationError(
            "train.ridge.penalty: without validation films nothing chooses it; take it from a run that had some "
            "(its model card says `penalty`), for example --set 'ridge.penalty={valence: 1, arousal: 1}'"
        )
    return sorted(set(config.needed_ridge().penalties), reverse=True)


def _fixed(config: TrainConfig, target: str) -> float:
    return float(getattr(config.needed_ridge().penalty, target))


def _score(table: MetricsTable, selection: str, target: str) -> float:
    """A target's pooled figure, higher is better; an undefined correlation is the worst."""
    figure = float(getattr(table.find(RAW, target), selection))
    if math.isnan(figure):
        return -math.inf
    return -figure if selection == "mse" else figure


def _model(film: TrainingFilm, config: TrainConfig, weights: np.ndarray, offset: np.ndarray) -> RidgeModel:
    return RidgeModel(
        {modality: film.features[modality].shape[1] for modality in config.model.modalities},
        config.model.presence_input,
        config.needed_ridge().widths_s,
        weights.astype(np.float32),
        offset.astype(np.float32),
        (config.labels.minimum, config.labels.maximum),
        config.labels.targets,
    )


def _join(models: Sequence[RidgeModel]) -> RidgeModel:
    """The model that takes each target's weights from that target's model."""
    weights = np.stack([model.weights[:, :, index] for index, model in enumerate(models)], axis=-1)
    offset = np.array([model.offset[index] for index, model in enumerate(models)], np.float32)
    first = models[0]
    return RidgeModel(
        first.dimensions, first.presence_input, first.widths_s, weights, offset, first.label_range, first.targets
    )
