"""A film in a scoring run: to be scored, scored before, or scored in this run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.contracts.curves.done_marker import DoneMarker
from beam_pipelines.contracts.film_warnings import FilmWarning
from beam_pipelines.contracts.runs import FAILED, FilmOutcome
from beam_pipelines.foundation.errors import FilmError


@dataclass(frozen=True)
class FilmToScore:
    """A film with the feature record to score.

    Attributes:
        film_id, source_uri: the film.
        record_uri: its feature record.
        checksum: the record's `record_checksum`, once it was read.
        warnings: the record's warnings, once it was read.
        source_sha256: SHA-256 of the film's file, once the record was read.
        decoded_on: what decoded its pictures in this run (`FilmOutcome.decoded_on`).
    """

    film_id: str
    source_uri: str
    record_uri: str
    checksum: str = ""
    warnings: tuple[FilmWarning, ...] = ()
    source_sha256: str = ""
    decoded_on: str = ""

    def row(self) -> list[Any]:
        """What is known of the film before its record is read."""
        return [self.film_id, self.source_uri, self.record_uri, self.checksum]

    @classmethod
    def of_row(cls, row: list[Any]) -> FilmToScore:
        """The film of these values."""
        return cls(*row)


@dataclass(frozen=True)
class SkippedFilm:
    """A film that was already scored from the same record and model, and its done marker.

    Attributes:
        film, marker: the film and its done marker.
        by_this_run: whether a worker of this run scored it and was lost afterwards; else an earlier run did.
    """

    film: FilmToScore
    marker: DoneMarker
    by_this_run: bool = False


@dataclass(frozen=True, eq=False)
class ScoredFilm:
    """A film that this run has scored, its curve, and its future done marker."""

    film: FilmToScore
    marker: DoneMarker
    curve: AffectCurve


def failed_film(film: FilmToScore, error: FilmError) -> FilmOutcome:
    """The outcome of a film that can't be scored."""
    return FilmOutcome(film.film_id, film.source_uri, FAILED, error.step, error.reason, error.detail)
