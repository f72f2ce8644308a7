"""A run's report from the sums of its outcomes: `failures.jsonl`, `warnings.jsonl` and last `run_manifest.json`.

The outcomes of some films are summed up at a time, so that those of a million are never in one process: what is left
of them are counts, and the compressed lines of films that failed or have warnings. The lines are joined film by film.
"""

from __future__ import annotations

import gzip
import heapq
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from beam_pipelines.contracts.film_ids import has_digest
from beam_pipelines.contracts.film_warnings import to_rows
from beam_pipelines.contracts.runs import (
    DONE,
    FAILED,
    FAILURES,
    NOT_IN_FAILURES,
    RUN_MANIFEST,
    SKIPPED,
    UNLIKE_EDGES_PERCENT,
    WARNINGS,
    FilmOutcome,
)
from beam_pipelines.foundation import storage

_WHOLE = 1_000_000
"""Seconds and percents are summed as whole millionths: in any order they have the same sum."""


@dataclass(frozen=True)
class SummedOutcomes:
    """What a run's report needs of some films' outcomes.

    Attributes:
        counts: (what is counted, of which kind) -> how often, see `sum_up`.
        shortened_ids: film id -> file, of films whose id is not their whole name.
        repeated: film ids with more than one outcome.
        failures, warnings: their lines in the two files, sorted by film id, compressed.
    """

    counts: Counter[tuple[str, str]]
    shortened_ids: Mapping[str, str]
    repeated: tuple[str, ...]
    failures: bytes
    warnings: bytes


def sum_up(outcomes: Iterable[FilmOutcome]) -> SummedOutcomes:
    """Sums up some outcomes; all those of one film must be among them, so that one too many is noticed."""
    ordered = sorted(outcomes, key=lambda outcome: outcome.film_id)
    counts: Counter[tuple[str, str]] = Counter()
    for each in ordered:
        counts["films", each.status] += 1
        counts["film_us", each.status] += round(each.film_s * _WHOLE)
        counts["carried over", ""] += each.carried_over
        counts["with warnings", ""] += bool(each.warnings)
        counts.update(("warning", warning.code) for warning in each.warnings)
        if each.status == FAILED:
            counts["reason", each.reason] += 1
        if each.decoded_on:
            counts["decoded on", each.decoded_on] += 1
        if each.unlike_percent is not None:
            counts["unlike", _unlike_class(each.unlike_percent)] += 1
            counts["unlike_millionths", ""] += round(each.unlike_percent * _WHOLE)
    often = Counter(each.film_id for each in ordered)
    return SummedOutcomes(
        counts,
        {each.film_id: each.source_uri for each in ordered if has_digest(each.film_id)},
        tuple(film_id for film_id, times in often.items() if times > 1),
        _to_lines(_failure_row(each) for each in ordered if each.status == FAILED),
        _to_lines(
            {"film_id": each.film_id, "source_uri": each.source_uri, **row}
            for each in ordered
            for row in to_rows(each.warnings)
        ),
    )


def summarise(
    parts: Iterable[SummedOutcomes], films_in: int, about: Mapping[str, Any], failure_threshold: float
) -> dict[str, Any]:
    """The run manifest of summed outcomes. It names the file of every film whose id is not its whole name.

    Raises:
        RuntimeError: if films in are not films done + skipped + failed, each once: then outcomes were lost.
    """
    parts = list(parts)
    counts: Counter[tuple[str, str]] = Counter()
    for part in parts:
        counts.update(part.counts)
    films, film_us = _kinds(counts, "films"), _kinds(counts, "film_us")
    repeated = sorted(film_id for part in parts for film_id in part.repeated)
    if sum(films.values()) != films_in or repeated:
        raise RuntimeError(f"{films_in} films in, but {sum(films.values())} outcomes (repeated: {repeated[:5]})")
    shortened = {film_id: uri for part in parts for film_id, uri in part.shortened_ids.items()}
    return {
        **about,
        **({"shortened_ids": dict(sorted(shortened.items()))} if shortened else {}),
        "films": {"in": films_in, **{status: films.get(status, 0) for status in (DONE, SKIPPED, FAILED)}},
        "failures_carried_over": counts["carried over", ""],
        "film_hours": {status: round(film_us.get(status, 0) / _WHOLE / 3600, 6) for status in (DONE, SKIPPED)},
        "failed_by_reason": _kinds(counts, "reason"),
        "films_with_warnings": counts["with warnings", ""],
        "warnings_by_code": _kinds(counts, "warning"),
        **_unlike(_kinds(counts, "unlike"), counts["unlike_millionths", ""] / _WHOLE),
        **({"films_decoded_on": decoded_on} if (decoded_on := _kinds(counts, "decoded on")) else {}),
        "failure_threshold": failure_threshold,
    }


def write_report(output: str, parts: Iterable[SummedOutcomes], manifest: Mapping[str, Any]) -> None:
    """Writes the failures, the warnings and then, as a run's last file, its manifest.

    Args:
        output: the directory of the run.
        parts: the outcomes of all its films.
        manifest: the manifest, from `summarise`.
    """
    parts = list(parts)
    _write_lines(storage.join(output, FAILURES), [part.failures for part in parts])
    _write_lines(storage.join(output, WARNINGS), [part.warnings for part in parts])
    storage.write_text(
        storage.join(output, RUN_MANIFEST), json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    )


def _kinds(counts: Counter[tuple[str, str]], what: str) -> dict[str, int]:
    return {kind: count for (counted, kind), count in sorted(counts.items()) if counted == what}


def _unlike_class(percent: float) -> str:
    edges = (0, *UNLIKE_EDGES_PERCENT, 100)
    place = sum(percent >= edge for edge in UNLIKE_EDGES_PERCENT)
    return f"{edges[place]}-{edges[place + 1]} %"


def _unlike(classes: Mapping[str, int], percents: float) -> dict[str, Any]:
    """The histogram of how unlike the model's training films the films are; empty if no film's is known."""
    if not classes:
        return {}
    names = [_unlike_class(lowest) for lowest in (0, *UNLIKE_EDGES_PERCENT)]
    films = {name: classes.get(name, 0) for name in names}
    return {"unlike_training": {"mean_percent": round(percents / sum(classes.values()), 2), "films": films}}


def _to_lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    # Bytes of file names that are not UTF-8 are written as JSON writes them.
    return gzip.compress(text.encode("utf-8", "backslashreplace"), mtime=0)


def _write_lines(uri: str, parts: Iterable[bytes]) -> None:
    """Joins lines that are sorted by film id; they are decompressed as they are written."""
    with storage.whole_file(uri) as path, path.open("wb") as file:
        lines: Iterator[bytes] = heapq.merge(*map(_lines_of, parts), key=_film_of)
        file.writelines(lines)


def _film_of(line: bytes) -> str:
    return str(json.loads(line)["film_id"])


def _lines_of(part: bytes) -> Iterator[bytes]:
    yield from map(bytes, gzip.GzipFile(fileobj=io.BytesIO(part)))


def _failure_row(outcome: FilmOutcome) -> dict[str, Any]:
    row = {key: value for key, value in asdict(outcome).items() if key not in NOT_IN_FAILURES}
    # Only the extract job knows these.
    return {key: value for key, value in row.items() if value is not None and not (key == "attempt" and not value)}
