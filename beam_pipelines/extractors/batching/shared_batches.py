"""Batches that several films of one process fill together: a GPU needs large ones, and a short film fills none alone.

film 1 (thread) ──┐
film 2 (thread) ──┼──▶ one open batch ──▶ network ──▶ each film's own vectors
film 3 (thread) ──┘

A row goes into the batch that is open when it arrives. The thread that completes a batch runs it; meanwhile others fill
the next one. A film asks for its vectors only at its end. If its last rows are then in a batch that isn't full, it
waits for other films to fill the batch. It runs the batch itself as soon as no other film can fill it (all films of the
process are waiting) or a time limit is reached. So no film waits forever, whatever happens to the others.

Batches have one size and are zero-padded, and the other rows of a batch change no bit of a row. Its place in the batch
may: with the kernels of an AVX2 machine InceptionV3 gives the last of 16 rows other last bits than the first 15. So a
film's vectors agree to 1e-5 with those that it has alone; if equal bytes are required, films must not share batches.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from beam_pipelines.extractors.batching.film_rows import Network
from beam_pipelines.foundation.errors import NotFiniteError


class FilmsAtWork:
    """Counts the films of this process that add rows, and those of them that wait; all networks share it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        """Guards the counts and the batches of all networks; notified of every event for which a film may wait."""
        self.at_work = 0
        self.waiting = 0

    @contextmanager
    def film(self) -> Iterator[None]:
        """Counts a film as at work within the `with` block, however the block ends."""
        with self.changed:
            self.at_work += 1
        try:
            yield
        finally:
            with self.changed:
                self.at_work -= 1
                self.changed.notify_all()

    def all_wait(self) -> bool:
        """Whether no film can add another row before a waiting one has its vectors."""
        return self.waiting >= self.at_work


class _Batch:
    """Rows, each with its film and its number within the film."""

    def __init__(self) -> None:
        self.rows: list[np.ndarray] = []
        self.owners: list[tuple[SharedFilmRows, int]] = []


class SharedBatches:
    """One network for all films of a process.

    Args:
        network: the network; one thread at a time calls it, with `batch_size` rows.
        batch_size: rows of a batch.
        films: counts the films that add rows.
        wait_s: how long a film's last rows wait for others to fill their batch.
    """

    def __init__(self, network: Network, batch_size: int, films: FilmsAtWork, wait_s: float):
        self._network = network
        self._batch_size = batch_size
        self._films = films
        self._wait_s = wait_s
        self._open = _Batch()
        self._one_at_a_time = threading.Lock()

    def rows(self, dimensions: int) -> SharedFilmRows:
        """The object to which a film adds its rows."""
        return SharedFilmRows(self, dimensions)

    def add(self, film: SharedFilmRows, row: np.ndarray) -> None:
        """Puts a film's next row into the open batch, and runs the batch if it is then full."""
        full: _Batch | None = None
        with self._films.changed:
            self._open.rows.append(row)
            self._open.owners.append((film, film.count()))
            if len(self._open.rows) == self._batch_size:
                full = self._take()
        if full is not None:
            self._run(full)

    def wait_for(self, film: SharedFilmRows) -> None:
        """Returns when all rows of a film have been run, or it has an error instead of one of them."""
        until_s = time.monotonic() + self._wait_s
        while (batch := self._served_or_to_run(film, until_s)) is not None:
            self._run(batch)

    def _served_or_to_run(self, film: SharedFilmRows, until_s: float) -> _Batch | None:
        """Waits until a film has its vectors (None), or must run the batch that holds its rows."""
        films = self._films
        with films.changed:
            films.waiting += 1
            # Films that wait for this one to add rows need not wait any longer.
            films.changed.notify_all()
            try:
                while not film.is_served():
                    left_s = until_s - time.monotonic()
                    is_open = any(owner is film for owner, _ in self._open.owners)
                    if is_open and (left_s <= 0 or films.all_wait()):
                        return self._take()
                    # A batch that isn't open any more is being run; the thread that runs it will notify.
                    films.changed.wait(left_s if is_open else None)
                return None
            finally:
                films.waiting -= 1

    def _take(self) -> _Batch:
        batch, self._open = self._open, _Batch()
        return batch

    def _run(self, batch: _Batch) -> None:
        answers: list[np.ndarray | BaseException] = []
        try:
            with self._one_at_a_time:
                answers = self._answers(batch)
        except BaseException as error:
            # Any error: the films of this batch wait in other threads and must learn of it.
            answers = [error] * len(batch.rows)
            raise
        finally:
            with self._films.changed:
                for (film, number), answer in zip(batch.owners, answers, strict=True):
                    film.serve(number, answer)
                self._films.changed.notify_all()

    def _answers(self, batch: _Batch) -> list[np.ndarray | BaseException]:
        """Each row's vector; for all rows of a film for which the network gives infinite values or NaN, that error."""
        rows = np.zeros((self._batch_size, *batch.rows[0].shape), batch.rows[0].dtype)
        rows[: len(batch.rows)] = batch.rows
        try:
            vectors = self._network(rows)
            return [vectors[place].copy() for place in range(len(batch.rows))]
        except NotFiniteError:
            # It doesn't say whose row is at fault, and the other films must not fail for it.
            return self._answers_film_by_film(batch)

    def _answers_film_by_film(self, batch: _Batch) -> list[np.ndarray | BaseException]:
        answers: dict[int, np.ndarray | BaseException] = {}
        for film in dict.fromkeys(owner for owner, _ in batch.owners):
            places = [place for place, (owner, _) in enumerate(batch.owners) if owner is film]
            # The film's rows keep their places, and fill all others too: not even a row of zeros adds a fault.
            rows = np.stack([batch.rows[places[0]]] * self._batch_size)
            rows[places] = [batch.rows[place] for place in places]
            try:
                vectors = self._network(rows)
                for place in places:
                    answers[place] = vectors[place].copy()
            except NotFiniteError as error:
                for place in places:
                    answers[place] = error
        return [answers[place] for place in range(len(batch.rows))]


class SharedFilmRows:
    """A film's rows in batches shared with other films; only the film's own thread may use it."""

    def __init__(self, batches: SharedBatches, dimensions: int):
        self._batches = batches
        self._dimensions = dimensions
        self._vectors: list[np.ndarray | None] = []
        self._outstanding = 0
        self._failure: BaseException | None = None

    def add(self, row: np.ndarray) -> None:
        """Takes the next row, and runs the batch if it is then full.

        Raises:
            Exception: the network's error on a batch with a row of this film.
        """
        self._raise_failure()
        self._batches.add(self, row)

    def flush(self) -> None:
        """Does nothing: rows of the next stretch, or of another film, fill the batch."""

    def vectors(self) -> np.ndarray:
        """The vectors of all rows, float32 [n, D]; waits for rows that have not been run.

        Raises:
            Exception: as `add`.
        """
        self._batches.wait_for(self)
        self._raise_failure()
        found = [vector for vector in self._vectors if vector is not None]
        return np.stack(found) if found else np.empty((0, self._dimensions), np.float32)

    def count(self) -> int:
        """The number of a row that is added now; the caller holds the batches' lock."""
        self._vectors.append(None)
        self._outstanding += 1
        return len(self._vectors) - 1

    def serve(self, number: int, answer: np.ndarray | BaseException) -> None:
        """Stores the row's vector, or the error that replaces it; the caller holds the batches' lock."""
        self._outstanding -= 1
        if isinstance(answer, BaseException):
            self._failure = answer
        else:
            self._vectors[number] = answer

    def is_served(self) -> bool:
        """Whether all rows have vectors, or the network has failed."""
        return not self._outstanding or self._failure is not None

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
