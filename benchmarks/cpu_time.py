"""Processor and wall time of a command with all its descendants, including those that no process waited for."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Spent:
    """The times of a command: user and system time of its processes, and wall time."""

    cpu_s: float
    wall_s: float

    def __sub__(self, other: Spent) -> Spent:
        return Spent(self.cpu_s - other.cpu_s, self.wall_s - other.wall_s)


def run_measured(
    command: Sequence[str], environment: Mapping[str, str] | None = None, folder: str | None = None
) -> Spent:
    """Runs a command, in `folder` if given, to the end of its last descendant; one process must not run two at once.

    Raises:
        subprocess.CalledProcessError: if it fails.
    """
    # A killed worker leaves its decoding process to the next reaper upwards. The kernel adds an orphan's time to the
    # process that waits for it, so that must be this one.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, **(environment or {})}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment, cwd=folder)
    wall_s = time.perf_counter() - began_s
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall_s)
