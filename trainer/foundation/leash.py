"""A job that ends with the process that started it: `python -m trainer.foundation.leash DESCRIPTOR COMMAND …`.

The starter alone has the writing end of a pipe and never writes. The job waits at the reading end, in a thread of its
own: what it reads there is the end of the file, and the starter is dead, however it died. So no job of a killed run
goes on writing to a directory that another run may have taken over.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def leash() -> Iterator[int]:
    """The reading end of a pipe, for one job's `pass_fds`; whoever still waits at it when the block ends is ended."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


def _end_with_starter(descriptor: int) -> None:
    os.read(descriptor, 1)
    # At once, as a kill from outside: every job goes on from whatever moment it is ended at.
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Runs `cineaffect COMMAND …` as the command itself would be."""
    descriptor = int(sys.argv.pop(1))
    threading.Thread(target=_end_with_starter, args=(descriptor,), daemon=True).start()
    runpy.run_module("beam_pipelines.cli", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
