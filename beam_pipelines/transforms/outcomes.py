"""WriteOutcomes: takes each film's outcome; writes `failures.jsonl`, `warnings.jsonl` and, last, `run_manifest.json`.

Counts flow through the graph as data, one `FilmOutcome` per film, because Beam's counters also count retried bundles.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics

from beam_pipelines.contracts.film_warnings import to_rows
from beam_pipelines.contracts.runs import FAILED, FilmOutcome, summarise, write_outcomes
from beam_pipelines.foundation.logs.structured_log import is_json

COUNTERS = "cineaffect"
"""The namespace of the counters that a runner shows on its own page; a retried bundle counts again."""

_LOG = logging.getLogger(__name__)


class WriteOutcomes(beam.PTransform):
    """From a PCollection of `FilmOutcome` to the one run manifest, which it writes as the run's last file.

    Args:
        output: the directory of the run.
        films_in: number of films that went in; a run with another number of outcomes fails.
        about: further entries of the manifest (job, versions, fingerprints, configuration).
        failure_threshold: the share of failed films above which the run as a whole fails.
        after: PCollections whose writes must be finished before the manifest appears.
    """

    def __init__(
        self,
        output: str,
        films_in: int,
        about: Mapping[str, Any],
        failure_threshold: float,
        after: Iterable[beam.PCollection] = (),
    ):
        super().__init__()
        self.output = output
        self.films_in = films_in
        self.about = dict(about)
        self.failure_threshold = failure_threshold
        self.after = list(after)

    def expand(self, outcomes: beam.PCollection) -> beam.PCollection:
        outcomes = outcomes | "CountFilm" >> beam.Map(_count_film)
        finished = self.after | "AllWritten" >> beam.Flatten(pipeline=outcomes.pipeline)
        return (
            outcomes.pipeline
            | "OneRun" >> beam.Create([None])
            | "WriteRunManifest"
            >> beam.Map(
                _write_outcomes,
                beam.pvalue.AsList(outcomes),
                beam.pvalue.AsList(finished),
                output=self.output,
                films_in=self.films_in,
                about=self.about,
                failure_threshold=self.failure_threshold,
            )
        )


def _count_film(outcome: FilmOutcome) -> FilmOutcome:
    """Counts a film for the runner's own page, and logs its outcome."""
    status = outcome.status
    Metrics.counter(COUNTERS, f"films_{status}").inc()
    Metrics.counter(COUNTERS, f"film_seconds_{status}").inc(round(outcome.film_s))
    if status == FAILED:
        facts: dict[str, Any] = {"film": outcome.film_id, "step": outcome.step, "reason": outcome.reason}
        # In a text log a failure is no warning: it is in failures.jsonl, and nobody must act at once.
        level = logging.WARNING if is_json() else logging.INFO
        _LOG.log(level, "%s: failed: %s", outcome.film_id, outcome.detail, extra=facts)
    else:
        facts = {"film": outcome.film_id, "film_s": outcome.film_s, "warnings": to_rows(outcome.warnings)}
        _LOG.info("%s: %s", outcome.film_id, status, extra=facts)
    return outcome


def _write_outcomes(
    _: None,
    outcomes: list[FilmOutcome],
    _finished: list[Any],
    *,
    output: str,
    films_in: int,
    about: Mapping[str, Any],
    failure_threshold: float,
) -> dict[str, Any]:
    manifest = summarise(outcomes, films_in, about, failure_threshold)
    write_outcomes(output, outcomes, manifest)
    return manifest
