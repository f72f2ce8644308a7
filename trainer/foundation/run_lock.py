"""One run at a time in a directory: what both kinds of lock have in common, and the one for a local directory.

The kernel releases it when the last process that has it is dead. The jobs of a run inherit the lock: where only the run
itself is killed, the job it started still writes into the directory, and until that job ends nobody else begins.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from beam_pipelines.foundation.errors import EXIT_HELD, CineAffectError

LOCK = "retrain.lock"


class HeldError(CineAffectError):
    """Another run works in the directory; the text says which."""

    exit_code = EXIT_HELD


class RunLock(Protocol):
    """A lock that is held.

    Attributes:
        descriptor: a process that is started with it in `pass_fds` holds the lock too, as long as it lives; None where
            a lock can't be handed on, so that a job must end with the process that started it
            (`trainer.foundation.leash`).
    """

    @property
    def descriptor(self) -> int | None: ...

    def assert_held(self) -> None:
        """Raises an error that says so where the lock is no longer ours; asks nobody."""

    def confirm(self) -> None:
        """The same, asking whoever keeps the lock: right before something that must happen once."""


@dataclass(frozen=True)
class FolderLock:
    """The lock of a local directory, which nobody can take away."""

    descriptor: int

    def assert_held(self) -> None:
        """It is."""

    def confirm(self) -> None:
        """It is."""


@contextmanager
def only_run(directory: str) -> Iterator[FolderLock]:
    """Holds the lock of a local directory until the block ends.

    Raises:
        HeldError: while another process holds it.
    """
    path = Path(directory) / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise HeldError(_holder(path, file.read().strip())) from error
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        file.truncate(0)
        file.write(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "started": started}))
        file.flush()
        yield FolderLock(file.fileno())


def _holder(path: Path, written: str) -> str:
    text = f"{path}: held by another run: {written or 'not yet named'}"
    try:
        holder = json.loads(written)
        if holder["host"] == socket.gethostname():
            os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return f"{text}; that process is gone, a job that it started is still at work; try again when it has ended"
    except (json.JSONDecodeError, PermissionError):
        return text  # just being written, or somebody else's process
    return text
