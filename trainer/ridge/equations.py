"""The normal equations of ridge regression, summed up film by film, solved for one penalty after another.

Columns are features and their causal means, both sides are centred:

    (X'X + N p I) w = X'y            if there are more seconds than columns
    (XX' + N p I) a = y,  w = X'a    otherwise: the same solution, from a smaller matrix

At MediaEval 2018's size (96,000 seconds, 12,816 columns) the matrix takes 1.3 GB, and there is one of it: each
factorisation overwrites one triangle, and the other one restores it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.linalg import blas, lapack

from beam_pipelines.foundation.errors import ConfigurationError
from trainer.data.film_protocols import LabelledRows
from trainer.foundation.ridge_config import RidgeConfig
from trainer.ridge.causal_means import causal_mean, input_rows, running_sums

ROWS = 512
"""Seconds whose columns are made at a time."""


class RidgeEquations:
    """The equations of some films, all of whose labelled seconds count alike.

    Args:
        films: films to learn from.
        modalities: the features, in this order.
        presence_input: whether presence flags are columns too.
        config: the causal means.

    Raises:
        ConfigurationError: if no second has a label.
    """

    def __init__(
        self, films: Sequence[LabelledRows], modalities: Sequence[str], presence_input: bool, config: RidgeConfig
    ):
        self._rows = lambda film: input_rows(film, modalities, presence_input)
        self._widths_s = config.widths_s
        self.seconds = sum(int(film.known.sum()) for film in films)
        if not self.seconds:
            raise ConfigurationError("ridge: no second of the training films has a label")
        self.label_mean = sum(film.labels[film.known].sum(axis=0, dtype=np.float64) for film in films) / self.seconds
        columns = self._rows(films[0]).shape[1] * len(self._widths_s)
        self._x: np.ndarray | None = None
        if columns <= self.seconds:
            self._sum_up(films, columns)
        else:
            self._take_all(films, columns)
        _copy_lower_triangle(self._matrix)
        self._diagonal = self._matrix.diagonal().copy()

    def solve(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """The weights float64 [widths, D, targets] and the offset float64 [targets] for one penalty.

        Raises:
            ConfigurationError: if the penalty is too small for the equations to be solved.
        """
        matrix, order = self._matrix, np.arange(len(self._matrix))
        matrix[order, order] = self._diagonal + self.seconds * penalty
        _, failed = lapack.dpotrf(matrix, lower=1, clean=0, overwrite_a=1)
        if not failed:
            solution, _ = lapack.dpotrs(matrix, self._right, lower=1)
        _copy_lower_triangle(matrix.T)
        if failed:
            raise ConfigurationError(
                f"train.ridge: a penalty of {penalty:g} is too small for {len(matrix)} equations; name larger ones"
            )
        weights = solution if self._x is None else self._x.T @ solution
        offset = self.label_mean - self._column_mean @ weights
        return weights.reshape(len(self._widths_s), -1, weights.shape[1]), offset

    def _blocks(self, films: Sequence[LabelledRows]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Columns float64 [N, columns] and centred labels float64 [N, targets] of some labelled seconds at a time."""
        for film in films:
            sums, seconds = running_sums(self._rows(film)), np.flatnonzero(film.known)
            for part in np.array_split(seconds, -(-len(seconds) // ROWS)) if len(seconds) else ():
                columns = [causal_mean(sums, part, width_s) for width_s in self._widths_s]
                yield np.concatenate(columns, axis=1), film.labels[part].astype(np.float64) - self.label_mean

    def _sum_up(self, films: Sequence[LabelledRows], columns: int) -> None:
        matrix, self._right = (
            np.zeros((columns, columns), order="F"),
            np.zeros((columns, len(self.label_mean)), order="F"),
        )
        total = np.zeros(columns)
        for x, y in self._blocks(films):
            matrix = blas.dsyrk(1.0, x.T, beta=1.0, c=matrix, lower=1, overwrite_c=1)
            self._right += x.T @ y
            total += x.sum(axis=0)
        self._column_mean = total / self.seconds
        self._matrix = blas.dsyr(-self.seconds, self._column_mean, a=matrix, lower=1, overwrite_a=1)

    def _take_all(self, films: Sequence[LabelledRows], columns: int) -> None:
        self._x, self._right = (
            np.empty((self.seconds, columns)),
            np.empty((self.seconds, len(self.label_mean)), order="F"),
        )
        first = 0
        for x, y in self._blocks(films):
            rows = slice(first, first + len(x))
            self._x[rows], self._right[rows] = x, y
            first = rows.stop
        self._column_mean = self._x.mean(axis=0)
        self._x -= self._column_mean
        self._matrix = blas.dsyrk(1.0, self._x.T, trans=1, lower=1)


def _copy_lower_triangle(matrix: np.ndarray) -> None:
    """Writes the lower triangle [n, n] over the upper one, block by block, without a second matrix."""
    for first in range(0, len(matrix), ROWS):
        block = slice(first, first + ROWS)
        inner = np.tril(matrix[block, block])
        matrix[block, block] = inner + np.tril(inner, -1).T
        matrix[block, first + ROWS :] = matrix[first + ROWS :, block].T
