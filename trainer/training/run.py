"""One training run: its data on the device, its network and optimizer, epoch after epoch with validation by film."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.labels.config import LabelConfig
from trainer.data.agreement import agreement_weights
from trainer.data.dataset import TrainingFilm
from trainer.data.windows import WindowTable, epoch_batches, stack_films, window_ends
from trainer.evaluation.curve_files import RAW
from trainer.evaluation.evaluate import evaluate_curves, selection_score
from trainer.evaluation.metrics import mean_label
from trainer.foundation.config import TrainConfig
from trainer.foundation.distribution import chiefs_value, is_chief
from trainer.network.model import AffectModel, build_model
from trainer.training.checkpoint_folder import CheckpointFolder
from trainer.training.checkpoints import TrainingState
from trainer.training.epoch_log import EventLog, write_history
from trainer.training.progress import TrainingProgress
from trainer.training.step import make_optimizer, make_step

POPULATION_WINDOWS = 16_384
"""Training windows, evenly spaced, that population statistics are taken from at most: their own error is below 1 %."""


class DivergenceError(ConfigurationError):
    """The loss is no longer finite; the text names the epoch and what to change."""


def dropout_seed(seed: int, step: int) -> np.ndarray:
    """The seed of a step's dropout masks, int32 [2]; no checkpoint needs to hold it."""
    return np.array([seed & 0x7FFFFFFF, step], np.int32)


class TrainingRun:
    """One run: its data on the device, its model, optimizer and state."""

    def __init__(
        self,
        films_train: Sequence[TrainingFilm],
        films_validation: Sequence[TrainingFilm],
        config: TrainConfig,
        output: str,
        checkpoint_batches: int,
        strategy: Any,
        folder: CheckpointFolder,
    ):
        self.strategy, self._writes = strategy, is_chief(strategy)
        self.config, self.output, self.checkpoint_batches = config, output, checkpoint_batches
        self.films_validation = films_validation
        self._constant = mean_label(film.label_rows for film in films_train)
        self.table = stack_films(films_train)
        if config.weigh_by_agreement:
            self.table = replace(self.table, weights=agreement_weights(films_train))
        self.validation = stack_films(films_validation) if films_validation else None
        self._dimensions = {modality: values.shape[1] for modality, values in films_train[0].features.items()}
        self._slots = {modality: present.shape[1] for modality, present in films_train[0].present.items()}
        with strategy.scope():
            self.model = self._build_model()
            self.optimizer = make_optimizer(config)
            self.optimizer.build(self.model.trainable_variables)
        self.state = TrainingState(
            str(folder.path), self.model, self.optimizer, self._writes, folder.publish, folder.uri
        )
        self._step = make_step(self.model, self.optimizer, self.table, self.state, config, strategy)

    def until_done(
        self, progress: TrainingProgress, events: EventLog, on_epoch: Callable[[Mapping[str, Any]], None] | None = None
    ) -> None:
        """Runs the remaining epochs; afterwards the model has the weights of the chosen one."""
        self.state.restore()
        self._assert_workers_agree()
        progress.start(self.config.most_epochs, int(self.state.epoch.numpy()))
        while not self._finished():
            started = time.monotonic()
            self._run_epoch(progress)
            entry = self._close_epoch()
            entry["wall_s"] = round(time.monotonic() - started, 3)
            self.state.append_history(entry)
            events.add(entry)
            self.state.save()
            self._write_history()
            progress.epoch_done(entry)
            if on_epoch is not None:
                on_epoch(entry)
        self._write_history()
        self.state.load_best()
        if self.strategy.num_replicas_in_sync > 1:
            # One device predicts and exports: from here on the weights are those of a plain model.
            distributed, self.model = self.model, self._build_model()
            self.model.set_weights(distributed.get_weights())

    def _build_model(self) -> AffectModel:
        """The untrained network, which predicts the mean of the training labels."""
        config, labels = self.config, self.config.labels
        given = self._dimensions, config.seed, config.precision, self._slots, labels.targets
        model = build_model(config.model, *given)
        model.fusion.start_at((self._constant - labels.minimum) / (labels.maximum - labels.minimum))
        return model

    def _write_history(self) -> None:
        if self._writes:
            write_history(self.state.history, self.output)

    def _assert_workers_agree(self) -> None:
        own = int(self.state.step.numpy())
        of_chief = int(chiefs_value(self.strategy, own))
        if own != of_chief:
            raise ConfigurationError(
                f"{self.output}: this worker goes on from step {own}, the first worker from step {of_chief}; --output "
                "must be a directory that all workers share, or gs://"
            )

    def predict_all(self) -> dict[str, np.ndarray]:
        """The predictions for all films, film id -> float32 [T, targets], in the labels' range."""
        predictions = predict_films(self.model, self.table, self.config.labels)
        if self.validation is not None:
            predictions.update(predict_films(self.model, self.validation, self.config.labels))
        return predictions

    def _finished(self) -> bool:
        epoch, best = int(self.state.epoch.numpy()), int(self.state.best_epoch.numpy())
        waited = epoch - best if self.films_validation and self.config.patience else -1
        return epoch >= self.config.most_epochs or waited >= max(self.config.patience, 1)

    def _run_epoch(self, progress: TrainingProgress) -> None:
        """Runs the remaining batches of the current epoch."""
        config, state = self.config, self.state
        epoch = int(state.epoch.numpy())
        ends = window_ends(self.table, config.stride_s, epoch)
        if not len(ends):
            raise ConfigurationError(
                f"train.stride_s: no labelled second of the training films lies on a stride of {config.stride_s} s"
            )
        batches = epoch_batches(ends, config.batch_size, config.seed, epoch)
        if len(batches[-1]) < self.strategy.num_replicas_in_sync:
            raise ConfigurationError(
                f"train.batch_size: batches of {len(batches[-1])} windows can't be shared by "
                f"{self.strategy.num_replicas_in_sync} devices; use fewer devices"
            )
        for index in range(int(state.batch.numpy()), len(batches)):
            step = int(state.step.numpy())
            self._step(batches[index], dropout_seed(config.seed, step))
            state.step.assign_add(1)
            state.batch.assign_add(1)
            if self.checkpoint_batches and (index + 1) % self.checkpoint_batches == 0 and index + 1 < len(batches):
                state.save()
            progress.batch_done(epoch + 1, index + 1, len(batches))
        self._windows, self._batches = len(ends), len(batches)

    def _close_epoch(self) -> dict[str, Any]:
        """Validates, keeps the best weights, and returns the epoch's line of the history."""
        config, state = self.config, self.state
        loss = float(state.loss_sum.numpy()) / self._windows
        state.epoch.assign_add(1)
        epoch = int(state.epoch.numpy())
        if not (math.isfinite(loss) and all(np.isfinite(variable.numpy()).all() for variable in self.model.weights)):
            raise DivergenceError(
                f"{self.output}: in epoch {epoch} the loss or a weight is no longer finite; lower "
                "train.learning_rate, or set train.gradient_clip_norm (1.0, for example)"
            )
        entry: dict[str, Any] = {
            "epoch": epoch,
            "batches": self._batches,
            "loss": loss,
            "gradient_norm": float(state.gradient_norm_sum.numpy()) / self._batches,
        }
        self._set_population_statistics()
        figures, score = self._validate()
        better = score is None or score > float(state.best_score.numpy()) or int(state.best_epoch.numpy()) == 0
        if better:
            state.keep_best(-math.inf if score is None else score)
        # If the selection is an error, people see the error and not its negative.
        shown = None if score is None or math.isinf(score) else abs(score) if config.selection == "mse" else score
        entry.update(figures)
        entry.update({"selection": config.selection, "score": shown, "best": better})
        for variable in (state.batch, state.loss_sum, state.gradient_norm_sum):
            variable.assign(tf.zeros_like(variable))
        return entry

    def _set_population_statistics(self) -> None:
        """Takes batch normalisation's population statistics from the epoch's windows, since moving averages lag."""
        if not self.config.model.batch_normalization:
            return
        ends = window_ends(self.table, self.config.stride_s, int(self.state.epoch.numpy()) - 1)
        ends = ends[:: -(-len(ends) // POPULATION_WINDOWS)]
        spans = self.table.spans.items()
        own = {film_id: ends[(first <= ends) & (ends < stop)] - first for film_id, (first, stop) in spans}
        self.model.set_population_statistics((self.table.film(film), rows) for film, rows in own.items() if len(rows))
        # One worker's statistics count for all: a last digit may differ.
        for variable in self.model.non_trainable_weights:
            variable.assign(chiefs_value(self.strategy, variable.numpy()))

    def _validate(self) -> tuple[dict[str, float | None], float | None]:
        if self.validation is None:
            return {}, None
        curves = predict_films(self.model, self.validation, self.config.labels)
        table = evaluate_curves({RAW: curves}, self.films_validation, self._constant, self.config.labels.targets)
        figures: dict[str, float | None] = {}
        for target in table.targets:
            row = table.find(RAW, target)
            figures.update({f"{target}_mse": row.mse, f"{target}_pcc": row.pcc, f"{target}_ccc": row.ccc})
        defined = {name: None if value is None or math.isnan(value) else value for name, value in figures.items()}
        # One worker's score counts for all; otherwise a last digit could stop one of them before the others.
        return defined, chiefs_value(self.strategy, selection_score(table, self.config.selection, RAW))


def predict_films(model: AffectModel, table: WindowTable, labels: LabelConfig) -> dict[str, np.ndarray]:
    """The predictions of films, one film at a time: film id -> float32 [T, targets], in the labels' range."""
    span = np.float32(labels.maximum - labels.minimum)
    predictions = {}
    for film_id, (first, stop) in table.spans.items():
        probabilities = model.predict_rows(table.film(film_id), np.zeros(stop - first, np.int32))
        predictions[film_id] = (np.float32(labels.minimum) + span * probabilities.numpy()).astype(np.float32)
    return predictions
