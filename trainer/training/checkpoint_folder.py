"""The folder of a run's checkpoints: a local one, and for a run in `gs://` also one in a bucket.

TensorFlow's own `gs://` knows neither an emulator nor this project's errors, so TensorFlow always writes to a local
folder. For a run in a bucket this is a temporary folder, filled from the bucket at the start. After each checkpoint it
is copied to the bucket in an order that leaves a usable checkpoint whenever the run is killed:

    ckpt-N.data-…, ckpt-N.index     nothing names them yet
    checkpoint                      from now on ckpt-N is the newest
    removals                        of files that `checkpoint` no longer names

`checkpoint` is written only if it is still as this run last read or wrote it. So if two runs use one folder, one of
them ends with an error before it has removed anything.
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
"""TensorFlow's own file: it names all checkpoints and the newest of them, by paths relative to their folder."""


class AnotherRunError(ConfigurationError):
    """Two runs write their checkpoints to one folder."""


@dataclass
class CheckpointFolder:
    """Checkpoints on local disk, and their lasting folder.

    Attributes:
        path: the local folder that TensorFlow reads and writes.
        uri: the folder that outlives the run; the same folder if it is local.
    """

    path: Path
    uri: str
    _state: storage.Generation | None = field(default=None, repr=False)

    def publish(self) -> None:
        """Copies the newest checkpoint to `uri`, and removes files there that are no longer named.

        If `uri` is local it does nothing.

        Raises:
            AnotherRunError: if another run has published a checkpoint there since this one began.
            StorageError: if the bucket can't be written to.
        """
        if self._state is None:
            return
        # Another run's files may have the same names, so they are not overwritten.
        if storage.read_generation(self._state.uri).number != self._state.number:
            raise self._another_run()
        state = tf.train.get_checkpoint_state(str(self.path))
        newest = os.path.basename(state.model_checkpoint_path)
        named = _named_files(self.path)
        for name in (name for name in named if name.startswith(f"{newest}.")):
            storage.write_file(storage.join(self.uri, name), self.path / name)
        # Files that are listed before the state file is written can't belong to a later run that resumes from it.
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
    """The checkpoints of `uri` on local disk; a copy of remote ones is removed when the `with` block ends.

    Raises:
        StorageError: if the bucket can't be read.
        DiskFullError: if the disk has no space for the copy.
    """
    # Read before the copy is made, so that anything another run publishes from now on is noticed.
    state = storage.read_generation(storage.join(uri, STATE_FILE)) if storage.is_remote(uri) else None
    with storage.local_tree(uri) as path:
        if state is not None:
            # Files of a killed run that are not or no longer named: TensorFlow would keep them for ever.
            named = _named_files(path)
            for stray in [one for one in path.iterdir() if one.is_file() and one.name not in named]:
                stray.unlink()
        yield CheckpointFolder(path, uri, state)


def _named_files(folder: Path) -> list[str]:
    """The names of the state file and of all files of the checkpoints that it names."""
    state = tf.train.get_checkpoint_state(str(folder))
    if state is None:
        return []
    checkpoints = tuple(f"{os.path.basename(path)}." for path in state.all_model_checkpoint_paths)
    return [*sorted(path.name for path in folder.iterdir() if path.name.startswith(checkpoints)), STATE_FILE]
