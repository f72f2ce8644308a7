"""One run at a time in a directory: a lock that the kernel releases when its process dies, however it dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from beam_pipelines.errors import CineAffectError

LOCK = "retrain.lock"


class HeldError(CineAffectError):
    """Another run works in the directory; the text says which."""


@contextmanager
def only_run(directory: str) -> Iterator[None]:
    """Holds the lock of a local directory until the block ends.

    Raises:
        HeldError: while another process holds it.
    """
    path = Path(directory) / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    # Processes started in the block don't inherit the descriptor, so that an orphan of a killed run holds no lock.
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise HeldError(f"{path}: held by another run: {file.read().strip() or 'not yet named'}") from error
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        file.truncate(0)
        file.write(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "started": started}))
        file.flush()
        yield
