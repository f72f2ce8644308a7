"""CreateFilms: every film comes out as it went in, and many of them make a smaller graph."""

from __future__ import annotations

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to

from beam_pipelines.films.catalogue import Film
from beam_pipelines.scoring.scored_film import FilmToScore
from beam_pipelines.transforms.create_films import FILMS_PER_PACK, CreateFilms


@pytest.mark.parametrize("count", [0, 1, FILMS_PER_PACK + 3])
def test_every_film_comes_out_once(count):
    films = [FilmToScore(f"é {number}", f"a{number}.mp4", "gs://b/c.tfrecord") for number in range(count)]
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
        assert_that(pipeline | CreateFilms(films), equal_to(films))


def test_the_graph_is_smaller_than_with_elements_by_themselves():
    films = [Film(f"film {number}", f"gs://bucket/catalogue/film {number}.mp4", "test") for number in range(10_000)]
    sizes = {}
    for make in (CreateFilms, beam.Create):
        pipeline = beam.Pipeline(runner="FnApiRunner")
        pipeline | make(films)
        sizes[make] = pipeline.to_runner_api().ByteSize()
    assert sizes[CreateFilms] < 0.8 * sizes[beam.Create]
