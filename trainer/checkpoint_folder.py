"""Where a run's checkpoints lie: in a local folder, and for a run in `gs://` in a bucket too.

TensorFlow's own `gs://` knows neither an emulator nor this project's errors, so it always writes to a local folder. For
a run in a bucket that is a temporary one, filled from the bucket at the beginning. After each checkpoint it is copied
there, in an order that leaves a checkpoint to go on from whenever the run is killed:

    ckpt-N.data-…, ckpt-N.index     nothing names them yet
    checkpoint                      from now on ckpt-N is the newest
    removals                        of what `checkpoint` no longer names
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from beam_pipelines import storage

STATE_FILE = "checkpoint"
"""TensorFlow's own: it names the checkpoints, the newest among them, by paths relative to their folder."""


@dataclass(frozen=True)
class CheckpointFolder:
    """Checkpoints on local disk, and where else they are to be.

    Attributes:
        path: the local folder that TensorFlow reads and writes.
        uri: the folder that outlives the run; the same place where it is local.
    """

    path: Path
    uri: str

    def publish(self) -> None:
        """Copies the newest checkpoint to `uri`, and removes there what is no longer named; nothing for a local one.

        Raises:
            StorageError: for a bucket that can't be written to.
        """
        if not storage.is_remote(self.uri):
            return
        state = tf.train.get_checkpoint_state(str(self.path))
        newest = os.path.basename(state.model_checkpoint_path)
        named = _named_files(self.path)
        # The state file is the last of them.
        for name in (name for name in named if name.startswith((f"{newest}.", STATE_FILE))):
            storage.write_file(storage.join(self.uri, name), self.path / name)
        for info in storage.list_files(self.uri):
            if info.uri.removeprefix(self.uri.rstrip("/") + "/") not in named:
                storage.remove(info.uri)


@contextmanager
def checkpoint_folder(uri: str) -> Iterator[CheckpointFolder]:
    """The checkpoints of `uri` on local disk; a copy of remote ones is removed when the block ends.

    Raises:
        StorageError: for a bucket that can't be read.
        DiskFullError: where there is no room for the copy.
    """
    with storage.local_tree(uri) as path:
        if storage.is_remote(uri):
            # What a kill left behind before it was named, or after it was: TensorFlow would keep it for ever.
            named = _named_files(path)
            for stray in [one for one in path.iterdir() if one.name not in named]:
                stray.unlink()
        yield CheckpointFolder(path, uri)


def _named_files(folder: Path) -> list[str]:
    """The names of all files that belong to the checkpoints which the state file names, and its own."""
    state = tf.train.get_checkpoint_state(str(folder))
    if state is None:
        return []
    checkpoints = tuple(f"{os.path.basename(path)}." for path in state.all_model_checkpoint_paths)
    return [*sorted(path.name for path in folder.iterdir() if path.name.startswith(checkpoints)), STATE_FILE]
