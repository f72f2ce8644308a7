"""A whole training run: films and labels in; curves, figures and an exported model out."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from beam_pipelines.contracts.models.exported_cards import EXPORTS, exported_cards
from beam_pipelines.contracts.records.records import is_untrained
from beam_pipelines.films.catalogue import films_of_splits, read_manifest
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.foundation.version import __version__
from beam_pipelines.labels.annotations import render_reports
from trainer.data.dataset import Statistics, TrainingFilm, assert_no_leak, data_digest, load_films, read_statistics
from trainer.evaluation.curve_files import write_curve
from trainer.evaluation.evaluate import Evaluation, smooth_curves, write_evaluation
from trainer.evaluation.run_origin import untrained_note
from trainer.foundation.config import TrainConfig
from trainer.training.validation_record import write_validation

if TYPE_CHECKING:
    from trainer.data.transform import RowTransform
    from trainer.training.train import TrainingResult


@dataclass(frozen=True)
class TrainingData:
    """The data of a run: their directories, and the splits of the manifest.

    Attributes:
        manifest: CSV with the columns film_id, path, split and labels.
        records: directory of feature records.
        transform: directory of the transform graph.
        train_splits: splits to learn from.
        validation_splits: splits that choose epoch and cutoff; empty for the last of `train.epochs`, which must then be
            given, and the configured filter.
    """

    manifest: str
    records: str
    transform: str
    train_splits: tuple[str, ...] = ("train",)
    validation_splits: tuple[str, ...] = ("validation",)

    def load(
        self, config: TrainConfig, statistics: Statistics, transform: RowTransform
    ) -> tuple[list[TrainingFilm], list[TrainingFilm]]:
        """The films to learn from and those to validate with, transformed and labelled.

        Raises:
            ConfigurationError: if no films are left to train on, or a film leaks (`dataset.assert_no_leak`).
        """
        films = read_manifest(self.manifest)
        films_train, films_validation = (
            load_films(
                self.records,
                films_of_splits(films, splits, self.manifest),
                transform,
                statistics,
                config.labels,
                config.model.modalities,
            )
            for splits in (self.train_splits, self.validation_splits)
        )
        if not films_train:
            raise ConfigurationError("--train-splits: names no split to train on")
        assert_no_leak(films_train, films_validation, statistics)
        return films_train, films_validation


def train_and_export(
    data: TrainingData,
    config: TrainConfig,
    output: str,
    *,
    export_version: int | None = None,
    checkpoint_batches: int = 0,
    devices: str = "auto",
    threads: int = 0,
) -> str | None:
    """Loads, trains, chooses the smoothing, evaluates and exports; resumes the run in `output`.

    It prints what was cut of the labels, and the figures of the validation films.

    Args:
        data: films, features and transform.
        config: the train section.
        output: directory of the run, local or `gs://`.
        export_version: number of the exported version; None for the next free one.
        checkpoint_batches: distance in batches between checkpoints, see `trainer.training.train.train`.
        devices: the devices that share each batch, see `trainer.foundation.distribution.make_strategy`.
        threads: threads of one TensorFlow operation; 0 for all cores.

    Returns:
        The directory of the exported version; None in a worker that isn't the first.

    Raises:
        ConfigurationError: if data or configuration are wrong.
    """
    config.assert_an_epoch_is_chosen(bool(data.validation_splits))
    statistics = read_statistics(data.transform)
    _use_threads(threads)

    from trainer.foundation.distribution import is_chief, make_strategy

    strategy = make_strategy(devices)

    from trainer.data.transform import load_transform
    from trainer.training.train import train

    transform = load_transform(data.transform)
    films_train, films_validation = data.load(config, statistics, transform)
    print(render_reports([film.report for film in (*films_train, *films_validation)]))
    transform_sha256 = transform.digest()
    result = train(
        films_train,
        films_validation,
        config,
        output,
        identity={"transform": {"graph": transform_sha256, **statistics.identity()}},
        checkpoint_batches=checkpoint_batches,
        strategy=strategy,
    )
    if not is_chief(strategy):
        return None
    card = model_card(result, films_train, films_validation, config, statistics, transform_sha256)
    _write_results(result, films_validation, config, output, card["untrained_networks"])
    directory = _export(result, card, config, output, data.transform, export_version)
    _print_figures(result, card)
    return directory


def model_card(
    result: TrainingResult,
    films_train: Sequence[TrainingFilm],
    films_validation: Sequence[TrainingFilm],
    config: TrainConfig,
    statistics: Statistics,
    transform_sha256: str,
) -> dict[str, Any]:
    """A trained model's card, without the entries that `export_model` reads from the network itself."""
    modalities = config.model.modalities
    descriptions = {modality: dict(statistics.descriptions[modality]) for modality in modalities}
    return {
        "fingerprints": {modality: statistics.fingerprints[modality] for modality in modalities},
        "descriptions": descriptions,
        "untrained_networks": sorted(modality for modality in modalities if is_untrained(descriptions[modality])),
        "window_s": config.model.window_s,
        "smoothing": result.smoothing.model_dump(mode="json"),
        "label_range": [config.labels.minimum, config.labels.maximum],
        "validation_metrics": []
        if result.table is None
        else [row for row in result.table.to_dict() if row["scope"] != "film"],
        "constant_mean": {"valence": float(result.constant[0]), "arousal": float(result.constant[1])},
        "best_epoch": result.best_epoch,
        "seed": config.seed,
        "data": {
            "digest": data_digest([*films_train, *films_validation]),
            "train_films": [film.film_id for film in films_train],
            "validation_films": [film.film_id for film in films_validation],
            "labelled_seconds": int(sum(film.known.sum() for film in films_train)),
            "statistics_sha256": statistics.digest,
            "transform_sha256": transform_sha256,
        },
        "configuration": {"train": config.model_dump(mode="json")},
        "weights_sha256": _weights_digest(result),
        "code_version": __version__,
        "versions": {package: metadata.version(package) for package in ("tensorflow", "keras", "numpy", "scipy")},
    }


def _use_threads(threads: int) -> None:
    if threads:
        import tensorflow as tf

        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        except RuntimeError:
            print(f"note: --threads {threads} has no effect: TensorFlow runs already in this process", file=sys.stderr)


def _write_results(
    result: TrainingResult,
    films_validation: Sequence[TrainingFilm],
    config: TrainConfig,
    output: str,
    untrained: Sequence[str],
) -> None:
    smoothed = smooth_curves(result.predictions, result.smoothing, config.labels)
    for film_id, raw in result.predictions.items():
        write_curve(output, film_id, raw, smoothed[film_id])
    write_validation(result.predictions, films_validation, result.constant, result.smoothing, config, output)
    if result.table is not None:
        reports = tuple(film.report for film in films_validation)
        write_evaluation(Evaluation(result.table, reports, (), (), tuple(untrained)), output)


def _export(
    result: TrainingResult, card: dict[str, Any], config: TrainConfig, output: str, transform: str, version: int | None
) -> str:
    """Exports as the given version, else the next; if an earlier run exported this same model, it exports nothing."""
    from trainer.exporting.export import export_model

    exports = storage.join(output, EXPORTS)
    cards = exported_cards(output)
    if version is None and cards:
        newest = max(cards)
        if _is_same_model(cards[newest], card):
            print(f"this model is exported already, as version {newest}")
            return storage.join(exports, str(newest))
    if version is None:
        version = max(cards, default=0) + 1
    directory = storage.join(exports, str(version))
    label_range = (config.labels.minimum, config.labels.maximum)
    whole_card = {**card, "version": str(version)}
    return export_model([result.model], transform, whole_card, directory, label_range=label_range)


def _is_same_model(exported: dict[str, Any], card: dict[str, Any]) -> bool:
    plain = json.loads(json.dumps(card))
    return all(exported.get(key) == plain[key] for key in ("weights_sha256", "smoothing", "data", "fingerprints"))


def _weights_digest(result: TrainingResult) -> str:
    state = hashlib.sha256()
    # Without the variables' names, whose numbers depend on what else Keras has built in the process.
    for variable in result.model.weights:
        state.update(str(tuple(variable.shape)).encode())
        state.update(variable.numpy().tobytes())
    return state.hexdigest()


def _print_figures(result: TrainingResult, card: dict[str, Any]) -> None:
    print()
    if result.table is None:
        print("no validation films: the last epoch and the configured filter stand")
    else:
        print(f"validation films, epoch {result.best_epoch}:")
        print(result.table.to_text())
    smoothing = result.smoothing
    if smoothing.method == "butterworth":
        print(f"smoothing: Butterworth, order {smoothing.order}, cutoff {smoothing.cutoff_hz:g} Hz")
    else:
        print(f"smoothing: {smoothing.method.replace('_', ' ')}")
    if card["untrained_networks"]:
        print(untrained_note(card["untrained_networks"]))
