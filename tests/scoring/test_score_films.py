"""The score job from films: extracted and scored in one graph, with an untrained sound network."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines import score
from beam_pipelines.contracts.curves.curves import from_csv
from beam_pipelines.contracts.models.exported_model import ExportedModel, features_of, find_model
from beam_pipelines.contracts.records import records
from beam_pipelines.extraction.parts_folder import PARTS_FOLDER, part_name
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import describe_tracks
from tests.support.exported_models import write_model
from tests.support.synthetic_clips import Sound, regular_times, write_clip

pytestmark = pytest.mark.usefixtures("networks_kept")

CONFIGURATION = "extract:\n  modalities: [audio]\n  audio: {weights: untrained, seed: 5, batch_size: 2}\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Two films, one file that is none, the configuration, and a model of such features."""
    root = tmp_path_factory.mktemp("films")
    (root / "films").mkdir()
    (root / "config.yaml").write_text(CONFIGURATION)
    samples = (0.4 * np.sin(2 * np.pi * 440 * np.arange(140_000) / 48_000)).astype(np.float32)[None]
    write_clip(root / "films" / "tone é.mp4", regular_times(70, 25), sound=Sound([(Fraction(0), samples)]))
    write_clip(root / "films" / "silent.mp4", regular_times(40, 25))
    (root / "films" / "text.mp4").write_text("this is no film\n" * 100)
    config = ExtractConfig.model_validate({"modalities": ["audio"], "audio": {"weights": "untrained", "seed": 5}})
    write_model(root / "exports", "1", dimensions={"audio": 128}, descriptions=describe_tracks(config))
    return root


def run(place, output, *arguments, config=None):
    return score.main(
        ["--films", str(place / "films"), "--model", str(place / "exports"), "--output", str(output),
         "--config", str(config or place / "config.yaml"), "--workers=1", "--set", "plots=false", *arguments]
    )  # fmt: skip


def test_films_become_curves_and_a_bad_one_a_failure(place, tmp_path):
    output = tmp_path / "out"
    assert run(place, output) == 3
    manifest = json.loads((output / "run_manifest.json").read_text())
    assert manifest["films"] == {"in": 3, "done": 2, "skipped": 0, "failed": 1}
    assert manifest["untrained"] == ["audio"]
    assert manifest["extract"]["configuration"]["audio"]["seed"] == 5
    assert manifest["extract"]["descriptions"] == manifest["model"]["descriptions"]
    failure = json.loads((output / "failures.jsonl").read_text())
    assert (failure["film_id"], failure["reason"]) == ("text.mp4", "unreadable")

    model = ExportedModel(find_model(str(place / "exports")))
    for film_id, seconds in (("tone é.mp4", 3), ("silent.mp4", 2)):
        curve = from_csv((output / "curves" / f"{film_id}.csv").read_text(), film_id)
        record = records.read_record(str(output / "records" / f"{film_id}.tfrecord"))
        raw = model.predict(features_of(record, model.card))
        assert curve.seconds == seconds
        np.testing.assert_allclose(curve.valence_raw, raw.valence, atol=6e-7)

    files = sorted(path for folder in ("records", "curves", "curves.parquet") for path in (output / folder).iterdir())
    before = [(path, path.read_bytes()) for path in files]
    # A killed run left this of a film that has changed since.
    part = output / "records" / PARTS_FOLDER / part_name("silent.mp4", "0123456789abcdef", 300, 0)
    part.parent.mkdir()
    part.touch()
    assert run(place, output) == 3
    assert not part.exists()
    manifest = json.loads((output / "run_manifest.json").read_text())
    assert manifest["films"] == {"in": 3, "done": 0, "skipped": 2, "failed": 1}
    assert [(path, path.read_bytes()) for path in files] == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (CONFIGURATION.replace("seed: 5", "seed: 6"), "extract.audio: makes features with the fingerprint"),
        (CONFIGURATION.replace("[audio]", "[image]"), "extract.modalities: model 1 takes audio too"),
    ],
)
def test_features_of_another_kind_are_refused_before_any_film_is_decoded(place, tmp_path, capsys, text, says):
    (tmp_path / "config.yaml").write_text(text)
    assert run(place, tmp_path / "out", config=tmp_path / "config.yaml") == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
