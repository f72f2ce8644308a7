"""A local run with nothing to do starts neither TensorFlow nor a process: what is done is looked up first."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.contracts.curves.done_marker import DoneMarker, record_checksum, scorer_digest
from beam_pipelines.contracts.curves.score_config import ScoreConfig
from beam_pipelines.contracts.models.exported_model import find_model
from beam_pipelines.contracts.records import records
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import describe_tracks
from beam_pipelines.films.catalogue import list_films
from beam_pipelines.scoring.curve_files import CurveFiles
from tests.support.feature_records import make_track

RUN_ALL = """
import json, sys
from beam_pipelines import cli
for command in json.loads(sys.argv[1]):
    assert cli.main(command) == 0, command
print(json.dumps(sorted({"tensorflow", "keras", "scipy", "matplotlib"} & set(sys.modules))))
"""
UNTRAINED = {"modalities": ["audio"], "audio": {"weights": "untrained"}}


@pytest.fixture
def finished(tmp_path):
    """Three films, their records as extract leaves them, a model, and curves as score leaves them."""
    films, features, exports = tmp_path / "films", tmp_path / "features", tmp_path / "exports"
    films.mkdir()
    for name in ("a", "b", "c"):
        (films / f"{name}.mp4").write_bytes(b"no film, and nobody looks into it")
    descriptions = describe_tracks(ExtractConfig.model_validate(UNTRAINED))
    for film in list_films(str(films)):
        track = replace(make_track("audio", 2, 128, np.random.default_rng(0)), description=descriptions["audio"])
        header = records.RecordHeader(
            film.film_id, film.uri, len(b"no film, and nobody looks into it"), "0", 2, 2_000_000, 0
        )
        records.write_record(
            records.make_record(header, {"audio": track}), records.record_uri(str(features), film.film_id)
        )
    (exports / "1").mkdir(parents=True)
    (exports / "1" / "saved_model.pb").write_bytes(b"no model, and nobody loads it")
    fingerprints = {"audio": records.fingerprint(descriptions["audio"])}
    card = {"version": "1", "modalities": ["audio"], "fingerprints": fingerprints, "descriptions": descriptions,
            "dimensions": {"audio": 128}, "smoothing": {}, "label_range": [-1, 1]}  # fmt: skip
    (exports / "1" / "model_card.json").write_text(json.dumps(card))
    return tmp_path


def finish_scores(root, output, plots):
    model, config = find_model(str(root / "exports")), ScoreConfig()
    scorer = scorer_digest(model.sha256, config.smoothing_over(model.card.smoothing))
    files = CurveFiles(str(output), csv=True, plots=plots, shards=16, scorer=scorer)
    for film_id, uri in records.list_records(str(root / "features")).items():
        files.write_film(
            DoneMarker(film_id, scorer, record_checksum(uri), 2, 0), AffectCurve(film_id, *np.zeros((4, 2)))
        )
        if plots:
            (output / "plots").mkdir(exist_ok=True)
            (output / "plots" / f"{film_id}.png").write_bytes(b"a plot")


def test_extract_and_score_with_nothing_to_do_import_no_tensorflow(finished):
    settings = ["--set=modalities=[audio]", "--set=audio.weights=untrained"]
    (finished / "settings.yaml").write_text(json.dumps({"extract": UNTRAINED}))
    model = ["--model", str(finished / "exports")]
    for name, plots in (("by_records", True), ("by_films", False)):
        finish_scores(finished, finished / name, plots)
    # Of films that are scored at once the records lie in the run's own directory.
    (finished / "by_films" / "records").symlink_to(finished / "features")
    commands = [
        ["extract", "--films", str(finished / "films"), "--output", str(finished / "features"), *settings],
        ["score", "--records", str(finished / "features"), *model, "--output", str(finished / "by_records")],
        ["score", "--films", str(finished / "films"), *model, "--output", str(finished / "by_films"),
         "--config", str(finished / "settings.yaml"), "--set", "plots=false"],
    ]  # fmt: skip
    child = [sys.executable, "-c", RUN_ALL, json.dumps(commands)]
    done = subprocess.run(child, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
    for output in ("features", "by_records", "by_films"):
        manifest = json.loads((finished / output / "run_manifest.json").read_text())
        assert manifest["films"] == {"in": 3, "done": 0, "skipped": 3, "failed": 0}, output
        assert manifest["film_hours"]["skipped"] == pytest.approx(6 / 3600, abs=1e-5)
    tables = [sorted((finished / name / "curves.parquet").iterdir()) for name in ("by_records", "by_films")]
    assert [part.read_bytes() for part in tables[0]] == [part.read_bytes() for part in tables[1]]
    assert tables[0]
