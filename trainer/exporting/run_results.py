"""What every training run leaves, of a network or of ridge regression: card, curves, figures, and its next version."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.contracts.models.exported_cards import EXPORTS, exported_cards
from beam_pipelines.contracts.models.seen_features import seen_features
from beam_pipelines.contracts.records.records import is_untrained
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.version import __version__
from trainer.data.dataset import Statistics, TrainingFilm, data_digest
from trainer.data.leaks import sources_of
from trainer.evaluation.curve_files import write_curve
from trainer.evaluation.evaluate import Evaluation, smooth_curves, write_evaluation
from trainer.evaluation.metrics import MetricsTable
from trainer.foundation.config import TrainConfig
from trainer.training.validation_record import write_validation


@dataclass(frozen=True, eq=False)
class RunInput:
    """All that a run's models are made from.

    Attributes:
        films_train, films_validation: the films.
        config: the train section.
        statistics: those of the transform.
        transform: directory of the transform graph.
        transform_sha256: `RowTransform.digest` of it.
    """

    films_train: Sequence[TrainingFilm]
    films_validation: Sequence[TrainingFilm]
    config: TrainConfig
    statistics: Statistics
    transform: str
    transform_sha256: str

    def identity(self) -> dict[str, Any]:
        """The transform as a run notes it."""
        return {"transform": {"graph": self.transform_sha256, **self.statistics.identity()}}

    @property
    def untrained(self) -> list[str]:
        """The modalities whose features come from networks with random weights."""
        descriptions = self.statistics.descriptions
        return sorted(m for m in self.config.model.modalities if is_untrained(descriptions[m]))


def describe_model(
    given: RunInput, smoothing: SmoothingConfig, constant: np.ndarray, table: MetricsTable | None, weights_sha256: str
) -> dict[str, Any]:
    """The entries of a card that networks and ridge regressions share."""
    config, statistics = given.config, given.statistics
    modalities = config.model.modalities
    return {
        "fingerprints": {modality: statistics.fingerprints[modality] for modality in modalities},
        "descriptions": {modality: dict(statistics.descriptions[modality]) for modality in modalities},
        "untrained_networks": given.untrained,
        "smoothing": smoothing.model_dump(mode="json"),
        "seen": _seen(given),
        "label_range": [config.labels.minimum, config.labels.maximum],
        "label_lag_s": config.labels.lag_s,
        "validation_metrics": [] if table is None else [row for row in table.to_dict() if row["scope"] != "film"],
        "constant_mean": dict(zip(config.labels.targets, map(float, constant), strict=True)),
        "data": {
            "digest": data_digest([*given.films_train, *given.films_validation]),
            "train_films": [film.film_id for film in given.films_train],
            "validation_films": [film.film_id for film in given.films_validation],
            "source_sha256": sources_of([*given.films_train, *given.films_validation]),
            "labelled_seconds": int(sum(film.known.sum() for film in given.films_train)),
            "statistics_sha256": statistics.digest,
            "transform_sha256": given.transform_sha256,
        },
        "configuration": {"train": config.model_dump(mode="json")},
        "weights_sha256": weights_sha256,
        "code_version": __version__,
        "versions": {package: metadata.version(package) for package in ("tensorflow", "keras", "numpy", "scipy")},
    }


def _seen(given: RunInput) -> dict[str, Any]:
    """Modality -> what the training films' features were like."""
    clip = given.statistics.settings.get("clip")
    found = {
        modality: seen_features(((film.features[modality], film.present[modality]) for film in given.films_train), clip)
        for modality in given.config.model.modalities
    }
    return {modality: seen.model_dump(mode="json") for modality, seen in found.items() if seen is not None}


def write_results(
    given: RunInput,
    predictions: Mapping[str, np.ndarray],
    smoothing: SmoothingConfig,
    constant: np.ndarray,
    table: MetricsTable | None,
    output: str,
) -> None:
    """Writes a run's curves, `validation.json`, and `evaluation.json` and `.csv` if there is a table."""
    smoothed = smooth_curves(predictions, smoothing, given.config.labels)
    for film_id, raw in predictions.items():
        write_curve(output, film_id, raw, smoothed[film_id], given.config.labels.targets)
    write_validation(predictions, given.films_validation, constant, smoothing, given.config, output)
    if table is not None:
        reports = tuple(film.report for film in given.films_validation)
        chosen_on = tuple(film.film_id for film in given.films_validation)
        write_evaluation(Evaluation(table, reports, (), (), tuple(given.untrained), (), chosen_on), output)


def export_next(
    output: str, card: Mapping[str, Any], version: int | None, export: Callable[[dict[str, Any], str], str]
) -> str:
    """Exports as the given version, else the next; if an earlier run exported this same model, it exports nothing.

    Args:
        output: directory of the run.
        card: the model's description.
        version: the number, or None.
        export: (card, directory) -> directory; exports the model.
    """
    exports, cards = storage.join(output, EXPORTS), exported_cards(output)
    there = max(cards, default=0) if version is None else version
    # Ridge regression is exported before its network is trained: a training that was killed finds it when it goes on.
    may_be_there = version is None or "penalty" in card
    if may_be_there and there in cards and _identity(cards[there]) == _identity(json.loads(json.dumps(card))):
        print(f"this model is exported already, as version {there}")
        return storage.join(exports, str(there))
    if version is None:
        version = max(cards, default=0) + 1
    return export({**card, "version": str(version)}, storage.join(exports, str(version)))


def _identity(card: Mapping[str, Any]) -> list[Any]:
    """The entries by which a run's models are told apart."""
    inputs = [card.get(key) for key in ("smoothing", "data", "fingerprints")]
    if "penalty" not in card:
        return [card.get("weights_sha256"), *inputs]
    # Not ridge's weights: their last bits depend on the processor, and a killed training may go on with another one.
    return [card["penalty"], card["configuration"]["train"]["ridge"], card.get("code_version"), *inputs]
