"""ReadFilms: reads the films of a run from the lists in its output folder (`films.work_lists`).

The graph holds the folder alone. It goes to the runner and to every worker, and a runner takes so many megabytes and no
more: of ten films and of a million it is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from beam_pipelines.films.work_lists import WorkList, list_work, read_work
from beam_pipelines.foundation.errors import StorageError


@dataclass
class ReadFilms(beam.PTransform):
    """From the pipeline to a PCollection of the films; those of one list in its order.

    Attributes:
        work: the lists.
        film_of: makes a film of a row.
    """

    work: WorkList
    film_of: Callable[[list[Any]], Any]

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        return (
            pipeline
            | "Folder" >> beam.Create([self.work.folder], reshuffle=False)
            | "List" >> beam.FlatMap(_list)
            | "ReshuffleLists" >> beam.Reshuffle()
            | "Read" >> beam.FlatMap(_read, self.film_of)
        )


def _list(folder: str) -> list[str]:
    lists = list_work(folder)
    if not lists:
        raise StorageError(
            f"{folder}: this worker doesn't see the lists of the run's films. --output must lie where all workers see "
            "it: in a bucket, or a folder that they share. If the lists were removed, start the command again"
        )
    return lists


def _read(uri: str, film_of: Callable[[list[Any]], Any]) -> Iterator[Any]:
    return map(film_of, read_work(uri))
