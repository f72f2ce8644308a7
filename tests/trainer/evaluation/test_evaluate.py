"""`cineaffect evaluate` on a folder of curves."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.contracts.curves.curves import smoothed_curve, to_csv
from beam_pipelines.contracts.curves.done_marker import DoneMarker, to_json
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.contracts.targets import TARGETS
from tests.support.labelled_films import Film, make_films, noisy
from trainer.commands.evaluate import main
from trainer.evaluation.curve_files import RAW, SMOOTHED, write_curve
from trainer.evaluation.metrics import CONSTANT_MEAN, mean_label

REPOSITORY = Path(__file__).resolve().parents[3]


def write_run(root: Path, films: list[Film], curves: dict[str, np.ndarray]) -> str:
    rows = ["film_id,path,split,labels"]
    for index, film in enumerate(films):
        labels = [f"{t}\t{v:.6f}\t{a:.6f}" for t, (v, a) in enumerate(film.labels)]
        (root / f"{film.film_id}.txt").write_text("\n".join(["Time\tValence\tArousal", *labels, ""]))
        rows.append(f"{film.film_id},x.mp4,{'train' if index < 2 else 'test'},{film.film_id}.txt")
    for film_id, curve in curves.items():
        write_curve(str(root / "scores"), film_id, curve, 0.9 * curve)
    (root / "films.csv").write_text("\n".join([*rows, "unlabelled,x.mp4,test,", ""]))
    return str(root / "films.csv")


def test_evaluate_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    films = make_films(4, 30.0)
    curves = {film_id: curve for film_id, curve in noisy(films, 0.1).items() if film_id != "film0"}
    curves["film3"] = curves["film3"][:150]  # the film is shorter than its labels
    manifest = write_run(tmp_path, films, curves)
    arguments = ["--manifest", manifest, "--scores", str(tmp_path / "scores")]
    assert main([*arguments, "--per-film"]) == 0
    output = capsys.readouterr().out
    assert "Labels and features differ in 1 of 2 films" in output
    assert "constant mean" in output
    assert "films with no labels, not evaluated: unlabelled" in output
    content = json.loads((tmp_path / "scores" / "evaluation.json").read_text())
    found = {(r["predictor"], r["target"], r["scope"], r["film_id"]): r for r in content["rows"]}
    true, predicted = films[2].labels[:, 0].astype(np.float64), curves["film2"][:, 0]
    assert found["raw", "valence", "film", "film2"]["mse"] == pytest.approx(np.mean((true - predicted) ** 2), rel=1e-4)
    constant = mean_label(film.labels for film in films[:2])
    pooled = np.concatenate([films[2].labels[:, 0], films[3].labels[:150, 0]])
    assert found[CONSTANT_MEAN, "valence", "pooled", ""]["mse"] == pytest.approx(
        np.mean((pooled - constant[0]) ** 2), rel=1e-4
    )
    assert found["smoothed", "valence", "pooled", ""]["seconds"] == 350
    with (tmp_path / "scores" / "evaluation.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(content["rows"]) == 3 * 2 * 4
    # A labelled film without a curve is named, and the exit code tells.
    assert main([*arguments, "--splits", "train,test", "--output", str(tmp_path / "elsewhere")]) == 3
    assert "films with labels but no curve, not evaluated: film0" in capsys.readouterr().out
    assert json.loads((tmp_path / "elsewhere" / "evaluation.json").read_text())["films_without_curve"] == ["film0"]


@pytest.mark.parametrize(
    ("name", "content", "stored", "printed"),
    [
        ("run_manifest.json", {"job": "score", "untrained": ["audio", "face"]}, ["audio", "face"], "(audio, face)"),
        ("exports/2/model_card.json", {"untrained_networks": ["image"]}, ["image"], "(image)"),
        ("exports/2/model_card.json", {"untrained_networks": []}, [], ""),
        ("", {}, None, ""),
    ],
)
def test_untrained_networks_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: dict, stored: list | None, printed: str
) -> None:
    films = make_films(3, 30.0)
    manifest, scores = write_run(tmp_path, films, noisy(films, 0.1)), tmp_path / "scores"
    if name:
        (scores / name).parent.mkdir(parents=True, exist_ok=True)
        (scores / name).write_text(json.dumps(content))
        (scores / "exports" / "1").mkdir(parents=True)
        (scores / "exports" / "1" / "model_card.json").write_text('{"untrained_networks": ["older"]}')
    assert main(["--manifest", manifest, "--scores", str(scores)]) == 0
    assert ("untrained networks" in capsys.readouterr().out) == bool(stored)
    assert json.loads((scores / "evaluation.json").read_text())["untrained"] == stored
    with (scores / "evaluation.csv").open() as file:
        named = {(row["predictor"], row["untrained"]) for row in csv.DictReader(file)}
    text = " ".join(stored or ())
    assert named == {(CONSTANT_MEAN, ""), (RAW, text), (SMOOTHED, text)}


def test_films_that_the_model_knows_are_named_whatever_they_are_called(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = make_films(4, 30.0)
    manifest, scores = write_run(tmp_path, films, noisy(films, 0.1)), tmp_path / "scores"
    arguments = ["--manifest", manifest, "--scores", str(scores), "--splits", "train,test"]
    data = {"train_films": ["film0", "another"], "validation_films": ["film3"], "source_sha256": {"another": "aa"}}
    (scores / "run_manifest.json").write_text(json.dumps({"untrained": [], "model": {"data": data}}))
    for film_id, sha256 in (("film1", "bb"), ("film2", "aa")):
        marker = DoneMarker(film_id, "scorer", "record", 200, 0, source_sha256=sha256)
        (scores / "curves" / f"{film_id}.json").write_text(to_json(marker))
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "has learned from 2 of these 4 films, and their figures say nothing of new films: film0, film2" in said
    assert "1 of these 4 films chose the model's epoch and filter, and their figures are too good: film3" in said
    content = json.loads((scores / "evaluation.json").read_text())
    assert (content["learned_from"], content["chosen_on"]) == (["film0", "film2"], ["film3"])
    (scores / "run_manifest.json").unlink()
    assert main(arguments) == 0
    assert "these 4 films" not in capsys.readouterr().out
    content = json.loads((scores / "evaluation.json").read_text())
    assert (content["learned_from"], content["chosen_on"]) == (None, None)


def test_bands_are_measured_on_films_that_had_no_part_in_the_model_or_in_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = make_films(4, 30.0)
    manifest, scores = write_run(tmp_path, films, noisy(films, 0.1)), tmp_path / "scores"
    for film, half in zip(films, (0.0, 0.0, 0.0, 2.0), strict=True):
        raw = {target: film.labels[:, place] + 0.1 for place, target in enumerate(TARGETS)}
        half_widths = {target: {80: half} for target in TARGETS}
        none = SmoothingConfig(method="none")
        curve = smoothed_curve(film.film_id, raw, none, (-1.0, 1.0), half_widths=half_widths)
        (scores / "curves" / f"{film.film_id}.csv").write_text(to_csv(curve))
    data = {"train_films": ["film0"], "validation_films": ["film1"]}
    model = {"data": data, "calibration": {"films": ["film2"]}}
    (scores / "run_manifest.json").write_text(json.dumps({"model": model}))
    arguments = ["--manifest", manifest, "--scores", str(scores)]
    assert main([*arguments, "--splits", "train,test"]) == 0
    content = json.loads((scores / "evaluation.json").read_text())
    assert content["bands"]["valence"]["80"] == {"coverage": 1.0, "width": 2.0, "films": 1}
    assert content["bands_without"] == ["film0", "film1", "film2"]
    says = "not measured on 3 of these films, from which the model or its bands were made: film0, film1, film2"
    assert says in capsys.readouterr().out
    assert main([*arguments, "--splits", "train"]) == 0
    assert "bands" not in json.loads((scores / "evaluation.json").read_text())
    assert "not measured on 2 of these films" in capsys.readouterr().out


def test_curves_are_compared_with_the_ratings_of_their_models_lag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = make_films(3, 30.0)
    # What viewers rate 3 s late, a model with this lag gives 3 s earlier.
    curves = {film.film_id: np.concatenate([film.labels[3:], np.zeros((3, 2), np.float32)]) for film in films}
    manifest, scores = write_run(tmp_path, films, curves), tmp_path / "scores"
    (scores / "run_manifest.json").write_text(json.dumps({"model": {"label_lag_s": 3}}))
    arguments = ["--manifest", manifest, "--scores", str(scores)]
    assert main(arguments) == 0
    rows = json.loads((scores / "evaluation.json").read_text())["rows"]
    errors = {row["target"]: row for row in rows if (row["predictor"], row["scope"]) == (RAW, "pooled")}
    assert all(row["mse"] < 1e-9 and row["seconds"] == 197 for row in errors.values())
    assert main([*arguments, "--set", "labels.lag_s=0"]) == 2
    assert f"labels.lag_s: is 0, but {scores} was trained with 3" in capsys.readouterr().err


def test_what_the_ridge_regression_beside_a_model_knows_is_named_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = make_films(4, 30.0)
    manifest, scores = write_run(tmp_path, films, noisy(films, 0.1)), tmp_path / "scores"
    for film_id, curve in noisy(films, 0.2).items():
        write_curve(str(scores / "ridge"), film_id, curve, curve)
    own = {"data": {"train_films": ["film0"], "validation_films": ["film1"]}, "label_lag_s": 0}
    (scores / "run_manifest.json").write_text(json.dumps({"model": own}))
    beside = {"data": {"train_films": ["film2"], "validation_films": []}, "label_lag_s": 0}
    (scores / "ridge" / "run_manifest.json").write_text(json.dumps({"model": beside}))
    arguments = ["--manifest", manifest, "--scores", str(scores), "--splits", "train,test"]
    assert main(arguments) == 0
    content = json.loads((scores / "evaluation.json").read_text())
    assert (content["learned_from"], content["chosen_on"]) == (["film0", "film2"], ["film1"])
    assert {"ridge, raw", "ridge, smoothed"} < {row["predictor"] for row in content["rows"]}
    (scores / "ridge" / "run_manifest.json").write_text(json.dumps({"model": {**beside, "label_lag_s": 3}}))
    capsys.readouterr()
    assert main(arguments) == 2
    assert "ridge: its model was trained with labels.lag_s 3, the one whose curves" in capsys.readouterr().err
    (scores / "ridge" / "run_manifest.json").unlink()
    (scores / "ridge" / "curves" / "film3.csv").unlink()
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "ridge regression isn't shown, for it has no curve of film3" in said
    assert "ridge, smoothed" not in said


def test_a_model_that_gives_every_film_its_own_range_has_correlations_of_films_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = make_films(3, 30.0)
    manifest, scores = write_run(tmp_path, films, noisy(films, 0.1)), tmp_path / "scores"
    (scores / "run_manifest.json").write_text(json.dumps({"model": {"own_range": True}}))
    assert main(["--manifest", manifest, "--scores", str(scores)]) == 0
    assert "gives every film a range of its own" in capsys.readouterr().out
    rows = json.loads((scores / "evaluation.json").read_text())["rows"]
    assert {row["mse"] for row in rows} == {row["ccc"] for row in rows} == {None}
    assert all((row["pcc"] is None) == (row["scope"] == "pooled") for row in rows if row["predictor"] == RAW)


def test_a_damaged_run_manifest_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    films = make_films(3, 30.0)
    manifest = write_run(tmp_path, films, noisy(films, 0.1))
    (tmp_path / "scores" / "run_manifest.json").write_text("{")
    assert main(["--manifest", manifest, "--scores", str(tmp_path / "scores")]) == 2
    assert "run_manifest.json: not readable as JSON" in capsys.readouterr().err


def test_output_that_is_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    films = make_films(3, 30.0)
    manifest = write_run(tmp_path, films, noisy(films, 0.1))
    assert main(["--manifest", manifest, "--scores", str(tmp_path / "scores"), "--output", manifest]) == 2
    assert f"{manifest} is a file, not a directory" in capsys.readouterr().err


def test_evaluate_command_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    films = make_films(3, 30.0)
    manifest = write_run(tmp_path, films, {})
    arguments = ["--manifest", manifest, "--scores", str(tmp_path / "scores")]
    assert main(arguments) == 2
    assert "no curve of the 2 chosen films has a labelled second" in capsys.readouterr().err
    assert main([*arguments, "--splits", "tset"]) == 2
    assert "did you mean 'test'" in capsys.readouterr().err
    assert main([*arguments, "--set", "labels.minimun=0"]) == 2
    assert "did you mean 'minimum'" in capsys.readouterr().err
    write_run(tmp_path, films, {"film2": np.full((200, 2), np.nan)})
    assert main(arguments) == 2
    assert "labelled seconds without a finite prediction" in capsys.readouterr().err


def test_evaluation_needs_no_tensorflow() -> None:
    code = "import sys, trainer.evaluation.evaluate; sys.exit(bool({'tensorflow', 'apache_beam'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0
