"""Tables of ratings at 25 Hz by three raters, of arousal alone: from check to page, export and evaluation, once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines import cli
from beam_pipelines.contracts.models.exported_model import ExportedModel, features_of, find_model
from beam_pipelines.contracts.records.records import read_record, record_uri
from tests.support.synthetic_films import DataSet
from trainer.evaluation.metrics import CONSTANT_MEAN, RATERS, ccc, pcc

CONFIG = """
train:
  epochs: 2
  batch_size: 64
  learning_rate: 0.01
  weigh_by_agreement: true
  labels:
    layout: table
    targets: [arousal]
    table: {time: frame, rate_hz: 25, arousal: slider, range: [0, 100]}
    raters: {fusion: ewe}
  model: {modalities: [image], window_s: 6, encoder: {units: 4}, dropout: 0, feature_dropout: 0, modality_dropout: 0}
"""
NAMES = ("anna", "ben", "cleo")


def ratings_of(labels: Path, seed: int) -> np.ndarray:
    """What three raters give in each second, float64 [T, 3] on a slider from 0 to 100."""
    generator = np.random.default_rng(seed)
    truth = np.loadtxt(labels, skiprows=1)[:, 2]
    rated = np.stack([truth * scale + generator.normal(0, 0.08, len(truth)) for scale in (1.0, 0.8, 0.6)], axis=1)
    return np.round(50 + 50 * np.clip(rated, -1, 1), 2)


@pytest.fixture(scope="module")
def run(dataset: DataSet, made_once: Callable[..., Path]) -> Path:
    def make(root: Path) -> None:
        rows = ["film_id,split,labels"]
        for number, line in enumerate(Path(dataset.manifest).read_text().splitlines()[1:]):
            film_id, _, split, _ = line.split(",")
            for place, name in enumerate(NAMES):
                rated = np.repeat(ratings_of(dataset.root / "labels" / f"{film_id}.txt", number)[:, place], 25)
                frames = [f"{frame};{value}" for frame, value in enumerate(rated)]
                path = root / "ratings" / film_id / f"{name}.csv"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("\n".join(["frame;slider", *frames]))
            rows.append(f"{film_id},{split},ratings/{{film}}/{{rater}}.csv")
        (root / "films.csv").write_text("\n".join(rows))
        (root / "ratings.yaml").write_text(CONFIG)
        argv = ["--records", dataset.records, "--transform", dataset.transform, "--output", str(root / "run")]
        assert cli.main(["train", *arguments(root), *argv]) == 0

    return made_once("ratings", make)


def arguments(root: Path) -> list[str]:
    return ["--manifest", str(root / "films.csv"), "--config", str(root / "ratings.yaml")]


def test_card_curves_and_export_hold_the_one_target(dataset: DataSet, run: Path) -> None:
    card = json.loads((run / "run" / "exports" / "1" / "model_card.json").read_text())
    assert card["targets"] == ["arousal"]
    assert list(card["constant_mean"]) == ["arousal"]
    assert {row["target"] for row in card["validation_metrics"]} == {"arousal"}
    ridge = json.loads((run / "run" / "ridge" / "exports" / "1" / "model_card.json").read_text())
    assert list(ridge["penalty"]) == ["arousal"]
    curve = (run / "run" / "curves" / "film5.csv").read_text().splitlines()
    assert curve[0] == "time_s,arousal,arousal_raw"
    record = read_record(record_uri(dataset.records, "film5"))
    for exports, own in (("exports", "curves"), ("ridge/exports", "ridge/curves")):
        model = ExportedModel(find_model(str(run / "run" / exports)))
        raw = model.predict(features_of(record, model.card))
        written = np.loadtxt(run / "run" / own / "film5.csv", delimiter=",", skiprows=1)
        assert raw.valence is None
        np.testing.assert_allclose(raw.arousal, written[:, 2], atol=1e-5)


def test_tables_have_the_human_row_and_the_page_the_band(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--scores", str(run / "run"), "--splits", "validation", "--output", str(run / "evaluated")]
    assert cli.main(["evaluate", *arguments(run), *argv]) == 0
    printed = capsys.readouterr().out
    assert RATERS in printed
    assert "valence" not in printed
    evaluated = json.loads((run / "evaluated" / "evaluation.json").read_text())["rows"]
    trained = json.loads((run / "run" / "evaluation.json").read_text())["rows"]
    assert list(dict.fromkeys(row["predictor"] for row in trained))[:2] == [CONSTANT_MEAN, RATERS]
    human = [[row for row in rows if row["predictor"] == RATERS] for rows in (evaluated, trained)]
    assert human[0] == human[1]
    values = ratings_of(run.parent / "dataset" / "labels" / "film5.txt", 5) / 50 - 1
    own = {"pcc": [], "ccc": []}
    for rater in range(3):
        others = np.delete(values, rater, axis=1).mean(axis=1)
        own["pcc"].append(pcc(values[:, rater], others))
        own["ccc"].append(ccc(values[:, rater], others))
    row = next(row for row in human[0] if row["film_id"] == "film5")
    assert (row["pcc"], row["ccc"]) == pytest.approx((np.mean(own["pcc"]), np.mean(own["ccc"])), abs=1e-5)
    validation = json.loads((run / "run" / "validation.json").read_text())
    apart = validation["deviation"]["film5"]["arousal"]
    np.testing.assert_allclose(apart, values.std(axis=1, ddof=1), atol=1e-5)
    page = (run / "run" / "report" / "data" / "film-0.js").read_text()
    assert '"deviation"' in page
    assert '"valence"' not in page


def test_ratings_check(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ratings", "check", *arguments(run), "--splits", "validation"]) == 0
    printed = capsys.readouterr().out
    assert "no rater stands out" in printed
    assert "film5" in printed
