"""A run's report of its films: each one's outcome, `failures.jsonl`, `warnings.jsonl`, and last `run_manifest.json`."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from beam_pipelines.contracts.film_ids import has_digest
from beam_pipelines.contracts.film_warnings import SENTENCES, FilmWarning, count_by_code, from_rows, to_rows
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

_NOT_IN_FAILURES = {"status", "film_s", "carried_over", "warnings", "unlike_percent", "decoded_on"}
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


def read_failures(output: str) -> dict[str, FilmOutcome]:
    """The failures that the last finished run in `output` lists, by film id; the log counts unreadable lines."""
    known = {each.name for each in fields(FilmOutcome)} - _NOT_IN_FAILURES
    return {
        row["film_id"]: FilmOutcome(status=FAILED, **{key: value for key, value in row.items() if key in known})
        for row in _read_lines(storage.join(output, FAILURES))
    }


def read_warnings(output: str) -> list[tuple[str, FilmWarning]]:
    """Pairs (film id, warning) of the last finished run in `output`, by film id; the log counts unreadable lines."""
    return [
        (row["film_id"], warning) for row in _read_lines(storage.join(output, WARNINGS)) for warning in from_rows([row])
    ]


def summarise(
    outcomes: Iterable[FilmOutcome], films_in: int, about: Mapping[str, Any], failure_threshold: float
) -> dict[str, Any]:
    """The run manifest of these outcomes. It names the file of every film whose id is not its whole name.

    Raises:
        RuntimeError: if films in are not films done + skipped + failed, each once: then outcomes were lost.
    """
    outcomes = list(outcomes)
    repeated = [film_id for film_id, n in Counter(o.film_id for o in outcomes).items() if n > 1]
    if len(outcomes) != films_in or repeated:
        raise RuntimeError(f"{films_in} films in, but {len(outcomes)} outcomes (repeated: {sorted(repeated)[:5]})")
    by_status = Counter(outcome.status for outcome in outcomes)
    with_digest = {outcome.film_id: outcome.source_uri for outcome in outcomes if has_digest(outcome.film_id)}
    return {
        **about,
        **({"shortened_ids": dict(sorted(with_digest.items()))} if with_digest else {}),
        "films": {"in": films_in, DONE: by_status[DONE], SKIPPED: by_status[SKIPPED], FAILED: by_status[FAILED]},
        "failures_carried_over": sum(o.carried_over for o in outcomes),
        "film_hours": {
            status: round(sum(o.film_s for o in outcomes if o.status == status) / 3600, 6) for status in (DONE, SKIPPED)
        },
        "failed_by_reason": dict(sorted(Counter(o.reason for o in outcomes if o.status == FAILED).items())),
        "films_with_warnings": sum(bool(o.warnings) for o in outcomes),
        "warnings_by_code": count_by_code(outcome.warnings for outcome in outcomes),
        **_unlike([outcome.unlike_percent for outcome in outcomes if outcome.unlike_percent is not None]),
        **_decoded_on([outcome.decoded_on for outcome in outcomes if outcome.decoded_on]),
        "failure_threshold": failure_threshold,
    }


def _unlike(percents: Sequence[float]) -> dict[str, Any]:
    """The histogram of how unlike the model's training films the films are; empty if no film's is known."""
    if not percents:
        return {}
    edges = UNLIKE_EDGES_PERCENT
    places = [sum(percent >= edge for edge in edges) for percent in percents]
    names = [f"{low}-{high} %" for low, high in zip((0, *edges), (*edges, 100), strict=True)]
    films = {name: places.count(place) for place, name in enumerate(names)}
    return {"unlike_training": {"mean_percent": round(sum(percents) / len(percents), 2), "films": films}}


def _decoded_on(devices: Sequence[str]) -> dict[str, Any]:
    """How many films which device decoded, if a GPU was asked for; empty if not."""
    return {"films_decoded_on": dict(sorted(Counter(devices).items()))} if devices else {}


def write_outcomes(output: str, outcomes: Iterable[FilmOutcome], manifest: Mapping[str, Any]) -> None:
    """Writes the failures, the warnings and then, as a run's last file, its manifest.

    Args:
        output: the directory of the run.
        outcomes: the outcomes of all its films.
        manifest: the manifest, from `summarise`.
    """
    ordered = sorted(outcomes, key=lambda outcome: outcome.film_id)
    _write_lines(storage.join(output, FAILURES), [_failure_row(each) for each in ordered if each.status == FAILED])
    _write_lines(
        storage.join(output, WARNINGS),
        [
            {"film_id": each.film_id, "source_uri": each.source_uri, **row}
            for each in ordered
            for row in to_rows(each.warnings)
        ],
    )
    storage.write_text(
        storage.join(output, RUN_MANIFEST), json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    )


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


def _read_lines(uri: str) -> list[dict[str, Any]]:
    """The lines of a file that are about a film; none if there is no file."""
    try:
        lines = [line for line in storage.read_text(uri).split("\n") if line.strip()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    rows = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("film_id"), str) and isinstance(row.get("source_uri"), str):
            rows.append(row)
    if len(rows) < len(lines):
        _LOG.warning("%s: %d of %d lines can't be read and are left out", uri, len(lines) - len(rows), len(lines))
    return rows


def _write_lines(uri: str, rows: Iterable[Mapping[str, Any]]) -> None:
    storage.write_text(uri, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _failure_row(outcome: FilmOutcome) -> dict[str, Any]:
    row = {key: value for key, value in asdict(outcome).items() if key not in _NOT_IN_FAILURES}
    # Only the extract job knows these.
    return {key: value for key, value in row.items() if value is not None and not (key == "attempt" and not value)}
