"""RunInference takes another model from a side input of `ModelMetadata`, by the pointer `current`."""

from __future__ import annotations

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.ml.inference.base import ModelMetadata, RunInference
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.contracts.models.exported_model import features_of, find_model
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.scoring.scored_film import FilmToScore
from beam_pipelines.transforms.predict_curves import FilmModelHandler
from tests.support.exported_models import expected_raw, write_model
from tests.support.feature_records import make_film_record


def test_the_model_of_the_side_input_takes_the_place_of_the_first(tmp_path):
    write_model(tmp_path, "1", gain=0.2)
    write_model(tmp_path, "2", gain=0.4)
    first = find_model(str(tmp_path / "1"))
    (tmp_path / "current").write_text("2\n")
    record = make_film_record(seconds=6)
    expected = expected_raw(record, gain=0.4)
    assert not np.allclose(expected["valence"], expected_raw(record, gain=0.2)["valence"], atol=1e-3)

    def check(elements):
        (element,) = elements
        np.testing.assert_allclose(element[1].valence, expected["valence"], atol=1e-6)

    batch = [(FilmToScore("film", "film.mp4", "film.tfrecord"), features_of(record, first.card))]
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
        models = pipeline | "Models" >> beam.Create([ModelMetadata(str(tmp_path), "current")])
        predictions = (
            pipeline
            | "Film" >> beam.Create([batch])
            | RunInference(FilmModelHandler(first), model_metadata_pcoll=models)
        )
        predictions | beam.combiners.ToList() | beam.Map(check)


def test_a_place_without_a_model_is_refused(tmp_path):
    write_model(tmp_path, "1")
    handler = FilmModelHandler(find_model(str(tmp_path)))
    handler.update_model_path(None)
    with pytest.raises(ConfigurationError, match="no exported model"):
        handler.update_model_path(str(tmp_path / "absent"))
