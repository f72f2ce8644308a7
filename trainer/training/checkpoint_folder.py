"""Where a run's checkpoints lie: in a local folder, and for a run in `gs://` in a bucket too.

TensorFlow's own `gs://` knows neither an emulator nor this project's errors, so it always writes to a local folder. For
a run in a bucket that is a temporary one, filled from the bucket at the beginning. After each checkpoint it is copied
there, in an order that leaves a checkpoint to go on from whenever the run is killed:

    ckpt-N.data-…, ckpt-N.index     nothing names them yet
    checkpoint                      from now on ckpt-N is the newest
    removals                        of what `checkpoint` no longer names

`checkpoint` is written only where it still is what this run has read or written, so that of two runs in one folder one
ends with an error, before it has removed anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import tensorflow as tf

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError

STATE_FILE = "checkpoint"
"""TensorFlow's own: it names the checkpoints, the newest among them, by paths relative to their folder."""


class AnotherRunError(ConfigurationError):
    """Two runs write their checkpoints to one folder."""


@dataclass
class CheckpointFolder:
    """Checkpoints on local disk, and where else they are to be.

    Attributes:
        path: the local folder that TensorFlow reads and writes.
        uri: the folder that outlives the run; the same place where it is local.
    """

    path: Path
    uri: str
    _state: storage.Generation | None = field(default=None, repr=False)

    def publish(self) -> None:
        """Copies the newest checkpoint to `uri`, and removes there what is no longer named; nothing for a local one.

        Raises:
            AnotherRunError: where another run has published a checkpoint there since this one began.
            StorageError: for a bucket that can't be written to.
        """
        if self._state is None:
            return
        # Its files may have the same names, so nothing is written over them.
        if storage.read_generation(self._state.uri).number != self._state.number:
            raise self._another_run()
        state = tf.train.get_checkpoint_state(str(self.path))
        newest = os.path.basename(state.model_checkpoint_path)
        named = _named_files(self.path)
        for name in (name for name in named if name.startswith(f"{newest}.")):
            storage.write_file(storage.join(self.uri, name), self.path / name)
        # What is listed before the state file is written can't be of a run that goes on from it.
        there = [info.uri for info in storage.list_files(self.uri)]
        try:
            self._state = self._state.replace((self.path / STATE_FILE).read_bytes())
        except storage.ChangedError as error:
            raise self._another_run() from error
        for uri in there:
            name = uri.removeprefix(self.uri.rstrip("/") + "/")
            if name not in named and "/" not in name:
                storage.remove(uri)

    def _another_run(self) -> AnotherRunError:
        return AnotherRunError(
            f"{self.uri}: another run writes here: it has published a checkpoint since this one began; end one of the "
            "two, or give it another --output"
        )


@contextmanager
def checkpoint_folder(uri: str) -> Iterator[CheckpointFolder]:
    """The checkpoints of `uri` on local disk; a copy of remote ones is removed when the block ends.

    Raises:
        StorageError: for a bucket that can't be read.
        DiskFullError: where there is no room for the copy.
    """
    # Read before the copy is made: what another run publishes from now on is noticed.
    state = storage.read_generation(storage.join(uri, STATE_FILE)) if storage.is_remote(uri) else None
    with storage.local_tree(uri) as path:
        if state is not None:
            # What a kill left behind before it was named, or after it was: TensorFlow would keep it for ever.
            named = _named_files(path)
            for stray in [one for one in path.iterdir() if one.is_file() and one.name not in named]:
                stray.unlink()
        yield CheckpointFolder(path, uri, state)


def _named_files(folder: Path) -> list[str]:
    """The names of all files that belong to the checkpoints which the state file names, and its own."""
    state = tf.train.get_checkpoint_state(str(folder))
    if state is None:
        return []
    checkpoints = tuple(f"{os.path.basename(path)}." for path in state.all_model_checkpoint_paths)
    return [*sorted(path.name for path in folder.iterdir() if path.name.startswith(checkpoints)), STATE_FILE]
