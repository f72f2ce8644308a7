"""How far apart arcs are: dynamic time warping within a band, or the difference of their levels.

Warping lets a point of one arc meet a point of the other that is up to `BAND` hundredths of the film earlier or later,
so that a turn counts as the same turn although it comes a little sooner. All targets are warped together, since a
film's valence and arousal share its time. The distance is exact, no bound and no approximation: dtaidistance's C code.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.report.arcs.arcs import POINTS, Arcs

By = Literal["shape", "level", "both"]
BYS: tuple[By, ...] = get_args(By)
"""shape: warped shapes, without unit. level: mean and spread. both: warped arcs. The last two in the labels' unit."""
BAND = 10
"""The largest shift, in points of the arc."""


def distances(arc: Arcs, others: Arcs, by: By) -> NDArray[np.float64]:
    """The distance of one film from each of others with the same targets, float64 [N].

    Args:
        arc: arcs of a single film.
        others: the others.
        by: what is compared (`BYS`).

    Returns:
        Root mean squares over points and targets: 0 for equal arcs. For warped ones the squares are summed along the
        path and divided by the number of points, so that any length of path counts.
    """
    if by == "level":
        parts = [getattr(others, name) - getattr(arc, name) for name in ("mean", "spread")]
        level: NDArray[np.float64] = np.sqrt(np.mean(np.square(parts), axis=(0, 2)))
        return level
    series = np.concatenate([_series(arc, by), _series(others, by)])
    return _warped(series, ((0, 1), (1, len(series))))


def distance_matrix(arcs: Arcs) -> NDArray[np.float64]:
    """The distances by shape of all films from each other, float64 [N, N], symmetric with a diagonal of zeros."""
    upper, n = np.triu_indices(len(arcs), 1), len(arcs)
    matrix = np.zeros((n, n))
    if n > 1:
        matrix[upper] = _warped(_series(arcs, "shape"), None)
    matrix += matrix.T
    return matrix


def _series(arcs: Arcs, by: By) -> NDArray[np.float64]:
    return np.ascontiguousarray(arcs.shape if by == "shape" else arcs.values, np.float64)


def _warped(series: NDArray[np.float64], block: Any) -> NDArray[np.float64]:
    from dtaidistance import dtw_ndim

    # Its window counts the diagonal.
    found = dtw_ndim.distance_matrix_fast(
        series, ndim=series.shape[2], window=BAND + 1, block=block, compact=True, parallel=False
    )
    return np.asarray(found, np.float64) / np.sqrt(POINTS * series.shape[2])
