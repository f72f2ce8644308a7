"""Finding the films of a scoring run that need no work, because they were scored from the same record and model."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from beam_pipelines.contracts.curves.done_marker import record_checksum
from beam_pipelines.contracts.runs import FilmOutcome
from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.scoring.curve_files import CurveFiles, FinishedFilms
from beam_pipelines.scoring.scored_film import FilmToScore, SkippedFilm, failed_film

_THREADS = 10
"""Many threads, since looking a film up mostly waits for storage; a bucket's client keeps ten connections."""


@dataclass(frozen=True)
class LookedUp:
    """The result of looking films up.

    Attributes:
        to_score: the films that need work, in their order.
        skipped: the films that need none.
        failed: the films without a readable record.
    """

    to_score: tuple[FilmToScore, ...] = ()
    skipped: tuple[SkippedFilm, ...] = ()
    failed: tuple[FilmOutcome, ...] = ()


def look_up(films: Sequence[FilmToScore], files: CurveFiles) -> LookedUp:
    """Looks every film up before a graph is built, so that one with nothing to do starts neither workers nor networks.

    Args:
        films: the films of a run that has not begun.
        files: the run's files, which may include files of an earlier run.
    """
    finished = FinishedFilms(files)
    with ThreadPoolExecutor(_THREADS) as threads:
        found = list(threads.map(lambda film: look_up_film(film, finished), films))
    return LookedUp(
        tuple(film for film in found if isinstance(film, FilmToScore)),
        tuple(film for film in found if isinstance(film, SkippedFilm)),
        tuple(film for film in found if isinstance(film, FilmOutcome)),
    )


def look_up_film(film: FilmToScore, finished: FinishedFilms) -> FilmToScore | SkippedFilm | FilmOutcome:
    """The film with its record's checksum, or as it was scored before, or the failure to open its record."""
    try:
        film = film if film.checksum else replace(film, checksum=record_checksum(film.record_uri))
    except (FileNotFoundError, PermissionError) as error:
        return failed_film(film, cannot_open(film, error))
    marker = finished.marker_of(film.film_id, film.checksum)
    return film if marker is None else SkippedFilm(film, marker, finished.is_of_this_run(film.film_id))


def cannot_open(film: FilmToScore, error: FileNotFoundError | PermissionError) -> FilmError:
    """The failure of a film whose record can't be opened."""
    if isinstance(error, FileNotFoundError):
        return FilmError("score", "no_record", f"{film.record_uri}: no such feature record; extract it")
    return FilmError("score", "unreadable_record", f"{film.record_uri}: {error.strerror}")
