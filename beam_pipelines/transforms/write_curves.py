"""WriteCurves: takes scored films; writes their files and the table of the catalogue.

    scored ──▶ WriteFilm ──┬──▶ written, for DrawPlots
                           ├──▶ by part ──▶ WritePart ──▶ RemoveOtherParts
    skipped ───────────────┘

With CSV files only done markers are grouped, packed, and the parts are made from the CSV files: no curve crosses a
shuffle. Without them the curves themselves are grouped, a few hundred kilobytes per film. A part that already holds the
same films is kept. Films of earlier runs stay in the table if the same model and smoothing made their curves.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.contracts.curves.done_marker import DoneMarker
from beam_pipelines.contracts.runs import DONE, SKIPPED, FilmOutcome
from beam_pipelines.scoring.curve_files import CurveFiles, WrittenPart
from beam_pipelines.scoring.scored_film import ScoredFilm, SkippedFilm
from beam_pipelines.transforms.outcomes import TIMES_TAG, TimedDoFn
from beam_pipelines.transforms.packing import VALUES_PER_PACK, Pack, unpack

OUTCOMES_TAG = "outcomes"
TABLE_TAG = "table"
WRITTEN_TAG = "written"
_LOG = logging.getLogger(__name__)

Entry = tuple[DoneMarker, AffectCurve | None]
"""A film's entry in the table; its curve is None if it is in the film's CSV file or in an earlier part."""


@dataclass
class WriteCurves(beam.PTransform):
    """From (`ScoredFilm`s, `SkippedFilm`s) to {`outcomes`, `written`, `table`, `times`}.

    These are the `FilmOutcome`s of both, the `ScoredFilm`s whose files are written, one element once the table is
    written, and `StageTimes`.

    Attributes:
        files: the run's files.
    """

    files: CurveFiles

    def expand(self, films: tuple[beam.PCollection, beam.PCollection]) -> Mapping[str, Any]:
        scored, skipped = films
        wrote = scored | "WriteFilm" >> beam.ParDo(_WriteFilm(self.files)).with_outputs(TIMES_TAG, main=WRITTEN_TAG)
        written = wrote[WRITTEN_TAG]
        outcomes = (written | "Done" >> beam.Map(_outcome), skipped | "Skipped" >> beam.Map(_outcome))
        together = VALUES_PER_PACK if self.files.csv else 1  # curves are large
        entries = (
            written | "EntryOfScored" >> beam.Map(_entry_of_scored, self.files) | "PackScored" >> Pack(together),
            skipped | "EntryOfSkipped" >> beam.Map(_entry_of_skipped, self.files) | "PackSkipped" >> Pack(),
        )
        table = entries | WriteCurveTable(self.files)
        times = (wrote[TIMES_TAG], table[TIMES_TAG]) | "Times" >> beam.Flatten()
        return {OUTCOMES_TAG: outcomes, WRITTEN_TAG: written, TABLE_TAG: table[TABLE_TAG], TIMES_TAG: times}


@dataclass
class WriteCurveTable(beam.PTransform):
    """From a tuple of PCollections of (shard, packed `Entry`s) to {`table`, `times`}.

    `table` has one element, once all parts are written and those of another division removed.

    Attributes:
        files: the run's files. All its parts are checked, even those without films of this run.
    """

    files: CurveFiles

    def expand(self, entries: tuple[beam.PCollection, ...]) -> Mapping[str, beam.PCollection]:
        pipeline = entries[0].pipeline
        shards = pipeline | "Shards" >> beam.Create([(shard, None) for shard in range(self.files.shards)])
        parts = (
            {"films": entries | beam.Flatten(), "shards": shards}
            | "GroupByShard" >> beam.CoGroupByKey()
            | "WritePart" >> beam.ParDo(_WritePart(self.files)).with_outputs(TIMES_TAG, main="parts")
        )
        table = (
            pipeline
            | "OneTable" >> beam.Create([None])
            | "RemoveOtherParts" >> beam.Map(_remove_other_parts, beam.pvalue.AsList(parts["parts"]), self.files)
        )
        return {TABLE_TAG: table, TIMES_TAG: parts[TIMES_TAG]}


class _WriteFilm(TimedDoFn):
    def __init__(self, files: CurveFiles):
        self.files = files

    def work(self, scored: ScoredFilm) -> Iterator[ScoredFilm]:
        self.files.write_film(scored.marker, scored.curve)
        yield scored


def _outcome(film: ScoredFilm | SkippedFilm) -> FilmOutcome:
    status = DONE if isinstance(film, ScoredFilm) or film.by_this_run else SKIPPED
    marker = film.marker
    return FilmOutcome(
        film.film.film_id,
        film.film.source_uri,
        status,
        film_s=float(marker.seconds),
        warnings=marker.warnings,
        unlike_percent=marker.unlike_percent,
        decoded_on=film.film.decoded_on,
    )


def _entry_of_scored(scored: ScoredFilm, files: CurveFiles) -> tuple[int, Entry]:
    return files.shard_of(scored.film.film_id), (scored.marker, None if files.csv else scored.curve)


def _entry_of_skipped(skipped: SkippedFilm, files: CurveFiles) -> tuple[int, Entry]:
    return files.shard_of(skipped.film.film_id), (skipped.marker, None)


class _WritePart(TimedDoFn):
    def __init__(self, files: CurveFiles):
        self.files = files

    def work(self, grouped: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[WrittenPart]:
        shard, by_source = grouped
        entries: list[Entry] = list(unpack(by_source["films"]))
        curves = {marker.film_id: curve for marker, curve in entries if curve is not None}
        yield self.files.write_part(shard, [marker for marker, _ in entries], curves)


def _remove_other_parts(_: None, parts: list[WrittenPart], files: CurveFiles) -> int:
    uris = [part.uri for part in parts if part.uri]
    files.remove_other_parts(uris)
    carried, left_out = sum(part.carried for part in parts), sum(part.left_out for part in parts)
    if carried:
        _LOG.info("the table keeps %d films of earlier runs that this one did not score", carried)
    if left_out:
        _LOG.warning(
            "%d films of earlier runs are no longer in the table: another model, smoothing, stride or --explain made "
            "their curves, and this run did not score them; run it on them too, or score into another directory",
            left_out,
        )
    return len(uris)
