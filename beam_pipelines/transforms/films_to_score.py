"""Where the films of a scoring run come from: feature records that lie ready, or films that are extracted first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import apache_beam as beam

from beam_pipelines.contracts.records import records
from beam_pipelines.contracts.runs import FilmOutcome
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.films.catalogue import Film
from beam_pipelines.transforms import extract_films
from beam_pipelines.transforms.create_films import CreateFilms
from beam_pipelines.transforms.score_films import FilmToScore


class FilmSource(Protocol):
    """Gives a pipeline its films."""

    @property
    def films_in(self) -> int:
        """How many films go into the run."""

    @property
    def lies_ready(self) -> bool:
        """Whether its films come at once, so that some may wait to be predicted together."""

    def about(self) -> dict[str, Any]:
        """What the run manifest says of it."""

    def films(self, pipeline: beam.Pipeline) -> tuple[beam.PCollection, tuple[beam.PCollection, ...]]:
        """PCollection of `FilmToScore`, and those of `FilmOutcome` for films that never got that far."""


@dataclass(frozen=True)
class FromRecords:
    """Films whose feature records lie ready.

    Attributes:
        films_to_score: the films; one without a record becomes a failure of the run.
    """

    films_to_score: Sequence[FilmToScore]

    @property
    def films_in(self) -> int:
        """How many films go into the run."""
        return len(self.films_to_score)

    @property
    def lies_ready(self) -> bool:
        """They do."""
        return True

    def about(self) -> dict[str, Any]:
        """Nothing to add: the records say themselves how they were made."""
        return {}

    def films(self, pipeline: beam.Pipeline) -> tuple[beam.PCollection, tuple[beam.PCollection, ...]]:
        """The films, handed to workers one by one; none that failed before."""
        films = pipeline | "Films" >> CreateFilms(self.films_to_score) | "ReshuffleFilms" >> beam.Reshuffle()
        return films, ()


@dataclass(frozen=True)
class FromFilms:
    """Films that are extracted in the same graph; each is scored by the worker that extracted it.

    Attributes:
        catalogue: the films.
        config: the extract section.
        directory: where their feature records go.
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
        """They don't: the next film may be minutes away, and a curve is written as soon as its film is extracted."""
        return False

    def about(self) -> dict[str, Any]:
        """How the features are made."""
        return {"extract": {"configuration": self.config.model_dump(mode="json"), "descriptions": self.descriptions}}

    def films(self, pipeline: beam.Pipeline) -> tuple[beam.PCollection, tuple[beam.PCollection, ...]]:
        """The films whose records are made, and the outcomes of those that can't be extracted."""
        extracted = (
            pipeline
            | "Films" >> CreateFilms(self.catalogue)
            | extract_films.ExtractFilms(self.config, self.directory, self.descriptions)
        )
        to_score = extracted[extract_films.DONE_TAG] | "FindRecord" >> beam.Map(_find_record, self.directory)
        return to_score, (extracted[extract_films.FAILED_TAG],)


def _find_record(outcome: FilmOutcome, directory: str) -> FilmToScore:
    return FilmToScore(outcome.film_id, outcome.source_uri, records.record_uri(directory, outcome.film_id))
