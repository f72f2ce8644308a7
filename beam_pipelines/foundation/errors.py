"""The errors of CineAffect, and the exit codes that the commands give for them.

There are three kinds (docs: Failures). A `ConfigurationError` is found before anything starts. A `FilmError` is the
fault of one film: it becomes a row of `failures.jsonl`, and every other film is done. Anything else is a bug or an
outage: it is not caught, the runner retries it and the job fails aloud.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_CONFIGURATION = 2
EXIT_SOME_FILMS_FAILED = 3
EXIT_TOO_MANY_FILMS_FAILED = 4
EXIT_HELD = 5


class CineAffectError(Exception):
    """Base of all errors that CineAffect raises on purpose; its text is meant for a person.

    Attributes:
        exit_code: what a command that ends by this error ends with.
    """

    exit_code = EXIT_CONFIGURATION


class ConfigurationError(CineAffectError):
    """A setting, a path or an input list that can't work; the text names the file and the key and says what to do."""


class WeightsError(ConfigurationError):
    """Weights that are absent or don't have their hash; the text names file, address, hash and cache directory."""


class FilmError(CineAffectError):
    """One film can't be processed.

    Attributes:
        step: the step that failed, for example `probe` or `extract_face`.
        reason: a short stable word for counting, for example `no_video_stream`.
        detail: what was found, for a person.
    """

    def __init__(self, step: str, reason: str, detail: str):
        super().__init__(f"{step}: {reason}: {detail}")
        self.step = step
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple:
        # Exceptions are pickled with `args`, which holds the joined text here.
        return (type(self), (self.step, self.reason, self.detail))


class StorageError(CineAffectError):
    """Storage that can't be used: no credentials, no right, no such bucket, or no answer after all retries.

    Unlike a `FilmError` it is nobody's fault in particular: the job stops, and a second run goes on where it stopped.
    """


class OutageError(StorageError):
    """Storage that gave no usable answer, all retries included: nothing is to be corrected, only to be run again."""

    exit_code = EXIT_FAILED


class DiskFullError(StorageError):
    """No room on the local disk; the text names the file, the folder and how to choose another."""

    exit_code = EXIT_FAILED
