"""The work of a job: the order of its films and, on this machine, the number of processes that pay.

A worker process takes up to ten seconds of a core to import Beam (and for scoring TensorFlow) and to load its networks.
So one process, which has imported them, does small jobs alone; the files are the same, byte by byte.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from beam_pipelines.extraction.parts_folder import kept_segment_s
from beam_pipelines.films.catalogue import Film
from beam_pipelines.films.films_on_disk import films_at
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import FilmError, StorageError

WORK_A_WORKER_S = 10.0
"""The core seconds of work from which on a further process pays."""

_LOOKED_UP_FILMS = 20_000
_LOOKED_UP_FILMS_IN_A_BUCKET = 500
"""Films that the job's own process looks up before it starts workers: on a disk at a millisecond each they cost as much
as starting two workers; in a bucket each record is downloaded. More films are looked up by the workers, in parallel."""

_LISTED_FOLDERS, _LISTED_FILMS = 20, 20_000

# Core seconds of scoring, as measured (benchmarks/scoring.md): 90 minutes of film are 69 MB, and take 2.7 s.
_SCORING_S_PER_BYTE = 4e-8
_FILM_S = 0.03
_PLOT_S = 0.17
_STRETCH_S = 300
"""`extract.segment_s` is a multiple of it."""
_SHARED_BYTES = 100_000_000
"""A larger film may be worth cutting into segments, which several workers extract."""


def looks_up(films: int, directory: str) -> bool:
    """Whether the job's own process looks up so many films with records in `directory`, before it starts workers."""
    return films <= (_LOOKED_UP_FILMS_IN_A_BUCKET if storage.is_remote(directory) else _LOOKED_UP_FILMS)


def segment_for(films: Sequence[Film], segment_s: int, directory: str, workers: int = 0) -> int:
    """How long the segments of films may be, in seconds, so that fewer films than workers keep all of them busy.

    Where a killed run has left parts of these films, they are as long as its own, so that its work isn't done again.

    Args:
        films: the films to extract.
        segment_s: `extract.segment_s`, the longest.
        directory: the directory of their records.
        workers: the number of workers; 0 for one per core.
    """
    workers = workers or os.cpu_count() or 1
    if kept_s := kept_segment_s(directory, (film.film_id for film in films), segment_s):
        return kept_s
    if not films or len(films) >= workers or any(storage.is_remote(film.uri) for film in films):
        return segment_s
    longest_s = max(_length_s(film.uri) for film in films)
    most = min(segment_s // _STRETCH_S, max(1, math.ceil(longest_s / (workers * _STRETCH_S))))
    choices = [count * _STRETCH_S for count in range(1, most + 1)]
    # Of those that end equally soon the longest: each segment is opened anew.
    return min(choices, key=lambda one_s: (_busiest_s(longest_s, one_s, workers), -one_s))


def _busiest_s(film_s: float, segment_s: int, workers: int) -> float:
    """How much of a film the busiest worker gets, if they take its segments by turns."""
    segments = max(1, math.ceil(film_s / segment_s))
    # The first worker gets the most segments. It may be its last one that is shorter than the others.
    missing_s = segments * segment_s - film_s if (segments - 1) % workers == 0 else 0
    return math.ceil(segments / workers) * segment_s - missing_s


def workers_for(
    films: Sequence[Film], records: Sequence[str] = (), plots: bool = False, segment_s: int | None = None
) -> int:
    """The number of worker processes that pay on this machine; at least one.

    Args:
        films: films to extract: one process for each, or one per core if a film is above 100 MB or in a bucket.
        segment_s: the length of the segments that films are cut into: fewer films than cores have a process for each.
        records: feature records to score: one process for every ten core seconds of scoring, or one per core if one
            is in a bucket.
        plots: whether scored films get plots.
    """
    uris = [film.uri for film in films]
    if any(map(storage.is_remote, [*uris, *records])) or any(_size_bytes(uri) > _SHARED_BYTES for uri in uris):
        return os.cpu_count() or 1
    segments = 0
    if segment_s is not None and len(films) < (os.cpu_count() or 1):
        segments = sum(math.ceil(_length_s(uri) / segment_s) for uri in uris)
    work_s = len(records) * (_FILM_S + _PLOT_S * plots)
    if records and work_s < WORK_A_WORKER_S * (os.cpu_count() or 1):
        work_s += _SCORING_S_PER_BYTE * sum(map(_size_bytes, records))
    return max(1, len(films), segments, int(work_s / WORK_A_WORKER_S))


def largest_first(films: Sequence[Film]) -> Sequence[Film]:
    """The films, largest file first; those whose size nobody knows come last, in order.

    Beam's local runner assigns every n-th film to each worker at the start. In this order the workers have about equal
    work, and none waits at the end for another that still has the longest film to do.
    """
    listed = _sizes_in_buckets(films)
    sizes = [film.size_bytes or listed.get(film.uri) or _size_bytes(film.uri) for film in films]
    return films_at(films, sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True))


def _sizes_in_buckets(films: Sequence[Film]) -> dict[str, int]:
    """Sizes of films in buckets that a manifest names: their folders are listed, if that takes few requests.

    Of many films none is so large a part that its place matters.
    """
    if len(films) > _LISTED_FILMS:
        return {}
    unknown = (film.uri for film in films if not film.size_bytes and storage.is_remote(film.uri))
    folders = {uri.rpartition("/")[0] for uri in unknown}
    try:
        found = [storage.list_first(folder, _LISTED_FILMS) for folder in folders if len(folders) <= _LISTED_FOLDERS]
    except StorageError:
        return {}  # films may be readable where their folder isn't
    return {info.uri: info.size_bytes for infos in found for info in infos}


def _length_s(uri: str) -> float:
    """The length of a film as its header says; 0 if it says nothing or can't be read, as extraction will find out."""
    import av

    from beam_pipelines.media.decode import opened_film

    try:
        with opened_film(uri, "length") as container:
            return (container.duration or 0) / av.time_base
    except FilmError:
        return 0.0


def _size_bytes(uri: str) -> int:
    if storage.is_remote(uri):
        return 0
    try:
        return os.stat(uri).st_size
    except (OSError, ValueError):
        return 0
