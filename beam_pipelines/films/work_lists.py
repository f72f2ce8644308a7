"""The films of a run as lists in its output folder, so that a job's graph holds their place and not the films.

    <output>/.films/<name>-<of these films>-<of this run>/<number>-of-<lists>

Each is compressed JSON: a list of rows, one a film.
They are written before the job starts and removed when it has ended, on this machine also if it was interrupted. Two
runs into one folder have lists of their own. A cluster may still read those of a run that was lost, so they stay until
a later try at the same films has done them, or for a week.
"""

from __future__ import annotations

import hashlib
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
        row_of: makes a row of plain values of a film; the first value says which film it is.
        output: the directory of the run.
        name: of the step that takes them.
    """
    _remove(storage.join(output, WORK_LISTS), time.time() - _FORGOTTEN_AFTER_S)
    folder, lists = "", -(-len(films) // FILMS_PER_LIST)
    for number in range(lists):
        rows = [row_of(film) for film in films[number::lists]]
        if not folder:  # the first list has films from everywhere, and tells these films from others
            which = hashlib.sha256(json.dumps([len(films), [row[0] for row in rows]]).encode()).hexdigest()[:12]
            folder = storage.join(output, WORK_LISTS, f"{name}-{which}-{uuid.uuid4().hex[:8]}")
        content = zlib.compress(json.dumps(rows).encode())
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


def remove_earlier_tries(work: WorkList) -> None:
    """Removes the lists that earlier tries at the same films have left; call it when all of them are done.

    A cluster on which such a try still runs may miss them: then it fails, and nothing is lost.
    """
    if work.films:
        folder, _, own = work.folder.rpartition("/")
        same = own.rpartition("-")[0] + "-"
        _remove(folder, of=lambda uri: uri.startswith(f"{folder}/{same}") and not uri.startswith(f"{work.folder}/"))


def _remove(folder: str, before_s: float = math.inf, of: Callable[[str], bool] = lambda uri: True) -> None:
    """Removes the lists below a folder that were written before a time, and on a disk the folders that held them."""
    try:
        for info in storage.list_files(folder):
            if info.modified_s >= before_s or not of(info.uri):
                continue
            storage.remove(info.uri)
            if not storage.is_remote(info.uri):
                with suppress(OSError):  # other lists lie there
                    os.rmdir(os.path.dirname(info.uri))
                    os.rmdir(os.path.dirname(os.path.dirname(info.uri)))
    except (StorageError, OSError) as error:
        _LOG.warning("%s: lists of films that nobody needs any more can't be removed: %s", folder, error)
