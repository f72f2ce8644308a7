"""A film on its way through a scoring run: to be scored, done before, or scored."""

from __future__ import annotations

from dataclasses import dataclass

from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.contracts.curves.done_marker import DoneMarker
from beam_pipelines.contracts.runs import FAILED, FilmOutcome
from beam_pipelines.foundation.errors import FilmError


@dataclass(frozen=True)
class FilmToScore:
    """A film whose feature record is to be scored.

    Attributes:
        film_id, source_uri: the film.
        record_uri: its feature record.
        checksum: `record_checksum` of it; known once the record has been looked at.
    """

    film_id: str
    source_uri: str
    record_uri: str
    checksum: str = ""


@dataclass(frozen=True)
class SkippedFilm:
    """A film that was scored from the same before, and the done marker that says so.

    Attributes:
        film, marker: of the film.
        by_this_run: a worker of this run did it and was lost afterwards; by an earlier run otherwise.
    """

    film: FilmToScore
    marker: DoneMarker
    by_this_run: bool = False


@dataclass(frozen=True, eq=False)
class ScoredFilm:
    """A film that this run has scored, its curve, and the done marker that it will leave."""

    film: FilmToScore
    marker: DoneMarker
    curve: AffectCurve


def failed_film(film: FilmToScore, error: FilmError) -> FilmOutcome:
    """The outcome of a film that can't be scored."""
    return FilmOutcome(film.film_id, film.source_uri, FAILED, error.step, error.reason, error.detail)
