"""Families: groups of films whose curves have one shape, and how far such groups exist at all.

Two figures say that. The silhouette: how much nearer films are to their own family than to the next (1 is best, below
0.25 is hardly a structure). The stability: the families of half of the films, drawn at random, are found anew, and all
films are given to them; the mean adjusted Rand index says how far that agrees (1: wholly, 0: as by chance).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.report.arcs.arcs import Arcs
from beam_pipelines.report.arcs.distance import distance_matrix, distances
from beam_pipelines.report.arcs.medoids import Places, find_medoids, nearest_medoid, silhouette

LARGEST_SAMPLE = 2000
"""Above so many films the families are found on a sample, and the others go to the nearest medoid."""
FEWEST_FILMS = 10
MOST_FAMILIES = 12
STABLE = 0.8
"""From this stability on a division counts as one that comes back. Random walks, which have no groups, reach 0.76."""
STRUCTURE = 0.25
RESAMPLES = 20
_LARGEST_RESAMPLE = 500
_SEED = 20161104


@dataclass(frozen=True)
class Division:
    """The films divided into a number of families.

    Attributes:
        families: how many.
        silhouette, stability: see above.
        medoids: the places of the families' medoids among the films of the sample.
    """

    families: int
    silhouette: float
    stability: float
    medoids: Places

    @property
    def is_clear(self) -> bool:
        """Whether films fall into these families, and don't only lie more in one than in another."""
        return self.stability >= STABLE and self.silhouette >= STRUCTURE


@dataclass(frozen=True, eq=False)
class Families:
    """The families of a catalogue.

    Attributes:
        tried: every division that was tried, by number of families.
        chosen: the division that counts.
        sampled: on how many films it was found.
        medoids: the place of each family's medoid among all films, largest family first.
        family: int32 [N], each film's family, from 1.
        distance: float64 [N], each film's distance by shape from its family's medoid.
    """

    tried: tuple[Division, ...]
    chosen: Division
    sampled: int
    medoids: tuple[int, ...]
    family: NDArray[np.int32]
    distance: NDArray[np.float64]


def find_families(arcs: Arcs, families: int | None = None) -> Families:
    """Divides films into families by the shape of their arcs.

    Args:
        arcs: the films.
        families: how many; None for the number with the best silhouette among the clear ones, or among all if none is.

    Raises:
        ConfigurationError: if there are too few films.
    """
    fewest = FEWEST_FILMS if families is None else families + 1
    if len(arcs) < fewest:
        wanted = "--families auto" if families is None else f"--families {families}"
        raise ConfigurationError(f"{wanted}: needs {fewest} films at least; these scores hold {len(arcs)}")
    sample = _sample(arcs.film_ids)
    matrix = distance_matrix(arcs.take(sample))
    numbers = [families] if families else range(2, min(MOST_FAMILIES, len(sample) // 4) + 1)
    tried = tuple(_divide(matrix, number) for number in numbers)
    chosen = max(tried, key=lambda d: (d.is_clear, d.silhouette, -d.families))
    return _over_all(arcs, sample, tried, chosen)


def _sample(film_ids: Sequence[str]) -> Places:
    """The places of the films by which families are found: all, or those whose names have the smallest digests."""
    if len(film_ids) <= LARGEST_SAMPLE:
        return np.arange(len(film_ids))
    digests = [hashlib.sha256(film_id.encode("utf-8", "surrogatepass")).digest() for film_id in film_ids]
    places: Places = np.sort(sorted(range(len(film_ids)), key=digests.__getitem__)[:LARGEST_SAMPLE])
    return places


def _divide(matrix: NDArray[np.float64], families: int) -> Division:
    medoids = find_medoids(matrix, families)
    labels = nearest_medoid(matrix, medoids)
    return Division(families, silhouette(matrix, labels), _stability(matrix, labels, families), medoids)


def _stability(matrix: NDArray[np.float64], labels: Places, families: int) -> float:
    random, n = np.random.default_rng(_SEED), len(labels)
    size = min(max(n // 2, families), _LARGEST_RESAMPLE)
    agreements = []
    for _ in range(RESAMPLES):
        half = np.sort(random.choice(n, size, replace=False))
        medoids = half[find_medoids(matrix[np.ix_(half, half)], families)]
        agreements.append(adjusted_rand(labels, nearest_medoid(matrix, medoids)))
    return float(np.mean(agreements))


def adjusted_rand(one: Places, other: Places) -> float:
    """How far two divisions of the same films agree: 1 wholly, 0 as by chance (Hubert and Arabie 1985)."""
    table = np.zeros((int(one.max()) + 1, int(other.max()) + 1), np.int64)
    np.add.at(table, (one, other), 1)

    def pairs(counts: NDArray[np.int64]) -> float:
        return float((counts * (counts - 1) // 2).sum())

    both, rows, columns = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    total = len(one) * (len(one) - 1) / 2
    expected = rows * columns / total if total else 0.0
    most = (rows + columns) / 2
    return 1.0 if most == expected else (both - expected) / (most - expected)


def _over_all(arcs: Arcs, sample: Places, tried: tuple[Division, ...], chosen: Division) -> Families:
    medoids = sample[chosen.medoids]
    to_medoids = np.stack([distances(arcs.take([place]), arcs, "shape") for place in medoids], axis=1)
    labels = to_medoids.argmin(axis=1)
    labels[medoids] = np.arange(len(medoids))
    # The largest family is 1; of equally large ones that of the first medoid.
    order = np.lexsort((medoids, -np.bincount(labels, minlength=len(medoids))))
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(1, len(order) + 1)
    return Families(
        tried,
        chosen,
        len(sample),
        tuple(int(medoids[place]) for place in order),
        rank[labels],
        to_medoids[np.arange(len(labels)), labels],
    )
