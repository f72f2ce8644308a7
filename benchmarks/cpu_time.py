"""Processor and wall time of a command with all its descendants, including those that no process waited for."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import subprocess
import sys
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
    """Runs a command, in `folder` if given, to the end of its last descendant.

    Raises:
        subprocess.CalledProcessError: if it fails.
    """
    # By a process of its own, which waits for whatever it has below it: the caller may have other children.
    measuring = [sys.executable, "-I", "-S", os.path.abspath(__file__), *command]
    environment = {**os.environ, **(environment or {})}
    done = subprocess.run(measuring, check=False, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, list(command))
    return Spent(**json.loads(done.stdout))


def _measure(command: Sequence[str]) -> int:
    """Runs a command, waits for all descendants and prints what they spent; returns the command's exit code."""
    # A killed worker leaves its decoding process to the next reaper upwards. The kernel adds an orphan's time to the
    # process that waits for it, so that must be this one.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    began_s = time.perf_counter()
    code = subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode
    wall_s = time.perf_counter() - began_s
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({"cpu_s": spent.ru_utime + spent.ru_stime, "wall_s": wall_s}))
    return code


if __name__ == "__main__":
    sys.exit(_measure(sys.argv[1:]))
