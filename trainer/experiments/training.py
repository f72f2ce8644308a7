"""Two steps of an experiment: a training that chooses epoch and filter on validation films, and a final one on all.

Both write the curves of the films that they predict to `<step>/curves/<film_id>.csv`. Every table is made from these
files, so that a second run reads what the first has written.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beam_pipelines.contracts.curves.curves import curve_uri
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.contracts.models.exported_cards import EXPORTS, exported_cards
from beam_pipelines.contracts.records.feature_track import PRESENT_SUFFIX
from beam_pipelines.contracts.records.records import read_record, record_uri
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError
from trainer.data.leaks import assert_no_leak
from trainer.evaluation.curve_files import RIDGE, SMOOTHED, read_curve, write_curve
from trainer.evaluation.evaluate import smooth_curves
from trainer.experiments.cached_steps import Step, step
from trainer.experiments.data import TEST, TRAIN, VALIDATION, ExperimentData
from trainer.exporting.training_run import TrainingData, train_and_export
from trainer.foundation.config import TrainConfig

SEED_STRIDE = 1000
"""The distance between the seeds of one run, so that they differ from other runs' seeds."""


def with_seed(config: TrainConfig, number: int) -> TrainConfig:
    """The configuration with the seed of the training with this number, counted from 0."""
    return config.model_copy(update={"seed": config.seed + SEED_STRIDE * number})


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        directory: the directory of its step.
        best_epoch: the best epoch on the validation films, from 1.
        epochs_by_score: all epochs, best first; those with an undefined score last.
        smoothing: the chosen filter.
        targets: what it predicts.
    """

    directory: str
    best_epoch: int
    epochs_by_score: tuple[int, ...]
    smoothing: SmoothingConfig
    targets: tuple[str, ...] = TARGETS

    def curves(self, films: Sequence[Film], kind: str = SMOOTHED) -> dict[str, np.ndarray]:
        """The `raw` or `smoothed` curves of some films, float64 [T, targets] each."""
        return read_curves(self.directory, films, kind, self.targets)


def read_curves(
    directory: str, films: Sequence[Film], kind: str = SMOOTHED, targets: Sequence[str] = TARGETS
) -> dict[str, np.ndarray]:
    """The `raw` or `smoothed` curves of some films in a step's directory, film id -> float64 [T, targets]."""
    return {f.film_id: read_curve(curve_uri(directory, f.film_id), targets)[kind] for f in films}


def train_selecting(
    output: str, name: str, data: ExperimentData, config: TrainConfig, *, predict_test: bool
) -> Trained:
    """Trains on the split `train`, once; the split `validation` chooses epoch and filter.

    Args:
        output: directory of the experiment.
        name: the step's name.
        data: films, features and transform.
        config: the train section.
        predict_test: whether the films of the split `test` are loaded and predicted too; else nothing reads them.

    Raises:
        ConfigurationError: if data or configuration are wrong, or there are no validation films.
    """
    splits = (TRAIN, VALIDATION, TEST) if predict_test else (TRAIN, VALIDATION)
    settings = config.model_dump(mode="json", exclude={RIDGE})
    found = step(output, name, {"train": settings, "data": data.identity(config.labels, splits)})
    result = found.result()
    if result is None:
        print(f"training: {found.directory}", flush=True)
        result = _train_selecting(found, data, config, splits)
    return Trained(
        found.directory,
        result["best_epoch"],
        tuple(result["epochs_by_score"]),
        SmoothingConfig.model_validate(result["smoothing"]),
        config.labels.targets,
    )


def _train_selecting(found: Step, data: ExperimentData, config: TrainConfig, splits: Sequence[str]) -> dict[str, Any]:
    from trainer.data.windows import stack_films
    from trainer.training.run import predict_films
    from trainer.training.train import train

    films = {split: data.load(split, config.labels, config.model.modalities) for split in splits}
    if not films[TRAIN] or not films[VALIDATION]:
        raise ConfigurationError(f"{data.manifest}: films of the splits train and validation are needed")
    held_out = [film for split in splits[1:] for film in films[split]]
    assert_no_leak(films[TRAIN], held_out, data.statistics())
    identity = {"transform": data.transform_identity()}
    trained = train(films[TRAIN], films[VALIDATION], config, found.directory, identity=identity)
    curves = {film.film_id: trained.predictions[film.film_id] for film in films[VALIDATION]}
    if films.get(TEST):
        curves.update(predict_films(trained.model, stack_films(films[TEST]), config.labels))
    write_curves(found.directory, curves, trained.smoothing, config)
    result = found.finish(
        best_epoch=trained.best_epoch,
        epochs_by_score=epochs_by_score(trained.history, config.selection),
        smoothing=trained.smoothing.model_dump(mode="json"),
    )
    del trained, films, held_out
    _release()
    return result


def epochs_by_score(history: Sequence[Mapping[str, Any]], selection: str) -> list[int]:
    """The epochs of a history, best validation score first; of equal ones the earlier first; without a score last."""

    def key(entry: Mapping[str, Any]) -> tuple[float, int]:
        score = entry["score"]
        if score is None:
            return math.inf, entry["epoch"]
        return (score if selection == "mse" else -score), entry["epoch"]

    return [int(entry["epoch"]) for entry in sorted(history, key=key)]


def train_final(
    output: str,
    name: str,
    data: ExperimentData,
    config: TrainConfig,
    write_page: Callable[[str], object],
    model: str = "network",
) -> str:
    """Trains on the split `train` for all `config.epochs`, exports the model and predicts the test films with it, once.

    Args:
        output: directory of the experiment.
        name: the step's name.
        data: films, features and transform.
        config: the train section.
        write_page: writes the page of the training run in a directory.
        model: `network`, or `ridge` with the penalties of `config.ridge`.

    Returns:
        The step's directory: it holds `exports/`, and the curves of the split `test`, smoothed by `config.smoothing`.

    Raises:
        ConfigurationError: if data or configuration are wrong.
    """
    settings = config.model_dump(mode="json", exclude=set() if model == RIDGE else {RIDGE})
    found = step(output, name, {"train": settings, "data": data.identity(config.labels, (TRAIN, TEST))})
    if found.result() is not None:
        return found.directory
    print(f"training: {found.directory}", flush=True)
    everything = TrainingData(data.manifest, data.records, data.transform, (TRAIN,), ())
    train_and_export(everything, config, found.directory, model=model)
    write_page(found.directory)
    _release()
    cards = exported_cards(found.directory)
    version = max(cards)
    raw = predict_exported(storage.join(found.directory, EXPORTS, str(version)), data, config)
    write_curves(found.directory, raw, config.smoothing, config)
    found.finish(version=version, weights_sha256=cards[version]["weights_sha256"])
    _release()
    return found.directory


def predict_exported(model_directory: str, data: ExperimentData, config: TrainConfig) -> dict[str, np.ndarray]:
    """An exported model's predictions of the test films: film id -> float32 [T, targets], raw, in the labels' range."""
    import tensorflow as tf

    curves = {}
    with storage.local_tree(model_directory) as path:
        signature = tf.saved_model.load(str(path)).signatures["serving_default"]
        for film in data.films(TEST):
            record = read_record(record_uri(data.records, film.film_id), config.model.modalities)
            inputs = {m: tf.constant(track.values) for m, track in record.tracks.items()}
            inputs.update({m + PRESENT_SUFFIX: tf.constant(track.present) for m, track in record.tracks.items()})
            answer = signature(**inputs)
            curves[film.film_id] = np.stack([answer[target].numpy() for target in config.labels.targets], axis=1)
    return curves


def write_curves(
    directory: str, raw: Mapping[str, np.ndarray], smoothing: SmoothingConfig, config: TrainConfig
) -> None:
    """Writes some films' curves, raw and smoothed, to a step's directory."""
    smoothed = smooth_curves(raw, smoothing, config.labels)
    for film_id, curve in raw.items():
        write_curve(directory, film_id, curve, smoothed[film_id], config.labels.targets)


def _release() -> None:
    """Frees a training's memory on the device, since many trainings follow each other in one process."""
    import keras

    keras.utils.clear_session()
    gc.collect()
