"""The jobs that a round of retraining starts, each as a child process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from beam_pipelines.foundation.errors import (
    EXIT_CONFIGURATION,
    EXIT_FAILED,
    EXIT_OK,
    EXIT_TOO_MANY_FILMS_FAILED,
    CineAffectError,
)
from trainer.foundation.run_lock import AssertHeld

_PASSED_ON = (EXIT_CONFIGURATION, EXIT_TOO_MANY_FILMS_FAILED)


class RoundError(CineAffectError):
    """The round can't continue."""

    def __init__(self, text: str, exit_code: int = EXIT_FAILED):
        super().__init__(text)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Stages:
    """Starts jobs under the lock of a run.

    Attributes:
        config: the YAML file, which every job gets.
        assert_held: raises HeldError if another run has taken over the lock.
    """

    config: str
    assert_held: AssertHeld

    def start(self, stage: str, arguments: Sequence[str], allowed: Sequence[int] = (EXIT_OK,)) -> None:
        """Runs `cineaffect STAGE ARGUMENTS --config FILE` and waits for its end.

        Raises:
            RoundError: if the exit code is not allowed.
            HeldError: if the lock was lost before.
        """
        self.assert_held()
        print(f"retrain: {stage}", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "beam_pipelines.cli", stage, *arguments, "--config", self.config]
        # A job inherits a scheduler's `flock`: if it outlives its round, it keeps the lock.
        code = subprocess.run(command, check=False, close_fds=False).returncode
        if code not in allowed:
            raise RoundError(
                f"the stage '{stage}' ended with exit code {code}; what it did is kept, start again to go on",
                code if code in _PASSED_ON else EXIT_FAILED,
            )
