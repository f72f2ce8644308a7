"""What a local job is given to do: in which order, and how many processes are worth starting for it.

A worker process takes about ten seconds of a core to import Beam and TensorFlow and to load its networks. So little
work is done in one process, which has both already; the files come out the same, byte by byte.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation import storage

WORK_A_WORKER_S = 10.0
"""Core seconds of work for which a process of its own is worth its start."""

LOOKED_UP_FILMS = 20_000
"""So many films at most are looked up by the job's own process before it starts workers: a millisecond each, which is
what starting two workers costs. Of more the workers look, side by side."""

# Core seconds of scoring, as measured (benchmarks/scoring.md): 90 minutes of film are 69 MB, and take 2.7 s.
_SCORING_S_PER_BYTE = 4e-8
_FILM_S = 0.03
_PLOT_S = 0.17
_SHARED_BYTES = 100_000_000
"""A larger film may be worth cutting into segments, which several workers extract."""


def workers_for(films: Sequence[Film], records: Sequence[str] = (), plots: bool = False) -> int:
    """How many worker processes are worth starting on this machine; at least one.

    Args:
        films: films to be extracted: a process for each; one a core where a film is above 100 MB, or lies in a bucket.
        records: feature records to be scored: a process for every ten core seconds that they will take.
        plots: whether scored films get plots.
    """
    if any(storage.is_remote(film.uri) or _size_bytes(film.uri) > _SHARED_BYTES for film in films):
        return os.cpu_count() or 1
    work_s = len(records) * (_FILM_S + _PLOT_S * plots)
    if records and work_s < WORK_A_WORKER_S * (os.cpu_count() or 1):
        work_s += _SCORING_S_PER_BYTE * sum(map(_size_bytes, records))
    return max(1, len(films), int(work_s / WORK_A_WORKER_S))


def largest_first(films: Sequence[Film]) -> list[Film]:
    """The films by the size of their files; those in buckets, and those that can't be looked at, last and in order.

    Beam's local runner gives every worker each n-th film, once and for all. In this order the workers have about the
    same to do, and at the end none waits for another that has the longest film still before it.
    """
    return sorted(films, key=lambda film: _size_bytes(film.uri), reverse=True)


def _size_bytes(uri: str) -> int:
    if storage.is_remote(uri):
        return 0
    try:
        return os.stat(uri).st_size
    except (OSError, ValueError):
        return 0
