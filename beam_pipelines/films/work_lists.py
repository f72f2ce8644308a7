"""The films of a run as lists in its output folder, so that a job's graph holds their place and not the films.

    <output>/.films/<name>-<of this run>/<number>-of-<lists>    compressed JSON: a list of rows, one a film

They are written before the job starts and removed when it has ended. Two runs into one folder have lists of their own;
those of a killed run are removed by a later one after a week, since a job that was resubmitted reads them again.
"""

from __future__ import annotations

import json
import os
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from beam_pipelines.foundation import storage

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
    for info in storage.list_files(storage.join(output, WORK_LISTS)):
        if time.time() - info.modified_s > _FORGOTTEN_AFTER_S:
            storage.remove(info.uri)
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
    """Removes the lists of a run that has ended."""
    for uri in list_work(work.folder) if work.films else ():
        storage.remove(uri)
    if work.films and not storage.is_remote(work.folder):
        with suppress(OSError):  # another run's lists may lie there
            for folder in (work.folder, os.path.dirname(work.folder)):
                os.rmdir(folder)
