"""The graphs of extract and score pass the Dataflow runner's own translation, without network."""

from __future__ import annotations

import pytest
from apache_beam import Pipeline
from apache_beam.options.pipeline_options import PipelineOptions
from exported_models import write_model

from beam_pipelines import extract, score
from beam_pipelines.catalogue import Film
from beam_pipelines.exported_model import find_model
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.tracks import describe_tracks
from beam_pipelines.score_config import ScoreConfig
from beam_pipelines.transforms.films_to_score import FromRecords
from beam_pipelines.transforms.score_films import FilmToScore

pytest.importorskip("apitools", reason="needs the Dataflow runner: install the extra `gcp`")

OPTIONS = [
    "--runner=DataflowRunner", "--project=some-project", "--region=europe-west4", "--dry_run=true", "--no_auth",
    "--temp_location=gs://some-bucket/tmp", "--staging_location=gs://some-bucket/staging", "--job_name=cineaffect",
    "--sdk_container_image=europe-docker.pkg.dev/some-project/cineaffect/worker:1", "--experiments=use_runner_v2",
]  # fmt: skip


def steps(pipeline: Pipeline) -> set[str]:
    pipeline.run()
    proto = pipeline.to_runner_api()
    return {transform.unique_name for transform in proto.components.transforms.values()}


def test_extract():
    config = ExtractConfig.model_validate({"modalities": ["audio"], "audio": {"weights": "untrained"}})
    pipeline = Pipeline(options=PipelineOptions(OPTIONS))
    films = [Film("a", "gs://some-bucket/a.mp4")]
    extract.define_pipeline(pipeline, films, config, "gs://some-bucket/features", describe_tracks(config))
    assert any("ExtractFilm" in name for name in steps(pipeline))


def test_score(tmp_path):
    write_model(tmp_path, "1")
    pipeline = Pipeline(options=PipelineOptions(OPTIONS))
    source = FromRecords([FilmToScore("a", "gs://some-bucket/a.mp4", "gs://some-bucket/features/a.tfrecord")])
    score.define_pipeline(pipeline, source, find_model(str(tmp_path)), ScoreConfig(), "gs://some-bucket/curves")
    assert any("RunInference" in name for name in steps(pipeline))
