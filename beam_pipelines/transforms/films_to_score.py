"""The source of a scoring run's films: existing feature records, or films that are extracted first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import apache_beam as beam

from beam_pipelines.contracts.records import records
from beam_pipelines.contracts.runs import FilmOutcome
from beam_pipelines.extraction.earlier_runs import EarlierRuns, ListedFilm
from beam_pipelines.extraction.finished_films import set_apart
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.films.catalogue import Film
from beam_pipelines.films.work_lists import WorkList, write_work_list
from beam_pipelines.scoring.curve_files import CurveFiles
from beam_pipelines.scoring.look_up import LookedUp, look_up
from beam_pipelines.scoring.scored_film import FilmToScore
from beam_pipelines.transforms import extract_films
from beam_pipelines.transforms.outcomes import TIMES_TAG
from beam_pipelines.transforms.read_films import ReadFilms


class Films(NamedTuple):
    """The PCollections of a run's films; each may be empty.

    Attributes:
        to_score: `FilmToScore`s.
        skipped: `SkippedFilm`s, which need no work.
        failed: `FilmOutcome`s of films that failed before scoring.
        times: `StageTimes` of extraction.
    """

    to_score: Sequence[beam.PCollection]
    skipped: Sequence[beam.PCollection]
    failed: Sequence[beam.PCollection]
    times: Sequence[beam.PCollection] = ()


@dataclass(frozen=True)
class FromRecords:
    """Films with existing feature records.

    Attributes:
        films_to_score: the films; a film without a record becomes a failure of the run.
        known: further films that are known to need no scoring.
        work: the lists of the films to score, from `listed`.
    """

    films_to_score: Sequence[FilmToScore]
    known: LookedUp = field(default_factory=LookedUp)
    work: WorkList = field(default_factory=WorkList)

    @property
    def films_in(self) -> int:
        """How many films go into the run."""
        return len(self.films_to_score) + len(self.known.skipped) + len(self.known.failed)

    @property
    def lists(self) -> tuple[WorkList, ...]:
        """The lists of the films, once they are written."""
        return (self.work,)

    @property
    def films_to_extract(self) -> Sequence[Film]:
        """An empty sequence, since all records exist."""
        return ()

    @property
    def lies_ready(self) -> bool:
        """True: records are available at once, so that short films may wait for others and share a call."""
        return True

    def about(self) -> dict[str, Any]:
        """An empty mapping, since the records themselves say how they were made."""
        return {}

    @property
    def segment_s(self) -> None:
        """None, since nothing is cut."""
        return None

    @property
    def made_in(self) -> None:
        """None, since no record is made."""
        return None

    def with_segments(self, segment_for: Callable[[Sequence[Film], int, str], int]) -> FromRecords:
        """This source, since nothing is cut."""
        return self

    def looked_up(self, files: CurveFiles) -> FromRecords:
        """The same source, with the films set apart that need no work."""
        found = look_up(self.films_to_score, files)
        return FromRecords(found.to_score, found)

    def listed(self, output: str) -> FromRecords:
        """The same source, with the films to score in lists in the output folder; `films` reads them."""
        return replace(self, work=write_work_list(self.films_to_score, FilmToScore.row, output, "score"))

    def films(self, pipeline: beam.Pipeline) -> Films:
        """The films as PCollections, given to workers one by one."""
        to_score, known = [], self.known
        if self.work.films:
            read = pipeline | "Films" >> ReadFilms(self.work, FilmToScore.of_row)
            to_score.append(read | "ReshuffleFilms" >> beam.Reshuffle())
        skipped = [pipeline | "SkippedFilms" >> beam.Create(known.skipped)] if known.skipped else []
        failed = [pipeline | "FailedFilms" >> beam.Create(known.failed)] if known.failed else []
        return Films(to_score, skipped, failed)


@dataclass(frozen=True)
class FromFilms:
    """Films that are extracted in the same graph; each is scored by the worker that extracted it.

    Attributes:
        catalogue: the films.
        config: the extract section.
        directory: the directory of their feature records.
        descriptions: wanted modality -> description of its features.
        extracted: further films, whose records are up to date.
        passed_over: suffix -> how many files of the folder are no films by it.
        cut_s: how long segments are in this run, in seconds; None for the section's `segment_s`.
        work: the lists of the films to extract, from `listed`.
    """

    catalogue: Sequence[Film]
    config: ExtractConfig
    directory: str
    descriptions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    extracted: FromRecords = field(default_factory=lambda: FromRecords(()))
    passed_over: Mapping[str, int] = field(default_factory=dict)
    cut_s: int | None = None
    work: WorkList = field(default_factory=WorkList)

    @property
    def films_in(self) -> int:
        """How many films go into the run."""
        return len(self.catalogue) + self.extracted.films_in

    @property
    def lists(self) -> tuple[WorkList, ...]:
        """The lists of the films, once they are written."""
        return (self.work, *self.extracted.lists)

    @property
    def films_to_extract(self) -> Sequence[Film]:
        """The catalogue."""
        return self.catalogue

    @property
    def films_to_score(self) -> Sequence[FilmToScore]:
        """The films whose records are up to date."""
        return self.extracted.films_to_score

    @property
    def lies_ready(self) -> bool:
        """False: the next film may take minutes, and a curve is written as soon as its film is extracted."""
        return False

    def about(self) -> dict[str, Any]:
        """The extract section, the features' descriptions and the files passed over, for the run manifest."""
        made = {"configuration": self.config.model_dump(mode="json"), "descriptions": self.descriptions}
        return {"extract": made, "passed_over_by_suffix": dict(self.passed_over)}

    @property
    def segment_s(self) -> int:
        """How long the segments of long films are in this run."""
        return self.cut_s or self.config.segment_s

    @property
    def made_in(self) -> str:
        """The directory in which records are made."""
        return self.directory

    def with_segments(self, segment_for: Callable[[Sequence[Film], int, str], int]) -> FromFilms:
        """The same with segments as long as a function of films, `extract.segment_s` and the records' folder says."""
        return replace(self, cut_s=segment_for(self.catalogue, self.config.segment_s, self.directory))

    def looked_up(self, files: CurveFiles) -> FromFilms:
        """The same source, with the films set apart that are extracted already, and those of them that need no work."""
        found = set_apart(self.catalogue, self.directory, self.descriptions, EarlierRuns(), self.config.refuse)
        to_score = [_find_record(outcome, self.directory) for outcome in found.outcomes]
        return replace(self, catalogue=found.films, extracted=FromRecords(to_score).looked_up(files))

    def listed(self, output: str) -> FromFilms:
        """The same source, with all films in lists in the output folder; `films` reads them."""
        work = write_work_list(self.catalogue, lambda film: ListedFilm(film).row(), output, "extract")
        return replace(self, work=work, extracted=self.extracted.listed(output))

    def films(self, pipeline: beam.Pipeline) -> Films:
        """The films with their new records, and the outcomes of films that can't be extracted."""
        ready = self.extracted.films(pipeline)
        if not self.work.films:
            return ready
        extracted = (
            pipeline
            | "FilmsToExtract" >> ReadFilms(self.work, ListedFilm.of_row)
            | extract_films.ExtractFilms(self.config.with_segments_of(self.cut_s), self.directory, self.descriptions)
        )
        to_score = extracted[extract_films.DONE_TAG] | "FindRecord" >> beam.Map(_find_record, self.directory)
        failed = [*ready.failed, extracted[extract_films.FAILED_TAG]]
        return Films([*ready.to_score, to_score], ready.skipped, failed, [extracted[TIMES_TAG]])


FilmSource = FromRecords | FromFilms


def _find_record(outcome: FilmOutcome, directory: str) -> FilmToScore:
    uri = records.record_uri(directory, outcome.film_id)
    return FilmToScore(outcome.film_id, outcome.source_uri, uri, decoded_on=outcome.decoded_on)
