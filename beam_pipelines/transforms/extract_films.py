"""ExtractFilms: takes films; writes feature records to a directory; gives outcomes.

Films ──▶ ExtractFilm ──▶ done, failed
              └─ segments of long films ──▶ ExtractSegment ──▶ names of parts ──▶ FinishFilm ──▶ done, failed

No feature crosses a shuffle: workers write parts, and only their names are grouped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import apache_beam as beam
from apache_beam.utils.shared import Shared

from beam_pipelines.contracts.runs import DONE, FAILED, SKIPPED, FilmOutcome
from beam_pipelines.extraction.earlier_runs import EarlierRuns, ListedFilm
from beam_pipelines.extraction.missing import stat_source
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.weights.weight_files import DIGESTS
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.foundation.logs.structured_log import about
from beam_pipelines.transforms.outcomes import TIMES_TAG, TimedDoFn

if TYPE_CHECKING:
    from beam_pipelines.extraction.one_film import ExtractedFilm

DONE_TAG = "done"
FAILED_TAG = "failed"
_SEGMENTS_TAG, _PARTS_TAG = "segments", "parts"


@dataclass
class ExtractFilms(beam.PTransform):
    """From a PCollection of `ListedFilm` to outcomes: `done` (films with a record) and `failed` (the others).

    It also gives `times`, the `StageTimes` of bundles of films, segments and joined films.

    Attributes:
        config: the extract section.
        directory: the directory of the records, one TFRecord file per film.
        descriptions: wanted modality -> description of its features (`describe_tracks`).
        earlier: the records of earlier runs that count; each film brings its own failure.
    """

    config: ExtractConfig
    directory: str
    descriptions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    earlier: EarlierRuns = field(default_factory=EarlierRuns)

    def expand(self, films: beam.PCollection) -> Any:
        shared = Shared()
        # The reshuffles give films and segments to workers one by one; without them they'd stay fused to the reading of
        # a list.
        extracted = (
            films
            | "ReshuffleFilms" >> beam.Reshuffle()
            | "ExtractFilm"
            >> beam.ParDo(_ExtractFilm(self, shared)).with_outputs(FAILED_TAG, _SEGMENTS_TAG, TIMES_TAG, main=DONE_TAG)
        )
        parts = (
            extracted[_SEGMENTS_TAG]
            | "ReshuffleSegments" >> beam.Reshuffle()
            | "ExtractSegment" >> beam.ParDo(_ExtractSegment(self, shared)).with_outputs(TIMES_TAG, main=_PARTS_TAG)
        )
        finished = (
            parts[_PARTS_TAG]
            | "GroupParts" >> beam.GroupByKey()
            | "FinishFilm" >> beam.ParDo(_FinishFilm(self, shared)).with_outputs(FAILED_TAG, TIMES_TAG, main=DONE_TAG)
        )
        given = {tag: [extracted[tag], finished[tag]] for tag in (DONE_TAG, FAILED_TAG, TIMES_TAG)}
        given[TIMES_TAG].append(parts[TIMES_TAG])
        return {tag: each | f"All{tag.capitalize()}" >> beam.Flatten() for tag, each in given.items()}


@dataclass(frozen=True)
class _Part:
    """One segment's result: the address of its part, or its failure."""

    start: int
    uri: str = ""
    failure: FilmOutcome | None = None


class _WithExtractor(TimedDoFn):
    """Holds a worker's networks (one copy per process) and its decoding process (one per thread)."""

    def __init__(self, work: ExtractFilms, shared: Shared):
        self.config = work.config
        self.directory = work.directory
        self.descriptions = work.descriptions
        self.earlier = work.earlier
        # Made with the graph and not in `setup`: its key travels with the DoFn, so that a process holds one copy of the
        # networks, however many of its threads process bundles, and of any stage.
        self.shared = shared
        # What the job's own process has hashed, a worker on the same machine needn't hash again.
        self.digests = dict(DIGESTS)

    def setup(self) -> None:
        from beam_pipelines.extraction.decoder import decoder_of
        from beam_pipelines.extraction.one_film import Extractor
        from beam_pipelines.extractors.configured_networks import Networks

        DIGESTS.update(self.digests)
        networks = self.shared.acquire(lambda: Networks(self.config))
        self.extractor = Extractor(self.directory, networks, self.descriptions, decoder_of(self.config), self.earlier)

    def teardown(self) -> None:
        self.extractor.decoder.close()

    def outcome(self, film: Film, found: ExtractedFilm) -> FilmOutcome:
        """The outcome of a film with a record."""
        status = DONE if found.extracted else SKIPPED
        return FilmOutcome(
            film.film_id, film.uri, status, film_s=found.film_s, warnings=found.warnings, decoded_on=found.decoded_on
        )

    def failure(self, film: Film, error: FilmError) -> FilmOutcome:
        """The outcome of a failed film, with the data that decide whether the next run tries it again."""
        outcome = FilmOutcome(film.film_id, film.uri, FAILED, error.step, error.reason, error.detail)
        try:
            source = stat_source(film)
        except FilmError:
            return outcome
        return replace(
            outcome,
            source_size_bytes=source.size_bytes,
            source_modified_s=source.modified_s,
            attempt=self.earlier.attempt,
        )


class _ExtractFilm(_WithExtractor):
    def work(self, listed: ListedFilm) -> Iterator[Any]:
        from beam_pipelines.extraction.one_film import ExtractedFilm, extract_film

        film = listed.film
        try:
            failure = self.earlier.carried_over(listed)
            if failure is not None:
                yield beam.pvalue.TaggedOutput(FAILED_TAG, failure)
                return
            with about(film=film.film_id):
                found = extract_film(film, self.extractor)
        except FilmError as error:
            yield beam.pvalue.TaggedOutput(FAILED_TAG, self.failure(film, error))
            return
        if isinstance(found, ExtractedFilm):
            yield self.outcome(film, found)
            return
        for segment in found:
            yield beam.pvalue.TaggedOutput(_SEGMENTS_TAG, segment)


class _ExtractSegment(_WithExtractor):
    def work(self, segment: Any) -> Iterator[Any]:
        from beam_pipelines.extraction.joining import extract_segment

        try:
            with about(film=segment.cut.film.film_id, segment=[segment.start, segment.stop]):
                part = _Part(segment.start, extract_segment(segment, self.extractor))
        except FilmError as error:
            part = _Part(segment.start, failure=self.failure(segment.cut.film, error))
        # All segments have the same cut film. It travels as a value, since keys are compared as bytes.
        yield segment.cut.film.film_id, (segment.cut, part)


class _FinishFilm(_WithExtractor):
    def work(self, film_and_parts: tuple[str, Iterable[Any]]) -> Iterator[Any]:
        from beam_pipelines.extraction.joining import finish_film

        found = sorted(film_and_parts[1], key=lambda pair: pair[1].start)
        cut = found[0][0]
        failures = [part.failure for _, part in found if part.failure is not None]
        if failures:
            # The other parts stay: if the machine was at fault, the next run needs only the missing ones.
            yield beam.pvalue.TaggedOutput(FAILED_TAG, failures[0])
            return
        try:
            with about(film=cut.film.film_id):
                done = finish_film(cut, [part.uri for _, part in found], self.extractor)
        except FilmError as error:
            yield beam.pvalue.TaggedOutput(FAILED_TAG, self.failure(cut.film, error))
        else:
            yield self.outcome(cut.film, replace(done, extracted=True))
