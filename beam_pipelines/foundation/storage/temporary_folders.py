"""Temporary folders that go with their process: what a killed one has left is removed when the next folder is made.

A process holds a lock on each of its folders, which the system takes back when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from beam_pipelines.foundation.storage.local_errors import full_disk_explained

PREFIX = "cineaffect-copy-"
_JUST_MADE_S = 10.0
"""A younger folder may be one that its process has not locked yet."""


@contextmanager
def temporary_folder(uri: str) -> Iterator[Path]:
    """An empty folder that is removed when the `with` block ends, or after its process was killed.

    Args:
        uri: what it is for.

    Raises:
        DiskFullError: if the disk is full.
    """
    parent = tempfile.gettempdir()
    _remove_left(parent)
    explained = full_disk_explained(uri, Path(parent))
    with explained, tempfile.TemporaryDirectory(prefix=PREFIX, dir=parent) as folder:
        held = os.open(folder, os.O_RDONLY)
        try:
            with suppress(OSError):  # a file system without locks, on which nothing is removed later
                # It may wait: another process that looks at the folder just now holds the lock for a moment.
                fcntl.flock(held, fcntl.LOCK_EX)
            yield Path(folder)
        finally:
            os.close(held)


def _remove_left(parent: str) -> None:
    """Removes the folders of processes that are gone."""
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if not entry.name.startswith(PREFIX) or entry.is_symlink():
                continue
            # Whose lock is held, or who belongs to somebody else, or has just gone, stays.
            with suppress(OSError):
                held = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if time.time() - os.fstat(held).st_mtime > _JUST_MADE_S:
                        shutil.rmtree(entry.path)
                finally:
                    os.close(held)
