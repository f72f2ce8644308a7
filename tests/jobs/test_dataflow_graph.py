"""The graphs of the three jobs pass the Dataflow runner's own translation, without network."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from apache_beam import Pipeline
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.utils import proto_utils

from beam_pipelines import extract, prepare, score
from beam_pipelines.contracts.curves.score_config import ScoreConfig
from beam_pipelines.contracts.models.exported_model import find_model
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import describe_tracks
from beam_pipelines.films.catalogue import Film
from beam_pipelines.films.work_lists import WorkList
from beam_pipelines.normalisation.config import PrepareConfig
from beam_pipelines.scoring.scored_film import FilmToScore
from beam_pipelines.transforms.films_to_score import FromFilms, FromRecords
from tests.support.exported_models import write_model

pytest.importorskip("apitools", reason="needs the Dataflow runner: install the extra `gcp`")
pytest.importorskip("google.cloud.dataflow_v1beta3", reason="needs the Dataflow runner: install the extra `gcp`")

IMAGE = "europe-docker.pkg.dev/some-project/cineaffect/worker:1"
OPTIONS = [
    "--runner=DataflowRunner", "--project=some-project", "--region=europe-west4", "--dry_run=true", "--no_auth",
    "--temp_location=gs://some-bucket/tmp", "--staging_location=gs://some-bucket/staging", "--job_name=cineaffect",
    f"--sdk_container_image={IMAGE}", "--sdk_location=container", "--experiments=use_runner_v2",
]  # fmt: skip
FILMS = [Film("a", "gs://some-bucket/a.mp4", "train"), Film("b", "gs://some-bucket/b.mp4", "train")]
LISTS = WorkList("gs://some-bucket/out/.films/any", 2)
UNTRAINED = {modality: {"weights": "untrained"} for modality in ("image", "audio", "face")}


class NetworkUsedError(AssertionError):
    """Somebody has asked for an address or a connection."""


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*address: Any, **_: Any) -> None:
        raise NetworkUsedError(f"network used: {address}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


def test_the_block_blocks():
    with pytest.raises(NetworkUsedError):
        socket.create_connection(("127.0.0.1", 9), timeout=1)


def translate(define: Callable[[Pipeline], None]) -> list[str]:
    """Names of a job's steps as the Dataflow runner translates them, after its own replacements."""
    pipeline = Pipeline(options=PipelineOptions(OPTIONS))
    define(pipeline)
    translated = pipeline.run().job.proto_pipeline
    images = {
        proto_utils.parse_Bytes(environment.payload, beam_runner_api_pb2.DockerPayload).container_image
        for environment in translated.components.environments.values()
    }
    assert images == {IMAGE}
    assert translated.root_transform_ids
    return [transform.unique_name for transform in translated.components.transforms.values()]


def test_extract():
    config = ExtractConfig.model_validate(UNTRAINED)
    descriptions = describe_tracks(config)
    assert sorted(descriptions) == ["audio", "face", "image"]
    names = translate(
        lambda pipeline: extract.define_pipeline(pipeline, LISTS, config, "gs://some-bucket/features", descriptions)
    )
    assert any("ExtractFilm" in name for name in names)


def test_prepare(tmp_path):
    config = PrepareConfig(pca_components={"image": 4})
    shape = prepare.RecordShape(
        {"image": 16, "audio": 8, "face": 12}, {modality: {"network": "any"} for modality in ("image", "audio", "face")}
    )
    names = translate(
        lambda pipeline: prepare.define_pipeline(
            pipeline, LISTS, config, "gs://some-bucket/features", "gs://some-bucket/transform", shape, str(tmp_path)
        )
    )
    assert any("AnalyzeDataset" in name for name in names)


def test_score_of_records(tmp_path):
    write_model(tmp_path, "1")
    films = [
        FilmToScore(film.film_id, film.uri, f"gs://some-bucket/features/{film.film_id}.tfrecord") for film in FILMS
    ]
    source = FromRecords(films, work=LISTS)
    names = translate(
        lambda pipeline: score.define_pipeline(
            pipeline, source, find_model(str(tmp_path)), ScoreConfig(), "gs://some-bucket/curves"
        )
    )
    assert any("RunInference" in name for name in names)


@pytest.mark.parametrize("model", ["own", "builtin:signals"])
def test_score_of_films(tmp_path, model):
    modalities = ["image", "audio"] if model == "own" else ["picture_signals", "sound_signals"]
    config = ExtractConfig.model_validate({"modalities": modalities, **UNTRAINED})
    descriptions = describe_tracks(config)
    if model == "own":
        model = str(tmp_path)
        write_model(tmp_path, "1", dimensions={"image": 2048, "audio": 128}, descriptions=descriptions)
    source = FromFilms(FILMS, config, "gs://some-bucket/curves/records", descriptions, work=LISTS)
    names = translate(
        lambda pipeline: score.define_pipeline(
            pipeline, source, find_model(model), ScoreConfig(), "gs://some-bucket/curves"
        )
    )
    for step in ("ExtractFilm", "RunInference", "WriteRunManifest"):
        assert any(step in name for name in names), step
