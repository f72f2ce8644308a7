"""The choice of the smoothing, curves as files, and `cineaffect evaluate` on a folder of curves."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from beam_pipelines.contracts.curves.curves import from_csv, smoothed_curve, to_csv
from beam_pipelines.contracts.curves.done_marker import DoneMarker, to_json
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.labels.config import LabelConfig
from trainer.commands.evaluate import main
from trainer.evaluation.curve_files import RAW, SMOOTHED, read_curve, write_curve
from trainer.evaluation.evaluate import choose_smoothing, evaluate_curves, selection_score, smooth_curves
from trainer.evaluation.metrics import CONSTANT_MEAN, mean_label
from trainer.foundation.config import TrainConfig

REPOSITORY = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, eq=False)
class Film:
    film_id: str
    labels: np.ndarray
    known: np.ndarray


def make_films(count: int, period_s: float, seconds: int = 200) -> list[Film]:
    films = []
    for index in range(count):
        t = np.arange(seconds)[:, None] + 37.0 * index
        labels = 0.6 * np.sin(2 * np.pi * t / np.array([period_s, 1.3 * period_s]))
        films.append(Film(f"film{index}", labels.astype(np.float32), np.ones(seconds, bool)))
    return films


def noisy(films: list[Film], deviation: float) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(3)
    return {film.film_id: film.labels + generator.normal(0, deviation, film.labels.shape) for film in films}


def mirror_filtered(sections: np.ndarray, curve: np.ndarray, cutoff_hz: float) -> np.ndarray:
    """SciPy's zero-phase filter on the curve between two whole mirror images, or more if the cutoff asks for them."""
    there_and_back = np.concatenate([curve, curve[-2:0:-1]])
    copies = int(np.ceil(4 / cutoff_hz / len(there_and_back)))
    endless = np.concatenate([np.tile(there_and_back, (2 * copies, 1)), curve])
    start = copies * len(there_and_back)
    return signal.sosfiltfilt(sections, endless, axis=0)[start : start + len(curve)]


def test_the_cutoff_is_the_best_of_the_candidates_by_an_independent_filter() -> None:
    films, config = make_films(3, period_s=30.0), TrainConfig()
    curves = noisy(films, 0.3)
    chosen = choose_smoothing(curves, films, config)
    errors = {}
    for cutoff in (config.smoothing.cutoff_hz, *config.smoothing_cutoffs_hz):
        sections = signal.butter(config.smoothing.order, 2 * cutoff, output="sos")
        filtered = {key: np.clip(mirror_filtered(sections, curve, cutoff), -1, 1) for key, curve in curves.items()}
        errors[cutoff] = np.mean([(filtered[film.film_id] - film.labels) ** 2 for film in films])
    assert chosen.cutoff_hz == min(errors, key=lambda cutoff: errors[cutoff])
    table = evaluate_curves({RAW: curves, SMOOTHED: smooth_curves(curves, chosen, config.labels)}, films, np.zeros(2))
    for target in TARGETS:
        assert table.find(SMOOTHED, target).mse == pytest.approx(
            table.find(SMOOTHED, target, "mean of films").mse, rel=1e-9
        )
        assert table.find(SMOOTHED, target).mse < 0.5 * table.find(RAW, target).mse
        assert table.find(SMOOTHED, target).pcc > table.find(RAW, target).pcc


def test_curves_without_noise_choose_no_filter_unless_there_is_nothing_to_choose() -> None:
    films = make_films(2, period_s=7.0)
    curves = {film.film_id: film.labels for film in films}
    assert choose_smoothing(curves, films, TrainConfig()).method == "none"
    fixed = TrainConfig.model_validate({"smoothing": {"cutoff_hz": 0.03}, "smoothing_cutoffs_hz": []})
    assert choose_smoothing(curves, films, fixed) == fixed.smoothing


def test_the_candidates_lie_close_together_from_slow_moods_to_single_seconds() -> None:
    cutoffs = np.array(TrainConfig().smoothing_cutoffs_hz)
    assert cutoffs[0] <= 0.01
    assert cutoffs[-1] >= 0.3
    ratios = cutoffs[1:] / cutoffs[:-1]
    assert 1.0 < ratios.min() <= ratios.max() <= 1.5


def test_slower_labels_choose_a_lower_cutoff() -> None:
    cutoffs = []
    for period_s in (12.0, 60.0):
        films = make_films(3, period_s)
        cutoffs.append(choose_smoothing(noisy(films, 0.3), films, TrainConfig()).cutoff_hz)
    assert cutoffs[0] > cutoffs[1]


def test_each_selection_chooses_the_cutoff_that_is_best_by_its_own_figure() -> None:
    # The network exaggerates the labels' fast changes: a low cutoff has the least error, a high one follows best.
    labels = [film.labels * 0.25 for film in make_films(3, period_s=10.0)]
    films = [Film(f"film{index}", values, np.ones(len(values), bool)) for index, values in enumerate(labels)]
    curves = noisy([Film(film.film_id, 4.0 * film.labels, film.known) for film in films], 0.2)
    figures: dict[str, dict[float, float]] = {"mse": {}, "pcc": {}, "ccc": {}}
    for cutoff in (0.02, 0.03, 0.05, 0.08, 0.12):
        sections = signal.butter(2, 2 * cutoff, output="sos")
        filtered = np.concatenate([mirror_filtered(sections, curves[film.film_id], cutoff) for film in films])
        true = np.concatenate(labels).astype(np.float64)
        covariances = [np.cov(filtered[:, i], true[:, i], bias=True) for i in range(len(TARGETS))]
        figures["mse"][cutoff] = -np.mean((filtered - true) ** 2)
        figures["pcc"][cutoff] = np.mean([c[0, 1] / np.sqrt(c[0, 0] * c[1, 1]) for c in covariances])
        shifts = (filtered.mean(axis=0) - true.mean(axis=0)) ** 2
        figures["ccc"][cutoff] = np.mean(
            [2 * c[0, 1] / (np.trace(c) + shift) for c, shift in zip(covariances, shifts, strict=True)]
        )
    best = {selection: max(values, key=lambda cutoff: values[cutoff]) for selection, values in figures.items()}
    assert best["mse"] < best["ccc"] < best["pcc"]
    for selection, cutoff in best.items():
        config = TrainConfig.model_validate({"selection": selection, "smoothing_cutoffs_hz": [0.02, 0.03, 0.08, 0.12]})
        assert choose_smoothing(curves, films, config).cutoff_hz == cutoff


def test_other_methods_and_no_films_leave_the_configured_filter() -> None:
    films = make_films(1, 30.0)
    average = TrainConfig.model_validate({"smoothing": {"method": "moving_average", "width_s": 9}})
    assert choose_smoothing(noisy(films, 0.3), films, average) == average.smoothing
    assert choose_smoothing({}, [], TrainConfig()) == TrainConfig().smoothing


def test_selection_score_prefers_less_error_and_more_correlation() -> None:
    films = make_films(2, 30.0)
    tables = [evaluate_curves({RAW: noisy(films, deviation)}, films, np.zeros(2)) for deviation in (0.1, 0.5)]
    for selection in ("mse", "pcc", "ccc"):
        good, bad = (selection_score(table, selection, RAW) for table in tables)
        assert good > bad
    assert selection_score(tables[0], "pcc", CONSTANT_MEAN) == -np.inf


def test_a_curve_file_is_that_of_a_scoring_run(tmp_path: Path) -> None:
    raw = np.random.default_rng(0).uniform(-1, 1, (50, 2)).astype(np.float32)
    raw[7, 1] = np.nan
    write_curve(str(tmp_path), "film", raw, np.nan_to_num(raw).astype(np.float64) / 3)
    path = tmp_path / "curves" / "film.csv"
    curve = read_curve(str(path))
    np.testing.assert_allclose(curve[RAW], raw, atol=5.1e-7)
    np.testing.assert_allclose(curve[SMOOTHED], np.nan_to_num(raw) / 3, atol=5.1e-7)
    again = from_csv(path.read_text(), "film")
    np.testing.assert_array_equal(np.stack([again.valence_raw, again.arousal_raw], axis=1), curve[RAW])
    assert to_csv(again) == path.read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("valence,arousal\n0,1\n", "no column time_s"),
        ("time_s,valence\n0,1\n", "no column arousal"),
        ("time_s,valence,arousal\n0,0.1,0.2\n1,0.1,x\n", "line 3: not 3 numbers"),
        ("time_s,valence,arousal\n0,0.1,0.2\n1,0.1\n", "line 3: not 3 numbers"),
        ("time_s,valence,arousal\n0,0.1,0.2\n1\n", "line 3: not 3 numbers: 1"),
        ("time_s,valence,arousal\n0,0.1,0.2\n1,0.1,0.2,0.3\n", "line 3: not 3 numbers"),
        ("time_s,valence,arousal\n0,0.1,0.2\n\n", "line 3: not 3 numbers"),
        ("time_s,valence,arousal\n0,0.1,0.2\n2,0.1,0.2\n", "must run from 0 without a gap"),
    ],
)
def test_files_that_are_no_curve(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "film.csv").write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        read_curve(str(tmp_path / "film.csv"))


def test_a_curve_without_raw_columns_and_with_an_empty_cell(tmp_path: Path) -> None:
    (tmp_path / "film.csv").write_text("time_s,valence,arousal\n0,0.1,\n1,0.2,0.3\n")
    curve = read_curve(str(tmp_path / "film.csv"))
    assert set(curve) == {SMOOTHED}
    np.testing.assert_array_equal(curve[SMOOTHED], [[0.1, np.nan], [0.2, 0.3]])


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


def test_smoothing_stays_in_the_label_range() -> None:
    step = {"film": np.repeat([[0.0, 1.0]], 100, axis=0)}
    step["film"][50:] = [1.0, 0.0]
    labels = LabelConfig(minimum=0.0, maximum=1.0)
    curve = smooth_curves(step, TrainConfig.model_validate({"smoothing": {"order": 4}}).smoothing, labels)["film"]
    assert curve.min() >= 0.0
    assert curve.max() <= 1.0


def test_evaluation_needs_no_tensorflow() -> None:
    code = "import sys, trainer.evaluation.evaluate; sys.exit(bool({'tensorflow', 'apache_beam'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0
