"""Training: a custom step, epochs with validation by film, checkpoints, and the choice of the smoothing.

One step (`trainer.training.step`) gathers a batch of windows on the device, computes the loss of both targets and
applies Adam. A killed run resumes from its last checkpoint and ends with the weights of an uninterrupted run, bit for
bit: order and dropout masks depend only on seed, epoch and step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.foundation import storage
from trainer.data.dataset import TrainingFilm
from trainer.evaluation.curve_files import RAW, SMOOTHED
from trainer.evaluation.evaluate import choose_smoothing, evaluate_curves, smooth_curves
from trainer.evaluation.metrics import MetricsTable, mean_label
from trainer.evaluation.rater_rows import rater_rows
from trainer.foundation.config import TrainConfig
from trainer.foundation.distribution import is_chief
from trainer.network.model import AffectModel
from trainer.training.checkpoint_folder import checkpoint_folder
from trainer.training.epoch_log import event_log
from trainer.training.progress import TrainingProgress
from trainer.training.run import TrainingRun
from trainer.training.run_identity import claim_directory, run_identity


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """A finished run.

    Attributes:
        model: the model with the weights of the chosen epoch.
        history: one entry per epoch: `epoch, batches, loss, gradient_norm, valence_mse, …, score, best, wall_s`.
        best_epoch: the chosen epoch, from 1; the last one if there are no validation films.
        smoothing: the filter, with the cutoff chosen on the validation films.
        predictions: film id -> float32 [T, targets] of every training and validation film, in the labels' range, raw.
        constant: float64 [targets], mean of the training labels (`metrics.mean_label`).
        table: constant mean, raters, raw and smoothed on the validation films; None if there are none.
    """

    model: AffectModel
    history: tuple[dict[str, Any], ...]
    best_epoch: int
    smoothing: SmoothingConfig
    predictions: Mapping[str, np.ndarray]
    constant: np.ndarray
    table: MetricsTable | None


def train(
    films_train: Sequence[TrainingFilm],
    films_validation: Sequence[TrainingFilm],
    config: TrainConfig,
    output: str,
    *,
    identity: Mapping[str, Any] | None = None,
    checkpoint_batches: int = 0,
    progress: TrainingProgress | None = None,
    on_epoch: Callable[[Mapping[str, Any]], None] | None = None,
    strategy: Any = None,
) -> TrainingResult:
    """Trains a model, or resumes the run in `output`; writes checkpoints, logs and history there.

    It switches on TensorFlow's deterministic operations for the whole process. Each of several workers calls it with
    the same films and configuration; the first writes, and the others only read.

    Args:
        films_train: films to learn from.
        films_validation: films that choose epoch and cutoff. Without any, the run takes the last of `config.epochs`
            and `config.smoothing`.
        config: the train section.
        output: directory of the run, local or `gs://`.
        identity: other dependencies of the run (for example the transform); a run of another identity isn't resumed.
        checkpoint_batches: distance in batches between checkpoints within an epoch; 0 makes them only after epochs.
        progress: shows the progress.
        on_epoch: called with an epoch's line of the history after its checkpoint; an exception from it ends the run.
        strategy: devices and workers that share each batch (`trainer.foundation.distribution`); None for one device.
            They don't change the run.

    Raises:
        ConfigurationError: if there are no windows to train on, neither validation films nor `config.epochs` end the
            training, a batch has fewer windows than there are devices, `output` holds another run, or workers find
            different checkpoints there.
        DivergenceError: if the loss is no longer finite.
    """
    config.assert_an_epoch_is_chosen(bool(films_validation))
    tf.config.experimental.enable_op_determinism()
    strategy = strategy or tf.distribute.get_strategy()
    if is_chief(strategy):
        claim_directory(output, run_identity(films_train, films_validation, config, identity or {}))
    with (
        checkpoint_folder(storage.join(output, "checkpoints")) as folder,
        event_log(output, is_chief(strategy)) as events,
        progress or TrainingProgress() as shown,
    ):
        run = TrainingRun(films_train, films_validation, config, output, checkpoint_batches, strategy, folder)
        run.until_done(shown, events, on_epoch)
    predictions = run.predict_all()
    constant = mean_label(film.label_rows for film in films_train)
    smoothing = choose_smoothing(predictions, films_validation, config)
    return TrainingResult(
        model=run.model,
        history=tuple(run.state.history),
        best_epoch=int(run.state.best_epoch.numpy()),
        smoothing=smoothing,
        predictions=predictions,
        constant=constant,
        table=_table(predictions, films_validation, smoothing, constant, config) if films_validation else None,
    )


def _table(
    predictions: Mapping[str, np.ndarray],
    films: Sequence[TrainingFilm],
    smoothing: SmoothingConfig,
    constant: np.ndarray,
    config: TrainConfig,
) -> MetricsTable:
    """The figures of the validation films' curves, raw and smoothed, next to the constant mean."""
    raw = {film.film_id: predictions[film.film_id] for film in films}
    curves = {RAW: raw, SMOOTHED: smooth_curves(raw, smoothing, config.labels)}
    table = evaluate_curves(curves, films, constant, config.labels.targets)
    return table.beside_raters(rater_rows(films, config.labels.targets))
