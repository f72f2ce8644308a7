"""A list of films of any length: from some number on they lie in a temporary file, and only their places in memory.

A film of a catalogue takes half a kilobyte of memory; a million of them would be most of what the process that starts a
job takes.
"""

from __future__ import annotations

import json
import os
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import IO, Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

IN_MEMORY = 20_000
Listed = TypeVar("Listed")


class FilmsOnDisk(Sequence[Listed], Generic[Listed]):
    """Films in a temporary file, which disappears with the last list of them.

    Args:
        file: the file.
        bounds: where the films lie in it, int64 [films, 2].
        film_of: makes the film of a row of plain values.
    """

    def __init__(self, file: IO[bytes], bounds: NDArray[np.int64], film_of: Callable[[list[Any]], Listed]):
        self._file, self._bounds, self._film_of = file, bounds, film_of

    @classmethod
    def of(
        cls, films: Iterable[Listed], row_of: Callable[[Listed], list[Any]], film_of: Callable[[list[Any]], Listed]
    ) -> FilmsOnDisk[Listed]:
        """Writes films to a file; `row_of` makes a row of a film."""
        file = tempfile.TemporaryFile(prefix="cineaffect-films-")  # noqa: SIM115 - it stays as long as the films
        lengths = array("q")
        for film in films:
            line = json.dumps(row_of(film)).encode()
            file.write(line)
            lengths.append(len(line))
        file.flush()
        lines = np.array(lengths, np.int64)
        ends = np.cumsum(lines)
        return cls(file, np.stack([ends - lines, ends], axis=1), film_of)

    def __len__(self) -> int:
        return len(self._bounds)

    @overload
    def __getitem__(self, place: int) -> Listed: ...
    @overload
    def __getitem__(self, place: slice) -> FilmsOnDisk[Listed]: ...
    def __getitem__(self, place: int | slice) -> Listed | FilmsOnDisk[Listed]:
        if isinstance(place, slice):
            return FilmsOnDisk(self._file, self._bounds[place], self._film_of)
        return self._read(self._bounds[place])

    def __iter__(self) -> Iterator[Listed]:
        return map(self._read, self._bounds)

    def at(self, places: Iterable[int]) -> FilmsOnDisk[Listed]:
        """The films at some places, in their order."""
        return FilmsOnDisk(self._file, self._bounds[np.fromiter(places, np.int64)], self._film_of)

    def _read(self, bounds: NDArray[np.int64]) -> Listed:
        start, stop = int(bounds[0]), int(bounds[1])
        return self._film_of(json.loads(os.pread(self._file.fileno(), stop - start, start)))


def keep(
    films: Iterable[Listed], row_of: Callable[[Listed], list[Any]], film_of: Callable[[list[Any]], Listed]
) -> Sequence[Listed]:
    """The films as a list, or on disk where they are many."""
    films = iter(films)
    first = list(islice(films, IN_MEMORY + 1))
    return first if len(first) <= IN_MEMORY else FilmsOnDisk.of(chain(first, films), row_of, film_of)


def films_at(films: Sequence[Listed], places: Iterable[int]) -> Sequence[Listed]:
    """The films at some places, in their order: a list, or on disk where the films are."""
    return films.at(places) if isinstance(films, FilmsOnDisk) else [films[place] for place in places]
