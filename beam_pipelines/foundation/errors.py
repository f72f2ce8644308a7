"""The errors of CineAffect, and the exit codes that the commands give for them.

There are three kinds. A `ConfigurationError` is raised before anything starts. A `FilmError` concerns one film: it
becomes a row of `failures.jsonl`, and every other film is done. Any other error is a bug or an outage: nothing catches
it, the runner retries, and the job fails with exit code 1.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_CONFIGURATION = 2
EXIT_SOME_FILMS_FAILED = 3
EXIT_TOO_MANY_FILMS_FAILED = 4
EXIT_HELD = 5


class CineAffectError(Exception):
    """Base of all errors that CineAffect raises on purpose; its text is for a person.

    Attributes:
        exit_code: the exit code of a command that ends with this error.
    """

    exit_code = EXIT_CONFIGURATION


class ConfigurationError(CineAffectError):
    """A setting, a path or a list of films can't work; the text names the file and the key and says what to do."""


class WeightsError(ConfigurationError):
    """Weights are absent or have the wrong hash; the text names file, address, hash and cache directory."""


class NotFiniteError(ConfigurationError):
    """A network gives infinite values or NaN. While a job runs, that is the fault of the film that it is given."""


class FilmError(CineAffectError):
    """One film can't be processed.

    Attributes:
        step: the step that failed, for example `probe` or `extract_face`.
        reason: a short stable word for counting, for example `no_video_stream`.
        detail: a sentence for a person.
    """

    def __init__(self, step: str, reason: str, detail: str):
        super().__init__(f"{step}: {reason}: {detail}")
        self.step = step
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are pickled with `args`, which holds the joined text here.
        return (type(self), (self.step, self.reason, self.detail))


class StorageError(CineAffectError):
    """Storage can't be used: no credentials, no permission, no such bucket, or no answer after all retries.

    Unlike a `FilmError` it concerns no single film: the job stops, and the next run resumes where it stopped.
    """


class OutageError(StorageError):
    """Storage gave no usable answer after all retries. The user corrects nothing and runs the command again."""

    exit_code = EXIT_FAILED


class JobError(CineAffectError):
    """A job ended on its cluster before its end, or nobody knows: the user gives the same command again."""

    exit_code = EXIT_FAILED


class DiskFullError(StorageError):
    """The local disk is full; the text names the file, the folder and how to choose another folder."""

    exit_code = EXIT_FAILED


def nearest(word: str, valid: Iterable[str]) -> str:
    """The end of a message about a misspelt word: the nearest valid word, or all of them if none is near."""
    valid = list(valid)
    close = difflib.get_close_matches(word, valid, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; valid: {', '.join(valid)}" if valid else ""
