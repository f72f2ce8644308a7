"""`cineaffect evaluate --run-file`: a run in the task's format against labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from trainer.commands.evaluate import main
from trainer.evaluation.run_files import write_run_file


def write_labels(path: Path, values: np.ndarray) -> None:
    rows = [f"{t}\t{valence:.6f}\t{arousal:.6f}" for t, (valence, arousal) in enumerate(values)]
    path.write_text("\n".join(["Time\tValence\tArousal", *rows, ""]))


@pytest.fixture
def films(tmp_path: Path) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(5)
    labels = {name: generator.uniform(-0.8, 0.8, (60, 2)) for name in ("learned", "a", "b")}
    rows = ["film_id,path,split,labels"]
    for name, values in labels.items():
        write_labels(tmp_path / f"{name}_labels.txt", values)
        rows.append(f"{name},x.mp4,{'train' if name == 'learned' else 'test'},{name}_labels.txt")
    (tmp_path / "films.csv").write_text("\n".join([*rows, ""]))
    return labels


def test_figures_are_those_of_the_shorter_of_rows_and_labels(
    tmp_path: Path, films: dict[str, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    generator = np.random.default_rng(6)
    longer = np.concatenate([films["b"], np.zeros((3, 2))])
    curves = {"a": films["a"][:40] + generator.normal(0, 0.1, (40, 2)), "b": longer + 0.1, "unknown": np.zeros((5, 2))}
    write_run_file(str(tmp_path / "mine.txt"), curves)
    where = ["--manifest", str(tmp_path / "films.csv"), "--run-file", str(tmp_path / "mine.txt")]
    assert main([*where, "--per-film"]) == 0
    assert "Labels and features differ in 2 of 2 films" in capsys.readouterr().out
    content = json.loads((tmp_path / "mine_evaluation" / "evaluation.json").read_text())
    rows = {(r["predictor"], r["target"], r["scope"], r["film_id"]): r for r in content["rows"]}
    assert rows["mine", "arousal", "film", "b"]["mse"] == pytest.approx(0.01, abs=1e-5)
    true, predicted = films["a"][:40, 0], curves["a"][:, 0]
    assert rows["mine", "valence", "film", "a"]["mse"] == pytest.approx(np.mean((true - predicted) ** 2), rel=1e-4)
    assert rows["mine", "valence", "film", "a"]["pcc"] == pytest.approx(np.corrcoef(true, predicted)[0, 1], rel=1e-4)
    assert rows["mine", "valence", "pooled", ""]["seconds"] == 100


def test_a_run_file_has_the_time_of_the_ratings_whatever_the_lag_of_the_training(
    tmp_path: Path, films: dict[str, np.ndarray]
) -> None:
    curves = {name: np.concatenate([films[name][3:], np.zeros((3, 2))]) for name in ("a", "b")}
    write_run_file(str(tmp_path / "mine.txt"), curves, lag_s=3)
    where = ["--manifest", str(tmp_path / "films.csv"), "--run-file", str(tmp_path / "mine.txt")]
    assert main([*where, "--set", "labels.lag_s=3"]) == 0
    rows = json.loads((tmp_path / "mine_evaluation" / "evaluation.json").read_text())["rows"]
    own = [row for row in rows if (row["predictor"], row["scope"]) == ("mine", "film")]
    assert len(own) == 4
    # All ratings count, and all but the first three seconds of each film, which repeat one value, are those.
    assert all(row["seconds"] == 60 and row["pcc"] > 0.9 for row in own)


def test_a_film_that_the_run_lacks_is_named(
    tmp_path: Path, films: dict[str, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    write_run_file(str(tmp_path / "mine.txt"), {"a": films["a"]})
    where = ["--manifest", str(tmp_path / "films.csv"), "--run-file", str(tmp_path / "mine.txt")]
    assert main([*where, "--output", str(tmp_path / "out")]) == 3
    assert "films with labels but no curve, not evaluated: b" in capsys.readouterr().out
    write_run_file(str(tmp_path / "mine.txt"), {"c": films["a"]})
    assert main(where) == 2
    assert "no curve of the 2 chosen films has a labelled second" in capsys.readouterr().err


def test_a_run_file_and_scores_exclude_each_other(tmp_path: Path, films: dict[str, np.ndarray]) -> None:
    with pytest.raises(SystemExit):
        main(["--manifest", str(tmp_path / "films.csv"), "--run-file", "a.txt", "--scores", "b"])
