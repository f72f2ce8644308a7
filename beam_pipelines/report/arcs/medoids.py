"""k-medoids by PAM: k films of which the others are as near as can be, all from a matrix of distances.

PAM (Kaufman and Rousseeuw 1990) builds greedily and then swaps a medoid for another film while any swap lowers the
cost. All swaps are tried at once, by each film's nearest and second nearest medoid (FastPAM1: Schubert and Rousseeuw,
Information Systems 101, 2021). The result is always the same: sums run in a fixed order, the first of equals wins.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Distances = NDArray[np.float64]
Places = NDArray[np.intp]

_LEAST_GAIN = 1e-9
"""A swap must lower the cost by more than this share of it: rounding errors are no gain."""


def find_medoids(distance: Distances, k: int) -> Places:
    """The places of k medoids, ascending, such that no swap of one of them lowers the cost.

    Args:
        distance: float64 [N, N], symmetric, zeros on the diagonal.
        k: 1 … N.

    Raises:
        ValueError: if k is out of range.
    """
    n = len(distance)
    if not 1 <= k <= n:
        raise ValueError(f"{n} films have 1 to {n} medoids, not {k}")
    medoids = _build(distance, k)
    while k < n:
        change, medoid, film = _best_swap(distance, medoids)
        if change >= -_LEAST_GAIN * max(cost_of(distance, medoids), 1e-300):
            break
        medoids[medoid] = film
    return np.sort(medoids)


def cost_of(distance: Distances, medoids: Places) -> float:
    """The sum of the distances of all films from their nearest medoid."""
    return float(distance[:, medoids].min(axis=1).sum())


def nearest_medoid(distance: Distances, medoids: Places) -> Places:
    """The place in `medoids` of each film's nearest, the first of equals; a medoid is its own."""
    labels: Places = distance[:, medoids].argmin(axis=1)
    labels[medoids] = np.arange(len(medoids))
    return labels


def silhouette(distance: Distances, labels: Places) -> float:
    """The mean silhouette of all films, -1 to 1 (Rousseeuw 1987); that of a film alone in its group is 0."""
    groups = int(labels.max()) + 1
    if groups < 2:
        return 0.0
    counts = np.bincount(labels, minlength=groups)
    sums = _sums_by_group(distance, labels, groups)
    films = np.arange(len(labels))
    own = sums[labels, films] / np.maximum(counts[labels] - 1, 1)
    others = sums / counts[:, None]
    others[labels, films] = np.inf
    near = others.min(axis=0)
    larger = np.maximum(own, near)
    widths = np.where((counts[labels] > 1) & (larger > 0), (near - own) / np.where(larger > 0, larger, 1.0), 0.0)
    return float(widths.mean())


def _build(distance: Distances, k: int) -> Places:
    medoids = [int(distance.sum(axis=0).argmin())]
    near = distance[:, medoids[0]].copy()
    while len(medoids) < k:
        gains = np.maximum(near[:, None] - distance, 0.0).sum(axis=0)
        gains[medoids] = -1.0
        medoids.append(int(gains.argmax()))
        near = np.minimum(near, distance[:, medoids[-1]])
    return np.array(medoids, np.intp)


def _best_swap(distance: Distances, medoids: Places) -> tuple[float, int, int]:
    """By how much the best swap changes the cost, the place of the medoid that goes, and the film that comes."""
    to_medoids = distance[:, medoids]
    labels = to_medoids.argmin(axis=1)
    if len(medoids) > 1:
        near, second = np.sort(to_medoids, axis=1)[:, :2].T
    else:
        near, second = to_medoids[:, 0], np.full(len(distance), np.inf)
    # What film c as a further medoid would save, and what it would cost besides if a film's own medoid went.
    saved = np.minimum(distance - near[:, None], 0.0)
    lost = np.minimum(distance, second[:, None]) - near[:, None] - saved
    changes = saved.sum(axis=0) + _sums_by_group(lost, labels, len(medoids))
    changes[:, medoids] = np.inf
    medoid, film = np.unravel_index(int(changes.argmin()), changes.shape)
    return float(changes[medoid, film]), int(medoid), int(film)


def _sums_by_group(rows: Distances, labels: Places, groups: int) -> Distances:
    """The sum of the rows of each group, float64 [groups, N]; a group without rows has zeros."""
    order = np.argsort(labels, kind="stable")
    present, starts = np.unique(labels[order], return_index=True)
    sums = np.zeros((groups, rows.shape[1]))
    sums[present] = np.add.reduceat(rows[order], starts, axis=0)
    return sums
