"""Films unlike the training films, from the card that `train` writes to the warnings that `score` leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.contracts.models.exported_model import ExportedModel, features_of, find_model
from beam_pipelines.contracts.records.records import make_record, read_record, record_uri, write_record
from tests.support import score_runs
from tests.support.synthetic_films import DataSet


@pytest.mark.parametrize("exports", ["exports", "ridge/exports"])
def test_the_export_measures_films_as_the_training_did(dataset: DataSet, trained: Path, exports: str):
    model = ExportedModel(find_model(str(trained / exports)))
    assert set(model.card.seen) == set(model.card.modalities)
    assert {seen.clip for seen in model.card.seen.values()} == {8.0}
    shares = []
    for number in range(5):  # the training films
        features = features_of(read_record(record_uri(dataset.records, f"film{number}")), model.card)
        found = model.unlike(features)
        assert found is not None
        shares.append([found.by_modality[modality] for modality in model.card.modalities])
    # Of each modality one second in a hundred, two limits: between 0 and 2 %, and not none at all.
    assert (np.mean(shares, axis=0) <= 2.0).all()
    assert np.mean(shares) > 0.2


def test_a_film_of_another_kind_has_a_warning_and_the_run_a_histogram(
    dataset: DataSet, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for film_id, change in (("like", 0.0), ("louder", 25.0)):
        record = read_record(record_uri(dataset.records, "film7"))
        audio = record.tracks["audio"]
        tracks = {**record.tracks, "audio": replace(audio, values=audio.values + np.float32(change))}
        if change:
            face = record.tracks["face"]
            tracks["face"] = replace(face, values=0 * face.values, present=0 * face.present)
        header = replace(record.header, film_id=film_id)
        write_record(make_record(header, tracks), record_uri(str(tmp_path / "features"), film_id))
    code, manifest = score_runs.run(tmp_path / "features", trained / "exports", tmp_path / "scores")
    assert code == 0
    assert manifest is not None
    assert manifest["warnings_by_code"] == {"features_absent": 1, "unlike_training": 1}
    films = manifest["unlike_training"]["films"]
    assert films["50-100 %"] == 1
    assert sum(films.values()) == 2
    warned = [json.loads(line) for line in (tmp_path / "scores/warnings.jsonl").read_text().splitlines()]
    assert {(row["film_id"], row["code"]) for row in warned} == {
        ("louder", "unlike_training"),
        ("louder", "features_absent"),
    }
    assert "(audio 100 %" in next(row["sentence"] for row in warned if row["code"] == "unlike_training")
    assert "unlike the model's training films: " in capsys.readouterr().out
    again, manifest = score_runs.run(tmp_path / "features", trained / "exports", tmp_path / "scores")
    assert again == 0
    assert manifest is not None
    assert manifest["unlike_training"]["films"] == films
