"""One film without Beam: what a notebook gets is what the jobs write."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import beam_pipelines
from beam_pipelines import score
from beam_pipelines.contracts.records import records
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import describe_tracks
from beam_pipelines.foundation.errors import ConfigurationError, FilmError
from tests.support.exported_models import write_model
from tests.support.synthetic_clips import Sound, regular_times, write_clip

pytestmark = pytest.mark.usefixtures("networks_kept")

CONFIG = ExtractConfig.model_validate({"modalities": ["audio"], "audio": {"weights": "untrained", "batch_size": 4}})


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("films") / "a film.mp4"
    times_s = np.arange(6 * 16_000) / 16_000
    samples = (0.1 * times_s * np.sin(2 * np.pi * 440 * times_s)).astype(np.float32)[None]
    return write_clip(path, regular_times(6 * 8, 8), rate_hz=8, sound=Sound([(Fraction(0), samples)], 16_000))


@pytest.fixture(scope="module")
def exports(tmp_path_factory) -> Path:
    exports = tmp_path_factory.mktemp("run") / "exports"
    write_model(exports, "1", gain=3.0, dimensions={"audio": 128}, descriptions=describe_tracks(CONFIG))
    return exports


def test_everything_named_is_there():
    for name in beam_pipelines.__all__:
        assert getattr(beam_pipelines, name) is not None
        assert name in dir(beam_pipelines)
    with pytest.raises(AttributeError, match="score_movie"):
        beam_pipelines.score_movie  # noqa: B018


def test_a_film_comes_out_as_the_score_job_leaves_it(clip, exports, tmp_path):
    record = beam_pipelines.extract_features(clip, CONFIG)
    model = beam_pipelines.load_model(exports)
    curve = beam_pipelines.score_features(record, model)
    assert record.header.film_id == "a film.mp4"
    assert np.ptp(curve.arousal_raw) > 0.01
    assert beam_pipelines.to_csv(beam_pipelines.score_film(clip, model, CONFIG)) == beam_pipelines.to_csv(curve)

    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"extract": CONFIG.model_dump(mode="json")}), encoding="utf-8")
    arguments = ["--films", str(clip.parent), "--model", str(exports), "--config", str(config), "--workers=1"]
    assert score.main([*arguments, "--output", str(tmp_path / "scores"), "--set", "plots=false"]) == 0
    job_record = records.read_record(str(tmp_path / "scores/records/a film.mp4.tfrecord"))
    assert records.digest(job_record, ["audio"]) == records.digest(record, ["audio"])
    assert job_record.header == record.header
    assert (tmp_path / "scores/curves/a film.mp4.csv").read_text() == beam_pipelines.to_csv(curve)


def test_another_filter_than_the_cards(clip, exports):
    record = beam_pipelines.extract_features(clip, CONFIG)
    model = beam_pipelines.load_model(exports)
    raw = beam_pipelines.score_features(record, model, beam_pipelines.SmoothingConfig(method="none"))
    assert np.array_equal(raw.valence, raw.valence_raw)


def test_a_film_that_is_not_there_says_so(tmp_path):
    with pytest.raises(FilmError, match=r"nowhere\.mp4: no such file"):
        beam_pipelines.extract_features(tmp_path / "nowhere.mp4", CONFIG)


def test_features_of_another_kind_are_refused_before_any_are_extracted(exports, tmp_path):
    model = beam_pipelines.load_model(exports)
    other = ExtractConfig.model_validate({"audio": {"weights": "untrained", "seed": 7}})
    with pytest.raises(ConfigurationError, match=r"extract\.audio: makes features with the fingerprint"):
        beam_pipelines.score_film(tmp_path / "nowhere.mp4", model, other)
