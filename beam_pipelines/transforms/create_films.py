"""CreateFilms: puts the films of a run into its graph, packed by the thousand.

`beam.Create` encodes every element separately. For many films that takes four times as long and gives a larger graph,
and the graph goes to the runner and to every worker.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import apache_beam as beam

FILMS_PER_PACK = 1000


@dataclass
class CreateFilms(beam.PTransform):
    """From the pipeline to a PCollection of the films.

    Attributes:
        films: any number of films, all of one dataclass whose fields JSON can hold, and tuples of such.
    """

    films: Sequence[Any]

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        packs = [
            _pack(self.films[first : first + FILMS_PER_PACK]) for first in range(0, len(self.films), FILMS_PER_PACK)
        ]
        kind = type(self.films[0]) if self.films else None
        packed = pipeline | "Packs" >> beam.Create(packs).with_output_types(bytes)
        return packed | "Unpack" >> beam.FlatMap(_unpack, kind)


def _pack(films: Sequence[Any]) -> bytes:
    return zlib.compress(json.dumps([astuple(film) for film in films]).encode())


def _unpack(pack: bytes, kind: Any) -> Iterator[Any]:
    for values in json.loads(zlib.decompress(pack)):
        yield kind(*(tuple(value) if isinstance(value, list) else value for value in values))
