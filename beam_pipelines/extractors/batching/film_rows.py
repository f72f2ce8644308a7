"""The rows of one film (pictures, sounds, faces) on their way through a network, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

Network = Callable[[np.ndarray], np.ndarray]
"""Raw inputs [n, …], any n -> float32 [n, D]."""


class FilmRows(Protocol):
    """Takes a film's rows one by one and gives their vectors in the same order."""

    def add(self, row: np.ndarray) -> None:
        """Takes the next row; a network may run."""

    def flush(self) -> None:
        """Tells that the next row begins another stretch of the film."""

    def vectors(self) -> np.ndarray:
        """Of all rows so far, float32 [n, D]; what has not been run yet is."""


class OwnBatches:
    """A film's rows in batches that no other film shares: row by row in order, the last batch of a stretch part-filled.

    Args:
        network: called with `batch_size` rows at most.
        dimensions: of a vector.
        batch_size: rows that are collected for one call.
    """

    def __init__(self, network: Network, dimensions: int, batch_size: int):
        self._network = network
        self._batch_size = batch_size
        self._waiting: list[np.ndarray] = []
        self._vectors: list[np.ndarray] = [np.empty((0, dimensions), np.float32)]

    def add(self, row: np.ndarray) -> None:
        """Takes the next row and runs the batch that it fills."""
        self._waiting.append(row)
        if len(self._waiting) == self._batch_size:
            self.flush()

    def flush(self) -> None:
        """Runs what is waiting, though the batch isn't full."""
        if self._waiting:
            self._vectors.append(self._network(np.stack(self._waiting)))
            self._waiting = []

    def vectors(self) -> np.ndarray:
        """Of all rows, float32 [n, D]."""
        self.flush()
        return np.concatenate(self._vectors)
