"""Pack: many small values of one key as one compressed value, before they are grouped.

Runners keep what is grouped in memory: a million outcomes or done markers as single elements are gigabytes in one
process, packed they are a few dozen megabytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.coders import PickleCoder
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

VALUES_PER_PACK = 200
_CODER = PickleCoder()
_QUICKEST = 1


@dataclass
class Pack(beam.PTransform):
    """From a PCollection of (key, value) to one of (key, pack); `unpack` gives the values.

    Attributes:
        values: how many values of a key a pack holds at most; one that holds fewer ends with its bundle.
    """

    values: int = VALUES_PER_PACK

    def expand(self, pairs: beam.PCollection) -> beam.PCollection:
        return pairs | beam.ParDo(_Pack(self.values)).with_output_types(tuple[int, bytes])


def unpack(packs: Iterable[bytes]) -> Iterator[Any]:
    """The values of packs."""
    for pack in packs:
        yield from _CODER.decode(zlib.decompress(pack))


class _Pack(beam.DoFn):
    def __init__(self, values: int):
        self.values = values

    def start_bundle(self) -> None:
        self.waiting: dict[int, list[Any]] = {}

    def process(self, pair: tuple[int, Any]) -> Iterator[tuple[int, bytes]]:
        key, value = pair
        waiting = self.waiting.setdefault(key, [])
        waiting.append(value)
        if len(waiting) >= self.values:
            yield key, _packed(self.waiting.pop(key))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for key, values in self.waiting.items():
            yield WindowedValue((key, _packed(values)), GlobalWindow().max_timestamp(), (GlobalWindow(),))


def _packed(values: list[Any]) -> bytes:
    return zlib.compress(_CODER.encode(values), _QUICKEST)
