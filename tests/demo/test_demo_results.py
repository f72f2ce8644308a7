"""What `make demo` left: predictions of the films held out are far better than the constant mean.

The demo takes minutes, so it isn't run here. Its settings were chosen on its validation films, never on these.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

RUN = Path(__file__).resolve().parents[2] / "demo-run"


@pytest.fixture(scope="module")
def figures() -> dict[tuple[str, str], dict]:
    """(predictor, target) -> its figures over all seconds of the films held out."""
    path = RUN / "scores" / "evaluation.json"
    if not path.is_file():
        pytest.skip("needs the results of `make demo` in demo-run/: run it first")
    rows = json.loads(path.read_text())["rows"]
    return {(row["predictor"], row["target"]): row for row in rows if row["scope"] == "pooled"}


@pytest.mark.parametrize("target", ["valence", "arousal"])
def test_held_out_films_are_predicted_far_better_than_by_their_mean(figures, target):
    smoothed = figures["smoothed", target]
    assert smoothed["pcc"] >= 0.6
    assert smoothed["mse"] <= 0.65 * figures["constant mean", target]["mse"]


def test_the_films_held_out_were_seen_by_no_step_before(figures):
    with (RUN / "data" / "manifest.csv").open() as file:
        splits = {row["film_id"]: row["split"] for row in csv.DictReader(file)}
    held_out = {film_id for film_id, split in splits.items() if split == "test"}
    assert len(held_out) >= 2
    assert not held_out & set(json.loads((RUN / "transform" / "statistics.json").read_text())["films"])
    (card,) = sorted((RUN / "model" / "exports").glob("*/model_card.json"))[-1:]
    data = json.loads(card.read_text())["data"]
    assert not held_out & set(data["train_films"])
    assert not held_out & set(data["validation_films"])
    scored = {path.stem for path in (RUN / "scores" / "curves").glob("*.csv")}
    assert scored == held_out


def test_scoring_the_training_films_equals_the_trainers_own_predictions(figures, tmp_path):
    from beam_pipelines import score

    places = ["--records", str(RUN / "features"), "--manifest", str(RUN / "data" / "manifest.csv")]
    model = ["--model", str(RUN / "model" / "exports"), "--splits", "train,validation"]
    code = score.main([*places, *model, "--output", str(tmp_path), "--workers", "1", "--set", "plots=false"])
    assert code == 0
    own = sorted((RUN / "model" / "curves").glob("*.csv"))
    assert len(own) >= 9
    for path in own:
        trainer = np.genfromtxt(path, delimiter=",", names=True)
        scored = np.genfromtxt(tmp_path / "curves" / path.name, delimiter=",", names=True)
        for column in ("valence_raw", "arousal_raw", "valence", "arousal"):
            np.testing.assert_allclose(scored[column], trainer[column], atol=1e-5, err_msg=f"{path.name} {column}")


def test_untrained_networks_are_named_everywhere(figures):
    for job in ("features", "scores"):
        assert json.loads((RUN / job / "run_manifest.json").read_text())["untrained"] == ["audio", "face", "image"]
