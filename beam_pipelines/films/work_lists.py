"""The films of a run as lists in its output folder, so that a job's graph holds their place and not the films.

    <output>/.films/<name>-<of this run>/<number>-of-<lists>    compressed JSON: a list of rows, one a film

They are written before the job starts and removed when it has ended, on this machine also if it was interrupted. Two
runs into one folder have lists of their own; those of a killed run are removed by a later one after a week, since a job
that was resubmitted reads them again.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import StorageError

_LOG = logging.getLogger(__name__)
WORK_LISTS = ".films"
Listed = TypeVar("Listed")
_FORGOTTEN_AFTER_S = 7 * 24 * 3600
FILMS_PER_LIST = 10_000
"""So many fit a list of 1 MB, which one worker reads in a second."""


@dataclass(frozen=True)
class WorkList:
    """The films of a run, or of a step of it.

    Attributes:
        folder: the folder of the lists.
        films: how many films they hold together.
    """

    folder: str = ""
    films: int = 0


def write_work_list(films: Sequence[Listed], row_of: Callable[[Listed], list[Any]], output: str, name: str) -> WorkList:
    """Writes the films of a run, dealt round to as many lists as they need: each begins with some of the first.

    Args:
        films: the films, first those that are to be begun first.
        row_of: makes a row of plain values of a film.
        output: the directory of the run.
        name: of the step that takes them.
    """
    _remove(storage.join(output, WORK_LISTS), time.time() - _FORGOTTEN_AFTER_S)
    folder = storage.join(output, WORK_LISTS, f"{name}-{uuid.uuid4().hex[:8]}")
    lists = -(-len(films) // FILMS_PER_LIST)
    for number in range(lists):
        content = zlib.compress(json.dumps([row_of(film) for film in films[number::lists]]).encode())
        storage.write_bytes(storage.join(folder, f"{number:05d}-of-{lists:05d}"), content)
    return WorkList(folder, len(films))


def list_work(folder: str) -> list[str]:
    """The addresses of a step's lists."""
    return [info.uri for info in storage.list_files(folder)]


def read_work(uri: str) -> Iterator[list[Any]]:
    """The rows of one list."""
    yield from json.loads(zlib.decompress(storage.read_bytes(uri)))


def remove_work(work: WorkList) -> None:
    """Removes the lists of a run that has ended; if that fails, a warning says so, since the run itself is done."""
    if work.films:
        _remove(work.folder)


def _remove(folder: str, before_s: float = math.inf) -> None:
    """Removes the lists below a folder that were written before a time, and on a disk the folders that held them."""
    try:
        for info in storage.list_files(folder):
            if info.modified_s >= before_s:
                continue
            storage.remove(info.uri)
            if not storage.is_remote(info.uri):
                with suppress(OSError):  # other lists lie there
                    os.rmdir(os.path.dirname(info.uri))
                    os.rmdir(os.path.dirname(os.path.dirname(info.uri)))
    except (StorageError, OSError) as error:
        _LOG.warning("%s: lists of films that nobody needs any more can't be removed: %s", folder, error)
