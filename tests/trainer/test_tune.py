"""`cineaffect tune`: a real small study, its resumption after a kill, several workers, folds by film, refusals."""

from __future__ import annotations

import csv
import fcntl
import json
from pathlib import Path

import optuna
import pytest
from synthetic_films import DataSet

from beam_pipelines.catalogue import Film
from beam_pipelines.configuration import load_section
from trainer import tune
from trainer.config import TrainConfig
from trainer.study import next_trial, open_study, retry_killed
from trainer.tune_config import SpaceConfig, TuneConfig, suggest
from trainer.tune_folds import split_by_film

SPACE = ["encoders=[gru]", "units=[3,5]", "layers=[1,1]", "window_s=[4]", "experts=[1,2]"]


def arguments(dataset: DataSet, output: Path, trials: int, *further: str) -> list[str]:
    argv = ["--manifest", dataset.manifest, "--records", dataset.records, "--transform", dataset.transform]
    argv += ["--output", str(output), "--set", f"trials={trials}", "--set", "startup_trials=2"]
    for key in SPACE:
        argv += ["--set", f"space.{key}"]
    for key in ("epochs=2", "batch_size=128", "model.modalities=[audio]"):
        argv += ["--set-train", key]
    return [*argv, *further]


def rows_of(output: Path) -> list[dict[str, str]]:
    with open(output / "trials.csv", newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def test_a_stopped_study_goes_on_as_one_that_was_not(dataset: DataSet, tmp_path: Path) -> None:
    assert tune.main(arguments(dataset, tmp_path / "whole", 4)) == 0
    assert tune.main(arguments(dataset, tmp_path / "parts", 2)) == 0
    assert tune.main(arguments(dataset, tmp_path / "parts", 4)) == 0
    assert rows_of(tmp_path / "whole") == rows_of(tmp_path / "parts")
    done = [row for row in rows_of(tmp_path / "whole") if row["state"] == "complete"]
    best = min(done, key=lambda row: float(row["value"]))
    config = load_section("train", TrainConfig, str(tmp_path / "whole" / "best.yaml"))
    assert config.learning_rate == float(best["learning_rate"])
    assert config.model.encoders["audio"].units == int(best["audio.units"])
    assert json.loads((tmp_path / "whole" / "study.json").read_text())["best"] == int(best["number"])
    assert (tmp_path / "whole" / "study.png").read_bytes().startswith(b"\x89PNG")
    assert not list((tmp_path / "whole" / "trials").rglob("checkpoints"))


def test_two_workers_share_one_study(dataset: DataSet, tmp_path: Path) -> None:
    assert tune.main(arguments(dataset, tmp_path, 4, "--workers", "2")) == 0
    rows = rows_of(tmp_path)
    assert [int(row["number"]) for row in rows] == [0, 1, 2, 3]
    assert {row["state"] for row in rows} <= {"complete", "pruned"}


def test_a_killed_trial_is_marked_and_repeated_in_its_directory(tmp_path: Path) -> None:
    study = open_study(str(tmp_path), "minimize")
    config = TuneConfig(trials=1)
    killed = next_trial(study, config, str(tmp_path))
    assert killed is not None
    drawn = suggest(killed, config.space, ("audio",))
    assert next_trial(study, config, str(tmp_path)) is None
    assert retry_killed(study) == 1
    again = next_trial(study, config, str(tmp_path))
    assert again is not None
    assert suggest(again, config.space, ("audio",)) == drawn
    assert again.user_attrs["directory"] == killed.user_attrs["directory"]
    assert study.trials[0].state == optuna.trial.TrialState.FAIL


def test_refuses_a_second_start_and_another_study(
    dataset: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open(tmp_path / "tune.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert tune.main(arguments(dataset, tmp_path, 1)) == 2
    assert "another tune" in capsys.readouterr().err
    assert tune.main(arguments(dataset, tmp_path, 1)) == 0
    assert tune.main(arguments(dataset, tmp_path, 1, "--set", "seed=3")) == 2
    assert "differs in tune" in capsys.readouterr().err


def test_folds_hold_out_every_film_once() -> None:
    films = [Film(f"film{index}", f"{index}.mp4") for index in range(7)]
    folds = split_by_film(films, 3, seed=1)
    assert sorted(film.film_id for _, held in folds for film in held) == [film.film_id for film in films]
    assert all(not set(train) & set(held) and len(train) + len(held) == 7 for train, held in folds)
    assert folds == split_by_film(films[::-1], 3, seed=1)


def test_bounds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="lowest, highest"):
        SpaceConfig(units=(64, 32))
