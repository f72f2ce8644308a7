"""The jobs that a round of retraining starts, each as a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType

from beam_pipelines.foundation.errors import (
    EXIT_CONFIGURATION,
    EXIT_FAILED,
    EXIT_OK,
    EXIT_TOO_MANY_FILMS_FAILED,
    CineAffectError,
)
from trainer.foundation.leash import leash
from trainer.foundation.run_lock import RunLock

_LOOK_EVERY_S = 0.5
_PASSED_ON = (EXIT_CONFIGURATION, EXIT_TOO_MANY_FILMS_FAILED)


class RoundError(CineAffectError):
    """The round can't go on."""

    def __init__(self, text: str, exit_code: int = EXIT_FAILED):
        super().__init__(text)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Stages:
    """Starts jobs under the lock of a run.

    Attributes:
        config: the YAML file, which every job is given.
        lock: a job has it while it lives, also when its parent is killed; or, where the lock can't be handed on, the
            job ends with its parent.
    """

    config: str
    lock: RunLock

    def start(self, stage: str, arguments: Sequence[str], allowed: Sequence[int] = (EXIT_OK,)) -> None:
        """Runs `cineaffect STAGE ARGUMENTS --config FILE` and waits for its end.

        Raises:
            RoundError: for an exit code that is not allowed.
            HeldError, StorageError: where the lock is lost; the job has been ended then.
        """
        print(f"retrain: {stage}", file=sys.stderr, flush=True)
        code = self._run([stage, *arguments, "--config", self.config])
        if code not in allowed:
            raise RoundError(
                f"the stage '{stage}' ended with exit code {code}; what it did is kept, start again to go on",
                code if code in _PASSED_ON else EXIT_FAILED,
            )

    def _run(self, arguments: Sequence[str]) -> int:
        with ExitStack() as stack:
            if self.lock.descriptor is not None:
                module, descriptor = ["beam_pipelines.cli"], self.lock.descriptor
            else:
                descriptor = stack.enter_context(leash())
                module = ["trainer.foundation.leash", str(descriptor)]
            job = stack.enter_context(
                subprocess.Popen([sys.executable, "-m", *module, *arguments], pass_fds=(descriptor,))
            )
            stack.callback(job.kill)  # of no effect on one that has ended
            while True:
                try:
                    return job.wait(_LOOK_EVERY_S)
                except subprocess.TimeoutExpired:
                    self.lock.assert_held()


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
