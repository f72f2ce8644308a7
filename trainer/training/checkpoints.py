"""Checkpoints with everything that a killed training run needs to resume exactly where it stopped.

The best weights so far, the history and the running sums of the unfinished epoch are in the same checkpoint as the
current weights and the optimizer, so that a kill can't leave them inconsistent. Data order and dropout masks depend
only on seed, epoch and step (`windows.epoch_batches`, `train.dropout_seed`) and need no state: `tf.train.Checkpoint`
silently omits Keras's own dropout generators.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from beam_pipelines.foundation.errors import ConfigurationError, DiskFullError

CHECKPOINTS_TO_KEEP = 2


class TrainingState:
    """A run's variables and their checkpoints.

    Attributes:
        epoch: number of finished epochs.
        batch: number of finished batches of the current epoch.
        step: number of finished batches of all epochs; the next dropout mask depends on it.
        loss_sum, gradient_norm_sum: float64 sums over the windows and the batches of the unfinished epoch.
        best_epoch: number of epochs after which validation was best; 0 before the first.
        best_score: the score after `best_epoch`; higher is better.
    """

    def __init__(
        self,
        directory: str,
        model: Any,
        optimizer: Any,
        writes: bool = True,
        publish: Callable[[], None] | None = None,
        uri: str | None = None,
    ):
        """Attaches to the local `directory`; `model` must be built, and `optimizer` built on its variables.

        Without `writes` it saves nothing: only one of several workers writes. `publish` is called after each checkpoint
        and copies it to `uri`, where it outlives this machine.
        """
        self._directory, self._writes, self._publish = directory, writes, publish
        self._uri = uri or directory
        self._variables = list(model.weights)
        self._best = [tf.Variable(tf.convert_to_tensor(variable)) for variable in self._variables]
        self.epoch = tf.Variable(0, dtype=tf.int64)
        self.batch = tf.Variable(0, dtype=tf.int64)
        self.step = tf.Variable(0, dtype=tf.int64)
        self.loss_sum = tf.Variable(0.0, dtype=tf.float64)
        self.gradient_norm_sum = tf.Variable(0.0, dtype=tf.float64)
        self.best_epoch = tf.Variable(0, dtype=tf.int64)
        self.best_score = tf.Variable(-float("inf"), dtype=tf.float64)
        self._history = tf.Variable("[]", dtype=tf.string)
        self._checkpoint = tf.train.Checkpoint(
            model=model,
            optimizer=optimizer,
            best=self._best,
            epoch=self.epoch,
            batch=self.batch,
            step=self.step,
            loss_sum=self.loss_sum,
            gradient_norm_sum=self.gradient_norm_sum,
            best_epoch=self.best_epoch,
            best_score=self.best_score,
            history=self._history,
        )
        self._manager = tf.train.CheckpointManager(self._checkpoint, directory, max_to_keep=CHECKPOINTS_TO_KEEP)

    @property
    def history(self) -> list[dict[str, Any]]:
        """The history: one entry per finished epoch."""
        return list(json.loads(self._history.numpy().decode()))

    def append_history(self, entry: dict[str, Any]) -> None:
        """Adds an epoch's entry of plain values."""
        self._history.assign(json.dumps([*self.history, entry]))

    def restore(self) -> bool:
        """Restores the newest checkpoint; returns False if there is none.

        Raises:
            ConfigurationError: if files of the newest checkpoint are absent or incomplete.
        """
        newest = self._manager.latest_checkpoint
        if newest is None:
            return False
        try:
            self._checkpoint.restore(newest).assert_existing_objects_matched()
        # TensorFlow's reader raises an IndexError for a file that ends too early.
        except (tf.errors.NotFoundError, tf.errors.OutOfRangeError, tf.errors.DataLossError, IndexError) as error:
            why = str(error).split("\n", 1)[0]
            raise ConfigurationError(
                f"{self._uri}: names {os.path.basename(newest)}, but that isn't whole there ({why}); bring its files "
                "back, or remove this folder, and the run begins anew"
            ) from error
        return True

    def save(self) -> None:
        """Writes a checkpoint; the previous one stays until this one is whole.

        Raises:
            DiskFullError: if the disk has no space for it.
            StorageError: if it can't be published.
        """
        if not self._writes:
            return
        try:
            self._manager.save(checkpoint_number=self.step)
        except (tf.errors.ResourceExhaustedError, tf.errors.OutOfRangeError) as error:
            raise DiskFullError(
                f"{self._directory}: no room for a checkpoint ({error.message}); free some, or choose a larger disk "
                "(TMPDIR names the folder for those of a run in gs://), and start again: the run goes on"
            ) from error
        if self._publish is not None:
            self._publish()

    def keep_best(self, score: float) -> None:
        """Stores the current weights as the best, reached after `epoch` epochs."""
        for best, variable in zip(self._best, self._variables, strict=True):
            best.assign(tf.convert_to_tensor(variable))
        self.best_epoch.assign(self.epoch)
        self.best_score.assign(score)

    def load_best(self) -> None:
        """Gives the model its best weights."""
        for best, variable in zip(self._best, self._variables, strict=True):
            variable.assign(best)
