"""A run's report of its films: each one's outcome, and what a later run reads of `failures.jsonl` and the others.

`summed_outcomes` writes them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

from beam_pipelines.contracts.film_warnings import SENTENCES, FilmWarning, from_rows
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import (
    EXIT_OK,
    EXIT_SOME_FILMS_FAILED,
    EXIT_TOO_MANY_FILMS_FAILED,
    ConfigurationError,
)

_LOG = logging.getLogger(__name__)

FAILURES = "failures.jsonl"
WARNINGS = "warnings.jsonl"
RUN_MANIFEST = "run_manifest.json"
TRANSFORM_GRAPH, STATISTICS = "transform_fn", "statistics.json"
"""What `prepare` leaves: the graph (TensorFlow Transform names its folder), and last the training films' statistics."""
HISTORY, VALIDATION, EVALUATION = "history.json", "validation.json", "evaluation.json"
"""What a training run leaves for its page; `evaluate` leaves the last one beside a scoring run."""
STUDY_RESULTS, BEST_CONFIG = "study.json", "best.yaml"
"""What `tune` leaves."""

DONE = "done"
SKIPPED = "skipped"
FAILED = "failed"

UNLIKE_EDGES_PERCENT = (5, 10, 20, 50)
"""The classes of the histogram of unlike seconds; a film that is quite like the training films is in the first."""

NOT_IN_FAILURES = {"status", "film_s", "carried_over", "warnings", "unlike_percent", "decoded_on"}
"""Fields of a `FilmOutcome` that a line of the failures lacks."""


@dataclass(frozen=True)
class FilmOutcome:
    """The outcome of one film in one job.

    Attributes:
        film_id, source_uri: the film.
        status: `done`, `skipped` (done before, under the same fingerprints) or `failed`.
        step, reason, detail: for a failed film, as in `FilmError`.
        film_s: seconds of film in this outcome.
        source_size_bytes, source_modified_s: size and time of a failed film's file, if it was found.
        attempt: the digest of limits, networks and version with which a failed film was tried.
        carried_over: whether the failure is that of an earlier run, and the film was not tried again.
        warnings: the warnings of a film that is done or skipped.
        unlike_percent: the share of a scored film's seconds that are unlike the model's training films, if known.
        decoded_on: `gpu`, or why the processor decoded a film's pictures although a GPU was asked for.
    """

    film_id: str
    source_uri: str
    status: str
    step: str = ""
    reason: str = ""
    detail: str = ""
    film_s: float = 0.0
    source_size_bytes: int | None = None
    source_modified_s: float | None = None
    attempt: str = ""
    carried_over: bool = False
    warnings: tuple[FilmWarning, ...] = ()
    unlike_percent: float | None = None
    decoded_on: str = ""


TRIED_AGAIN = frozenset(
    {"not_found", "not_readable", "changed", "disk_full", "out_of_memory", "timeout", "crashed", "unforeseen_error"}
    # Subtitles may lie beside the film: its own file need not change for another result.
    | {code for code in SENTENCES if code.startswith("subtitles_")}
)
"""Reasons whose cause may be the machine, the network or people who move files: the next run tries the film again.

Other processes may be the cause if a decoder is killed, hangs or finds no memory, and the installation may be the cause
of an unforeseen exception, so these reasons are included.
"""


def is_carried_over(earlier: FilmOutcome, size_bytes: int, modified_s: float, attempt: str) -> bool:
    """Whether a film need not be tried again: its file was at fault, and neither file nor attempt has changed."""
    return (
        earlier.reason not in TRIED_AGAIN
        and bool(earlier.attempt)
        and (earlier.source_size_bytes, earlier.source_modified_s, earlier.attempt) == (size_bytes, modified_s, attempt)
    )


def failed_films(output: str) -> Iterator[FilmOutcome]:
    """The failures that the last finished run in `output` lists, one at a time; the log counts unreadable lines."""
    known = {each.name for each in fields(FilmOutcome)} - NOT_IN_FAILURES
    for row in _read_lines(storage.join(output, FAILURES)):
        yield FilmOutcome(status=FAILED, **{key: value for key, value in row.items() if key in known})


def read_failures(output: str) -> dict[str, FilmOutcome]:
    """The same by film id."""
    return {film.film_id: film for film in failed_films(output)}


def read_warnings(output: str) -> Iterator[tuple[str, FilmWarning]]:
    """Pairs (film id, warning) of the last finished run in `output`, by film id; the log counts unreadable lines."""
    for row in _read_lines(storage.join(output, WARNINGS)):
        yield from ((row["film_id"], warning) for warning in from_rows([row]))


def read_manifest_of_run(output: str) -> dict[str, Any]:
    """The manifest of a finished run.

    Raises:
        ConfigurationError: if the directory has none, which means that its run did not finish.
    """
    uri = storage.join(output, RUN_MANIFEST)
    try:
        manifest: dict[str, Any] = json.loads(storage.read_text(uri))
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{uri}: absent, so the run that was to write it did not finish; run it again"
        ) from error
    return manifest


def exit_code(manifest: Mapping[str, Any]) -> int:
    """The exit code: 0 if every film is done, 3 if some failed, 4 if their share is above the threshold."""
    films = manifest["films"]
    if not films[FAILED]:
        return EXIT_OK
    too_many = films[FAILED] / films["in"] > manifest["failure_threshold"]
    return EXIT_TOO_MANY_FILMS_FAILED if too_many else EXIT_SOME_FILMS_FAILED


def _read_lines(uri: str) -> Iterator[dict[str, Any]]:
    """The lines of a file that are about a film, one by one; none if there is no file."""
    unreadable = read = 0
    with suppress(FileNotFoundError, NotADirectoryError), storage.local_copy(uri) as path, path.open("rb") as file:
        for line in filter(bytes.strip, file):
            read += 1
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if isinstance(row, dict) and isinstance(row.get("film_id"), str) and isinstance(row.get("source_uri"), str):
                yield row
            else:
                unreadable += 1
    if unreadable:
        _LOG.warning("%s: %d of %d lines can't be read and are left out", uri, unreadable, read)
