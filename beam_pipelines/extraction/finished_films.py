"""Finding the films of an extract job that need no work, before its graph is built.

So a local run with nothing to do starts neither worker processes nor networks. On a cluster the workers look films up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from beam_pipelines.contracts.film_warnings import refuse
from beam_pipelines.contracts.runs import SKIPPED, FilmOutcome
from beam_pipelines.extraction.earlier_runs import EarlierRuns
from beam_pipelines.extraction.missing import stat_source, up_to_date_header
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation.errors import FilmError

_THREADS = 10
"""Many threads, since looking a film up mostly waits for storage; a bucket's client keeps ten connections."""


@dataclass(frozen=True)
class SetApart:
    """The result of looking films up.

    Attributes:
        films: the films that need work, in their order.
        outcomes: the outcomes of the others: done before, or failed before because of their file.
    """

    films: Sequence[Film]
    outcomes: tuple[FilmOutcome, ...]


def set_apart(
    films: Sequence[Film],
    directory: str,
    descriptions: Mapping[str, Mapping[str, Any]],
    earlier: EarlierRuns,
    refused: Sequence[str] = (),
) -> SetApart:
    """Looks every film up, and sets those apart that need no work.

    Args:
        films: the films of a run that has not begun.
        directory: the directory of their records.
        descriptions: wanted modality -> description of its features.
        earlier: the records and failures of earlier runs that count.
        refused: the codes of `extract.refuse`.
    """
    if earlier.force:
        return SetApart(films, ())

    def look(film: Film) -> FilmOutcome | None:
        try:
            failure = earlier.carried_over(earlier.listed(film))
            if failure is not None:
                return failure
            header = up_to_date_header(film, stat_source(film), directory, descriptions)
            refuse(film.uri, header.warnings if header else (), refused)
        except FilmError:
            return None  # the worker that gets the film reports the error
        if header is None:
            return None
        film_s = header.duration_us / 1_000_000
        return FilmOutcome(film.film_id, film.uri, SKIPPED, film_s=film_s, warnings=header.warnings)

    with ThreadPoolExecutor(_THREADS) as threads:
        found = list(zip(films, threads.map(look, films), strict=True))
    return SetApart(
        tuple(film for film, outcome in found if outcome is None),
        tuple(outcome for _, outcome in found if outcome is not None),
    )
