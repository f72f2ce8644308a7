"""Films of an extract job that need no work, found before its graph is built.

A local run with nothing left to do then starts neither worker processes nor networks. On a cluster its workers look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from beam_pipelines.contracts.runs import SKIPPED, FilmOutcome
from beam_pipelines.extraction.earlier_runs import EarlierRuns
from beam_pipelines.extraction.missing import stat_source, up_to_date_header
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation.errors import FilmError

_THREADS = 16
"""Looking a film up is waiting for storage."""


@dataclass(frozen=True)
class SetApart:
    """Films that were looked up.

    Attributes:
        films: those that need work, in their order.
        outcomes: what became of the others: done before, or failed before by a fault of their own.
    """

    films: tuple[Film, ...]
    outcomes: tuple[FilmOutcome, ...]


def set_apart(
    films: Sequence[Film],
    directory: str,
    descriptions: Mapping[str, Mapping[str, Any]],
    earlier: EarlierRuns,
) -> SetApart:
    """Looks every film up.

    Args:
        films: the films of a run that has not begun.
        directory: where their records lie.
        descriptions: wanted modality -> what its features depend on.
        earlier: which records and failures of earlier runs count.
    """
    if earlier.force:
        return SetApart(tuple(films), ())

    def look(film: Film) -> FilmOutcome | None:
        try:
            failure = earlier.carried_over(film)
            if failure is not None:
                return failure
            header = up_to_date_header(film, stat_source(film), directory, descriptions)
        except FilmError:
            return None  # the worker that is given the film says so
        if header is None:
            return None
        return FilmOutcome(film.film_id, film.uri, SKIPPED, film_s=header.duration_us / 1_000_000)

    with ThreadPoolExecutor(_THREADS) as threads:
        found = list(zip(films, threads.map(look, films), strict=True))
    return SetApart(
        tuple(film for film, outcome in found if outcome is None),
        tuple(outcome for _, outcome in found if outcome is not None),
    )
