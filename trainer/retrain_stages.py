"""The jobs that a round of retraining starts, each as a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from beam_pipelines.errors import EXIT_CONFIGURATION, EXIT_OK, EXIT_TOO_MANY_FILMS_FAILED, CineAffectError

EXIT_STAGE_FAILED = 1
_PASSED_ON = (EXIT_CONFIGURATION, EXIT_TOO_MANY_FILMS_FAILED)


class RoundError(CineAffectError):
    """The round can't go on; `code` is what the command ends with."""

    def __init__(self, text: str, code: int = EXIT_STAGE_FAILED):
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Stages:
    """Starts jobs under the lock of a run.

    Attributes:
        config: the YAML file, which every job is given.
        lock: the lock's descriptor, from `only_run`; a job has the lock while it lives, also when its parent is killed.
    """

    config: str
    lock: int

    def start(self, stage: str, arguments: Sequence[str], allowed: Sequence[int] = (EXIT_OK,)) -> None:
        """Runs `cineaffect STAGE ARGUMENTS --config FILE` and waits for its end.

        Raises:
            RoundError: for an exit code that is not allowed.
        """
        print(f"retrain: {stage}", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "beam_pipelines.cli", stage, *arguments, "--config", self.config]
        code = subprocess.run(command, check=False, pass_fds=(self.lock,)).returncode
        if code not in allowed:
            raise RoundError(
                f"the stage '{stage}' ended with exit code {code}; what it did is kept, start again to go on",
                code if code in _PASSED_ON else EXIT_STAGE_FAILED,
            )


@contextmanager
def ended_together() -> Iterator[None]:
    """While the block runs, SIGTERM ends the running job too, as an interrupt from the keyboard does."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what a signal does
        return
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)
