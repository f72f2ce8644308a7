"""The films that go a given way, nearest first: as a table for people, as CSV for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from beam_pipelines.contracts.film_ids import shown_name
from beam_pipelines.foundation.text_tables import aligned, csv_text
from beam_pipelines.report.arcs.arcs import Arcs
from beam_pipelines.report.arcs.distance import By, distances

_DECIMALS = 6
_LONGEST_NAME = 48


@dataclass(frozen=True)
class SimilarFilm:
    """A film and how far it is from the arc that was asked for.

    Attributes:
        place: its place in the arcs.
        distance: as `distances` gives it.
    """

    place: int
    distance: float


def similar_films(arc: Arcs, arcs: Arcs, by: By, top: int, left_out: int | None = None) -> list[SimilarFilm]:
    """The `top` films nearest to an arc with the same targets; equally far ones by film id.

    Args:
        arc: the arc of a single film, or one that was drawn.
        arcs: the films.
        by: what is compared.
        top: how many films.
        left_out: the place of a film that is not listed: the one that is asked for.
    """
    far = np.round(distances(arc, arcs, by), _DECIMALS)
    order = [int(place) for place in np.argsort(far, kind="stable") if place != left_out]
    return [SimilarFilm(place, float(far[place])) for place in order[:top]]


def to_csv(found: Sequence[SimilarFilm], arcs: Arcs) -> str:
    """The columns film_id, distance, seconds, mean of each target, and family if the films have one."""
    columns = ["film_id", "distance", "seconds", *(f"{target}_mean" for target in arcs.targets)]
    rows = []
    for film in found:
        means = [f"{value:.6f}" for value in arcs.mean[film.place].tolist()]
        rows.append([arcs.film_ids[film.place], f"{film.distance:.6f}", int(arcs.seconds[film.place]), *means])
        if arcs.family is not None:
            rows[-1].append(int(arcs.family[film.place]))
    return csv_text([*columns, *(["family"] if arcs.family is not None else [])], rows)


def to_lines(found: Sequence[SimilarFilm], arcs: Arcs) -> list[str]:
    """The same as aligned lines, with a heading."""
    heading = ["film", "distance", "length", *(f"mean {target}" for target in arcs.targets)]
    rows = [[*heading, *(["family"] if arcs.family is not None else [])]]
    for film in found:
        minutes, seconds = divmod(int(arcs.seconds[film.place]), 60)
        means = [f"{value:+z.2f}" for value in arcs.mean[film.place].tolist()]
        name = short_name(arcs.film_ids[film.place])
        rows.append([name, f"{film.distance:.3f}", f"{minutes}:{seconds:02d}", *means])
        if arcs.family is not None:
            rows[-1].append(str(arcs.family[film.place]))
    return aligned(rows, words=1)


def short_name(film_id: str, longest: int = _LONGEST_NAME) -> str:
    """A film's name as people wrote it, cut where it is too long for a table or a panel."""
    name = shown_name(film_id)
    return name if len(name) <= longest else name[: longest - 1] + "…"
