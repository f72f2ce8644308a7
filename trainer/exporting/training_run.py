"""A whole training run: films and labels in; curves, figures and an exported model out."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.films.catalogue import films_of_splits, read_manifest
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.labels.annotations import render_reports
from trainer.data.dataset import Statistics, TrainingFilm, load_films, read_statistics
from trainer.data.leaks import assert_no_leak, assert_test_films_are_new, sources_of
from trainer.evaluation.curve_files import RIDGE, SMOOTHED, ridge_rows
from trainer.evaluation.evaluate import selection_score
from trainer.evaluation.metrics import CONSTANT_MEAN, MetricsTable
from trainer.evaluation.run_origin import untrained_note
from trainer.exporting.run_results import RunInput, describe_model, export_next, write_results
from trainer.foundation.config import TrainConfig

if TYPE_CHECKING:
    from trainer.data.transform import RowTransform
    from trainer.exporting.ridge_run import RidgeRun
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
            ConfigurationError: if no films are left to train on, or a film leaks (`trainer.data.leaks`).
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
        assert_test_films_are_new(sources_of([*films_train, *films_validation]), films, self.records)
        return films_train, films_validation


def train_and_export(
    data: TrainingData,
    config: TrainConfig,
    output: str,
    *,
    model: str = "network",
    export_version: int | None = None,
    checkpoint_batches: int = 0,
    devices: str = "auto",
    threads: int = 0,
) -> str | None:
    """Loads, trains, chooses the smoothing, evaluates and exports; resumes the run in `output`.

    Beside a network it fits ridge regression to the same seconds, in `<output>/ridge`, unless `config.ridge` is None.
    It prints what was cut of the labels, and the figures of the validation films.

    Args:
        data: films, features and transform.
        config: the train section.
        output: directory of the run, local or `gs://`.
        model: `network`, or `ridge` for the ridge regression alone.
        export_version: number of the exported version; None for the next free one.
        checkpoint_batches: distance in batches between checkpoints, see `trainer.training.train.train`.
        devices: the devices that share each batch, see `trainer.foundation.distribution.make_strategy`.
        threads: threads of one TensorFlow operation; 0 for all cores.

    Returns:
        The directory of the exported version; None in a worker that isn't the first.

    Raises:
        ConfigurationError: if data or configuration are wrong.
    """
    if model == RIDGE:
        config.needed_ridge()
    else:
        config.assert_an_epoch_is_chosen(bool(data.validation_splits))
    statistics = read_statistics(data.transform)
    _use_threads(threads)

    from trainer.foundation.distribution import is_chief, make_strategy

    strategy = make_strategy("one" if model == RIDGE else devices)

    from trainer.data.transform import load_transform
    from trainer.exporting.ridge_run import fit_and_export

    transform = load_transform(data.transform)
    films_train, films_validation = data.load(config, statistics, transform)
    print(render_reports([film.report for film in (*films_train, *films_validation)]))
    given = RunInput(films_train, films_validation, config, statistics, data.transform, transform.digest())
    if model == RIDGE:
        run = fit_and_export(given, output, export_version)
        _print_figures(run.table, f"ridge regression, {run.fit.penalties}", run.fit.smoothing, given)
        return run.directory
    # Before the network, while there is memory for its matrix; the first of several workers does it.
    ridge = _ridge_beside(given, output, export_version) if is_chief(strategy) else None
    return _train_network(given, ridge, output, strategy, export_version, checkpoint_batches)


def _train_network(
    given: RunInput,
    ridge: RidgeRun | None,
    output: str,
    strategy: Any,
    export_version: int | None,
    checkpoint_batches: int,
) -> str | None:
    from trainer.foundation.distribution import is_chief
    from trainer.training.train import train

    films = (given.films_train, given.films_validation)
    identity = given.identity()
    result = train(
        *films, given.config, output, identity=identity, checkpoint_batches=checkpoint_batches, strategy=strategy
    )
    if not is_chief(strategy):
        return None
    if ridge is not None and result.table is not None:
        result = replace(result, table=ridge.rows_beside(result.table))
    card = model_card(result, given)
    write_results(given, result.predictions, result.smoothing, result.constant, result.table, output)
    directory = _export(result, card, given, output, export_version)
    _print_figures(result.table, f"epoch {result.best_epoch}", result.smoothing, given)
    if ridge is not None and result.table is not None:
        _print_better_ridge(result.table, given.config.selection, ridge.directory)
    return directory


def _ridge_beside(given: RunInput, output: str, export_version: int | None) -> RidgeRun | None:
    """The ridge regression beside a network; None if it isn't wanted, or nothing chooses its penalty."""
    ridge = given.config.ridge
    if ridge is None or (ridge.penalty is None and not given.films_validation):
        return None
    from trainer.exporting.ridge_run import fit_and_export

    return fit_and_export(given, storage.join(output, RIDGE), export_version)


def model_card(result: TrainingResult, given: RunInput) -> dict[str, Any]:
    """A trained network's card, without the entries that `export_model` reads from the network itself."""
    card = describe_model(given, result.smoothing, result.constant, result.table, _weights_digest(result))
    return {**card, "window_s": given.config.model.window_s, "best_epoch": result.best_epoch, "seed": given.config.seed}


def _use_threads(threads: int) -> None:
    if threads:
        import tensorflow as tf

        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        except RuntimeError:
            print(f"note: --threads {threads} has no effect: TensorFlow runs already in this process", file=sys.stderr)


def _export(result: TrainingResult, card: dict[str, Any], given: RunInput, output: str, version: int | None) -> str:
    from trainer.exporting.export import export_model

    label_range = (given.config.labels.minimum, given.config.labels.maximum)
    return export_next(
        output,
        card,
        version,
        lambda card, place: export_model([result.model], given.transform, card, place, label_range=label_range),
    )


def _weights_digest(result: TrainingResult) -> str:
    state = hashlib.sha256()
    # Without the variables' names, whose numbers depend on what else Keras has built in the process.
    for variable in result.model.weights:
        state.update(str(tuple(variable.shape)).encode())
        state.update(variable.numpy().tobytes())
    return state.hexdigest()


def _print_figures(table: MetricsTable | None, chosen: str, smoothing: SmoothingConfig, given: RunInput) -> None:
    print()
    if table is None:
        print(f"no validation films, so nothing was chosen: {chosen} and the filter are as given")
    else:
        print(f"validation films, {chosen}:")
        print(table.to_text())
    if smoothing.method == "butterworth":
        print(f"smoothing: Butterworth, order {smoothing.order}, cutoff {smoothing.cutoff_hz:g} Hz")
    else:
        print(f"smoothing: {smoothing.method.replace('_', ' ')}")
    if given.untrained:
        print(untrained_note(given.untrained))


def _print_better_ridge(table: MetricsTable, selection: str, directory: str) -> None:
    """Says so if the linear model did better: nobody should score with the worse one without knowing it."""
    ours, ridge = (selection_score(table, selection, name) for name in (SMOOTHED, ridge_rows(SMOOTHED)))
    if ridge > ours:
        print(
            f"ridge regression does better than the network here ({selection.upper()}, mean of all targets, "
            f"smoothed): its model is {directory}"
        )
    errors = {row: selection_score(table, "mse", row) for row in (SMOOTHED, ridge_rows(SMOOTHED), CONSTANT_MEAN)}
    if max(errors, key=lambda row: errors[row]) == CONSTANT_MEAN:
        print(
            "neither has a lower MSE than the constant mean: the models have learned nothing that holds for new films"
        )
