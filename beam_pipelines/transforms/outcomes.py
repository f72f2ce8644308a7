"""WriteOutcomes: takes each film's outcome; writes `failures.jsonl`, `warnings.jsonl` and, last, `run_manifest.json`.

    outcomes ──▶ CountFilm, Pack ──▶ by hash of the film id ──▶ SumUp ──▶ WriteRunManifest

Counts flow through the graph as data, one `FilmOutcome` per film, because Beam's counters also count retried bundles.
They are summed up some thousand at a time, so no process holds those of a million films.
So do the times of stages (`TimedDoFn`), which are summed on the way.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from beam_pipelines.contracts.curves.curve_table import shard_of
from beam_pipelines.contracts.film_warnings import to_rows
from beam_pipelines.contracts.runs import FAILED, FilmOutcome
from beam_pipelines.contracts.summed_outcomes import SummedOutcomes, sum_up, summarise, write_report
from beam_pipelines.foundation.logs.structured_log import is_json
from beam_pipelines.foundation.stage_times import REST, StageTimes, count_times, sum_of, to_json
from beam_pipelines.transforms.packing import Pack, unpack

COUNTERS = "cineaffect"
"""The namespace of the counters that a runner shows on its own page; a retried bundle counts again."""

FILMS_PER_SUM = 10_000
"""So many outcomes are summed up at a time; those with warnings take up to 2 KB each."""
TIMES_TAG = "times"
"""The tag of a `TimedDoFn`'s times."""

_LOG = logging.getLogger(__name__)


class TimedDoFn(beam.DoFn):
    """A DoFn that implements `work` instead of `process`; it also gives the times of a bundle (`TIMES_TAG`).

    An element for which no stage had anything to do has none. The runner's page shows those of each element.
    """

    def work(self, element: Any) -> Iterable[Any]:
        """What `process` gives; all of it is computed before the first output goes on."""
        raise NotImplementedError

    def start_bundle(self) -> None:
        self.times: StageTimes = {}

    def process(self, element: Any) -> Iterator[Any]:
        with count_times() as times:
            found = list(self.work(element))
        if times.keys() - {REST}:
            self.times = sum_of([self.times, times])
            for name, counts in times.items():
                for what, value in zip(("items", "bytes", "ms"), counts, strict=True):
                    Metrics.distribution(COUNTERS, f"{name} {what}".replace(" ", "_")).update(round(value))
        yield from found

    def finish_bundle(self) -> Iterator[beam.pvalue.TaggedOutput]:
        if self.times:
            window = GlobalWindow()
            times = WindowedValue(self.times, window.max_timestamp(), (window,))
            yield beam.pvalue.TaggedOutput(TIMES_TAG, times)


class WriteOutcomes(beam.PTransform):
    """From a tuple of PCollections of `FilmOutcome` to the one run manifest, which it writes as the run's last file.

    Args:
        output: the directory of the run.
        films_in: number of films that went in; a run with another number of outcomes fails.
        about: further entries of the manifest (job, versions, fingerprints, configuration).
        failure_threshold: the share of failed films above which the run as a whole fails.
        after: PCollections whose writes must be finished before the manifest appears.
        times: PCollections of `StageTimes`, whose sum the manifest has.
    """

    def __init__(
        self,
        output: str,
        films_in: int,
        about: Mapping[str, Any],
        failure_threshold: float,
        after: Iterable[beam.PCollection] = (),
        times: Sequence[beam.PCollection] = (),
    ):
        super().__init__()
        self.output = output
        self.films_in = films_in
        self.about = dict(about)
        self.failure_threshold = failure_threshold
        self.after = list(after)
        self.times = tuple(times)

    def expand(self, outcomes: tuple[beam.PCollection, ...]) -> beam.PCollection:
        pipeline = outcomes[0].pipeline
        sums = max(1, -(-self.films_in // FILMS_PER_SUM))
        # Each is packed before they meet, because a runner may keep in memory what meets.
        packed = [
            one | f"CountFilm{place}" >> beam.Map(_count_film, sums) | f"Pack{place}" >> Pack()
            for place, one in enumerate(outcomes)
        ]
        summed = packed | beam.Flatten() | "GroupBySum" >> beam.GroupByKey() | "SumUp" >> beam.Map(_sum_up)
        further = {}
        if self.times:
            times = self.times | "AllTimes" >> beam.Flatten()
            times |= "SumTimes" >> beam.CombineGlobally(sum_of).without_defaults()
            further["times"] = beam.pvalue.AsList(times)
        finished = self.after | "AllWritten" >> beam.Flatten(pipeline=pipeline)
        return (
            pipeline
            | "OneRun" >> beam.Create([None])
            | "WriteRunManifest"
            >> beam.Map(
                _write_report,
                beam.pvalue.AsList(summed),
                beam.pvalue.AsList(finished),
                output=self.output,
                films_in=self.films_in,
                about=self.about,
                failure_threshold=self.failure_threshold,
                **further,
            )
        )


def _count_film(outcome: FilmOutcome, sums: int) -> tuple[int, FilmOutcome]:
    """Counts a film for the runner's own page, logs its outcome, and says which sum it is a part of."""
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
    return shard_of(outcome.film_id, sums), outcome


def _sum_up(group: tuple[int, Iterable[bytes]]) -> SummedOutcomes:
    return sum_up(unpack(group[1]))


def _write_report(
    _: None,
    summed: list[SummedOutcomes],
    _finished: list[Any],
    *,
    output: str,
    films_in: int,
    about: Mapping[str, Any],
    failure_threshold: float,
    times: Sequence[StageTimes] = (),
) -> dict[str, Any]:
    taken = {"time_by_stage": to_json(sum_of(times))} if times else {}
    manifest = summarise(summed, films_in, {**about, **taken}, failure_threshold)
    write_report(output, summed, manifest)
    return manifest
