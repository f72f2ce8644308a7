"""The source of a scoring run's films: existing feature records, or films that are extracted first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import apache_beam as beam

from beam_pipelines.contracts.records import records
from beam_pipelines.contracts.runs import FilmOutcome
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.films.catalogue import Film
from beam_pipelines.scoring.scored_film import FilmToScore
from beam_pipelines.transforms import extract_films
from beam_pipelines.transforms.create_films import CreateFilms


class FilmSource(Protocol):
    """A source of films for a pipeline."""

    @property
    def films_in(self) -> int:
        """How many films go into the run."""

    @property
    def lies_ready(self) -> bool:
        """Whether its films are available at once, so that some may wait to be predicted together."""

    def about(self) -> dict[str, Any]:
        """The source's entries in the run manifest."""

    def films(self, pipeline: beam.Pipeline) -> tuple[beam.PCollection, tuple[beam.PCollection, ...]]:
        """The PCollection of `FilmToScore`, and those of `FilmOutcome` of films that failed before."""


@dataclass(frozen=True)
class FromRecords:
    """Films with existing feature records.

    Attributes:
        films_to_score: the films; a film without a record becomes a failure of the run.
    """

    films_to_score: Sequence[FilmToScore]

    @property
    def films_in(self) -> int:
        """How many films go into the run."""
        return len(self.films_to_score)

    @property
    def lies_ready(self) -> bool:
        """True: records are available at once, so that short films may wait for others and share a call."""
        return True

    def about(self) -> dict[str, Any]:
        """An empty mapping, since the records themselves say how they were made."""
        return {}

    def films(self, pipeline: beam.Pipeline) -> tuple[beam.PCollection, tuple[beam.PCollection, ...]]:
        """The films, given to workers one by one; no film has failed before."""
        films = pipeline | "Films" >> CreateFilms(self.films_to_score) | "ReshuffleFilms" >> beam.Reshuffle()
        return films, ()


@dataclass(frozen=True)
class FromFilms:
    """Films that are extracted in the same graph; each is scored by the worker that extracted it.

    Attributes:
        catalogue: the films.
        config: the extract section.
        directory: the directory of their feature records.
        descriptions: wanted modality -> what its features depend on.
    """

    catalogue: Sequence[Film]
    config: ExtractConfig
    directory: str
    descriptions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def films_in(self) -> int:
        """How many films go into the run."""
        return len(self.catalogue)

    @property
    def lies_ready(self) -> bool:
        """False: the next film may take minutes, and a curve is written as soon as its film is extracted."""
        return False

    def about(self) -> dict[str, Any]:
        """The extract section and the features' descriptions, for the run manifest."""
        return {"extract": {"configuration": self.config.model_dump(mode="json"), "descriptions": self.descriptions}}

    def films(self, pipeline: beam.Pipeline) -> tuple[beam.PCollection, tuple[beam.PCollection, ...]]:
        """The films with their new records, and the outcomes of films that can't be extracted."""
        extracted = (
            pipeline
            | "Films" >> CreateFilms(self.catalogue)
            | extract_films.ExtractFilms(self.config, self.directory, self.descriptions)
        )
        to_score = extracted[extract_films.DONE_TAG] | "FindRecord" >> beam.Map(_find_record, self.directory)
        return to_score, (extracted[extract_films.FAILED_TAG],)


def _find_record(outcome: FilmOutcome, directory: str) -> FilmToScore:
    return FilmToScore(outcome.film_id, outcome.source_uri, records.record_uri(directory, outcome.film_id))
