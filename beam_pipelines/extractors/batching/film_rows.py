"""The rows of one film (pictures, sounds, faces), collected into batches for a network."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

import numpy as np

from beam_pipelines.foundation.stage_times import stage

Network = Callable[[np.ndarray], np.ndarray]
"""Raw inputs [n, …], any n -> float32 [n, D]."""


def counted(name: str, network: Network) -> Network:
    """The network, whose rows and time count for a stage of that name."""

    def ask(rows: np.ndarray) -> np.ndarray:
        with stage(name, len(rows), rows.nbytes):
            return network(rows)

    return ask


def one_at_a_time(network: Network) -> Network:
    """The network, for one thread at a time."""
    lock = threading.Lock()

    def ask(rows: np.ndarray) -> np.ndarray:
        with lock:
            return network(rows)

    return ask


class FilmRows(Protocol):
    """Takes a film's rows one by one and returns their vectors in the same order."""

    def add(self, row: np.ndarray) -> None:
        """Takes the next row; the network may run."""

    def flush(self) -> None:
        """Ends a stretch of the film: the next row begins another one."""

    def vectors(self) -> np.ndarray:
        """The vectors of all rows so far, float32 [n, D]; rows that are still waiting are run now."""


class OwnBatches:
    """A film's rows in batches that no other film shares, in order; the last batch of a stretch may be part-filled.

    Args:
        network: the network; each call has at most `batch_size` rows.
        dimensions: length of a vector.
        batch_size: rows per call.
    """

    def __init__(self, network: Network, dimensions: int, batch_size: int):
        self._network = network
        self._batch_size = batch_size
        self._waiting: list[np.ndarray] = []
        self._vectors: list[np.ndarray] = [np.empty((0, dimensions), np.float32)]

    def add(self, row: np.ndarray) -> None:
        """Takes the next row, and runs the batch if it is full."""
        self._waiting.append(row)
        if len(self._waiting) == self._batch_size:
            self.flush()

    def flush(self) -> None:
        """Runs the waiting rows, although their batch isn't full."""
        if self._waiting:
            self._vectors.append(self._network(np.stack(self._waiting)))
            self._waiting = []

    def vectors(self) -> np.ndarray:
        """The vectors of all rows, float32 [n, D]."""
        self.flush()
        return np.concatenate(self._vectors)
