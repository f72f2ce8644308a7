"""Pack: every value comes out again, and a pack holds no more than it may."""

from __future__ import annotations

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_pipelines.transforms.packing import Pack, unpack


@pytest.mark.parametrize("values", [1, 4, 1000])
def test_every_value_comes_out_again(values: int) -> None:
    pairs = [(number % 3, f"value {number}") for number in range(50)]
    with beam.Pipeline("FnApiRunner") as pipeline:
        packs = pipeline | beam.Create(pairs) | Pack(values)
        unpacked = packs | beam.FlatMapTuple(lambda key, pack: [(key, value) for value in unpack([pack])])
        assert_that(unpacked, equal_to(pairs), "values")
        full = packs | beam.Filter(lambda pair: len(list(unpack([pair[1]]))) > values)
        assert_that(full, equal_to([]), "sizes")
