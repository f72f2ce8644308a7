"""Everything a training run needs to go on exactly where it was killed, in one checkpoint.

The best weights so far, the history and the running sums of the unfinished epoch lie in the same checkpoint as the
current weights and the optimizer, so that no kill can leave them at odds. Data order and dropout masks follow from
seed, epoch and step (`windows.epoch_batches`, `train.dropout_seed`) and need no state: `tf.train.Checkpoint` would
leave Keras's own dropout generators out without a word.
"""

from __future__ import annotations

import json
from typing import Any

import tensorflow as tf

from beam_pipelines import storage
from beam_pipelines.errors import ConfigurationError

IDENTITY_FILE = "run.json"
CHECKPOINTS_TO_KEEP = 2


class TrainingState:
    """A run's variables and their checkpoints.

    Attributes:
        epoch: finished epochs.
        batch: finished batches of the epoch after them.
        step: finished batches in all; the next dropout mask follows from it.
        loss_sum, gradient_norm_sum: float64 sums over the windows and the batches of the unfinished epoch.
        best_epoch: number of epochs after which validation was best; 0 before the first.
        best_score: the score then; higher is better.
    """

    def __init__(self, directory: str, model: Any, optimizer: Any, writes: bool = True):
        """Attaches to `directory`; `model` must be built, and `optimizer` built on its variables.

        Without `writes` nothing is ever saved: of several workers one does it.
        """
        self._writes = writes
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
        """One entry a finished epoch."""
        return list(json.loads(self._history.numpy().decode()))

    def append_history(self, entry: dict[str, Any]) -> None:
        """Adds an epoch's entry of plain values."""
        self._history.assign(json.dumps([*self.history, entry]))

    def restore(self) -> bool:
        """Goes on from the newest whole checkpoint; False where there is none."""
        newest = self._manager.latest_checkpoint
        if newest is None:
            return False
        self._checkpoint.restore(newest).assert_existing_objects_matched()
        return True

    def save(self) -> None:
        """Writes a checkpoint; the one before it stays until this one is whole."""
        if not self._writes:
            return
        self._manager.save(checkpoint_number=self.step)

    def keep_best(self, score: float) -> None:
        """Remembers the current weights as the best, reached after `epoch` epochs."""
        for best, variable in zip(self._best, self._variables, strict=True):
            best.assign(tf.convert_to_tensor(variable))
        self.best_epoch.assign(self.epoch)
        self.best_score.assign(score)

    def load_best(self) -> None:
        """Gives the model its best weights."""
        for best, variable in zip(self._best, self._variables, strict=True):
            variable.assign(best)


def claim_directory(directory: str, identity: dict[str, Any]) -> None:
    """Writes down what a run in `directory` depends on, or compares it with what is written there.

    Raises:
        ConfigurationError: when a run of another configuration or other data lies there; it names what differs.
    """
    uri = storage.join(directory, IDENTITY_FILE)
    content = json.loads(json.dumps(identity))
    try:
        there = json.loads(storage.read_text(uri))
    except FileNotFoundError:
        storage.write_text(uri, json.dumps(content, indent=2, sort_keys=True) + "\n")
        return
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{uri}: not readable as JSON ({error}); choose another --output") from error
    differing = list(_differences(there, content, ""))
    if differing:
        raise ConfigurationError(
            f"{directory}: holds a training run that differs in {', '.join(differing)}{_of_transform(there, content)}; "
            "choose another --output, or remove that run"
        )


def _of_transform(there: dict[str, Any], here: dict[str, Any]) -> str:
    return ": it has another transform" if there.get("transform") != here.get("transform") else ""


def _differences(there: Any, here: Any, path: str) -> Any:
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted({*there, *here}):
            yield from _differences(there.get(key), here.get(key), f"{path}.{key}" if path else key)
    elif there != here:
        yield f"{path} ({there} there, {here} here)"
