"""What a local job is given to do: in which order."""

from __future__ import annotations

import os
from collections.abc import Sequence

from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation import storage


def largest_first(films: Sequence[Film]) -> list[Film]:
    """The films by the size of their files; those in buckets, and those that can't be looked at, last and in order.

    Beam's local runner gives every worker each n-th film, once and for all. In this order the workers have about the
    same to do, and at the end none waits for another that has the longest film still before it.
    """

    def size_bytes(film: Film) -> int:
        if storage.is_remote(film.uri):
            return 0
        try:
            return os.stat(film.uri).st_size
        except (OSError, ValueError):
            return 0

    return sorted(films, key=size_bytes, reverse=True)
