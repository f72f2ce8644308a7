"""`cineaffect tune`: a real small study, its resumption after a kill, several workers, folds by film, refusals."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
import pytest

from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation.configuration import load_section
from tests.support.synthetic_films import REPOSITORY, DataSet
from trainer.commands import train as task, tune
from trainer.data.transform import load_transform
from trainer.foundation.config import TrainConfig
from trainer.tuning.config import SpaceConfig, TuneConfig, suggest
from trainer.tuning.folds import split_by_film
from trainer.tuning.study import importances, next_trial, only_study, open_study, retry_killed

SPACE = ["encoders=[gru]", "units=[3,5]", "layers=[1,1]", "window_s=[4]", "experts=[1,2]"]


def arguments(dataset: DataSet, output: Path, trials: int, *further: str) -> list[str]:
    argv = ["--manifest", dataset.manifest, "--records", dataset.records, "--transform", dataset.transform]
    argv += ["--output", str(output), "--set", f"trials={trials}", "--set", "startup_trials=1"]
    for key in SPACE:
        argv += ["--set", f"space.{key}"]
    for key in ("epochs=2", "batch_size=128", "model.modalities=[audio]", "model.feature_dropout=0"):
        argv += ["--set-train", key]
    return [*argv, *further]


def rows_of(output: Path) -> list[dict[str, str]]:
    with open(output / "trials.csv", newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def test_a_stopped_study_goes_on_as_one_that_was_not(
    dataset: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The first trial is drawn blindly, the second by the sampler that has seen it.
    lags = ["--set", "space.lag_s=[0, 3]"]
    assert tune.main(arguments(dataset, tmp_path / "whole", 2, *lags)) == 0
    assert tune.main(arguments(dataset, tmp_path / "parts", 1, *lags)) == 0
    assert tune.main(arguments(dataset, tmp_path / "parts", 1, *lags, "--set", "seed=3")) == 2
    assert "differs in tune" in capsys.readouterr().err
    assert tune.main(arguments(dataset, tmp_path / "parts", 2, *lags)) == 0
    assert rows_of(tmp_path / "whole") == rows_of(tmp_path / "parts")
    done = [row for row in rows_of(tmp_path / "whole") if row["state"] == "complete"]
    best = min(done, key=lambda row: float(row["value"]))
    config = load_section("train", TrainConfig, str(tmp_path / "whole" / "best.yaml"))
    assert config.learning_rate == float(best["learning_rate"])
    assert config.model.encoders["audio"].units == int(best["audio.units"])
    assert config.labels.lag_s == int(best["lag_s"])
    assert json.loads((tmp_path / "whole" / "study.json").read_text())["best"] == int(best["number"])
    assert (tmp_path / "whole" / "report" / "index.html").is_file()
    assert not list((tmp_path / "whole" / "trials").rglob("checkpoints"))


@pytest.mark.slow
def test_two_workers_share_one_study(dataset: DataSet, tmp_path: Path) -> None:
    assert tune.main(arguments(dataset, tmp_path, 4, "--workers", "2")) == 0
    rows = rows_of(tmp_path)
    assert [int(row["number"]) for row in rows] == [0, 1, 2, 3]
    assert {row["state"] for row in rows} <= {"complete", "pruned"}


def run_trials(dataset: DataSet, output: Path, rates: Sequence[float], epochs: int) -> list[dict[str, str]]:
    """The rows of a study whose trials differ in their learning rate alone."""
    output.mkdir()
    study = open_study(str(output), "minimize")
    point = {"audio.kind": "gru", "audio.units": 4, "audio.layers": 1, "window_s": 4, "dropout": 0.0, "l2": 1e-6}
    point |= {"batch_normalization": False, "experts": 1}
    for rate in rates:
        study.enqueue_trial({**point, "learning_rate": rate})
    further = ["--set", "space.learning_rate=[1.0e-9,1.0e37]", "--set", "warmup_epochs=1"]
    further += ["--set", "space.batch_normalization=[false]", "--set-train", "gradient_clip_norm=0"]
    further += ["--set-train", f"epochs={epochs}"]
    assert tune.main(arguments(dataset, output, len(rates), *further)) == 0
    return rows_of(output)


def test_a_trial_that_learns_nothing_ends_early(dataset: DataSet, tmp_path: Path) -> None:
    rows = run_trials(dataset, tmp_path / "study", (0.01, 1e-9), epochs=2)
    assert [(row["state"], row["epochs"]) for row in rows] == [("complete", "2"), ("pruned", "1")]


@pytest.mark.slow
def test_bad_trials_end_early_and_the_best_can_be_trained(dataset: DataSet, tmp_path: Path) -> None:
    # Two that learn, the second best before its end, one whose weights become infinite, and one that learns nothing.
    rows = run_trials(dataset, tmp_path / "study", (0.01, 0.6, 1e37, 1e-9), epochs=3)
    assert [row["state"] for row in rows] == ["complete", "complete", "fail", "pruned"]
    assert "no longer finite" in rows[2]["why"]
    assert [row["epochs"] for row in rows] == ["3", "3", "0", "1"]
    data = ["--manifest", dataset.manifest, "--records", dataset.records, "--transform", dataset.transform]
    best, run = str(tmp_path / "study" / "best.yaml"), tmp_path / "run"
    assert task.main([*data, "--config", best, "--output", str(run), "--set", "ridge=null"]) == 0
    history = json.loads((run / "history.json").read_text())
    number = json.loads((tmp_path / "study" / "study.json").read_text())["best"]
    chosen = min(history, key=lambda entry: entry["score"])
    assert chosen["score"] == pytest.approx(float(rows[number]["value"]), rel=1e-6)
    # The study's file ends the training at the epoch that was best, and holds the filter that was.
    (folder,) = (tmp_path / "study" / "trials" / str(number)).iterdir()
    scores = [entry["score"] for entry in json.loads((folder / "history.json").read_text())]
    config = load_section("train", TrainConfig, best)
    assert config.epochs == len(history) == 1 + scores.index(min(scores)) < len(scores)
    card = json.loads((run / "exports" / "1" / "model_card.json").read_text())
    assert config.smoothing.model_dump(mode="json") == card["smoothing"] != TrainConfig().smoothing.model_dump()


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_folds_are_fitted_by_the_section_prepare(dataset: DataSet, tmp_path: Path) -> None:
    config, output = tmp_path / "config.yaml", tmp_path / "study"
    config.write_text("prepare: {pca_components: {audio: 2}}\ntune: {folds: 2}\n")
    argv = arguments(dataset, output, 1, "--config", str(config), "--set-train", "epochs=1")
    del argv[argv.index("--transform") : argv.index("--transform") + 2]
    assert tune.main(argv) == 0
    (row,) = rows_of(output)
    assert (row["state"], row["epochs"]) == ("complete", "2")
    for fold in ("0", "1"):
        assert load_transform(str(output / "folds" / fold / "transform")).dimensions["audio"] == 2
        assert (output / "trials" / "0" / f"fold{fold}" / "history.json").exists()
    config.write_text("tune: {folds: 2}\n")
    assert tune.main(argv) == 2


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="finds the workers in /proc")
def test_a_killed_tune_leaves_no_worker_and_goes_on(dataset: DataSet, tmp_path: Path) -> None:
    argv = arguments(dataset, tmp_path, 2, "--workers", "2", "--set-train", "epochs=60", "--set-train", "patience=0")
    running = subprocess.Popen([sys.executable, "-m", "trainer.commands.tune", *argv], cwd=REPOSITORY)
    try:
        wait_for(lambda: bool(list(tmp_path.glob("trials/*/fold0/history.json"))))
        # The other worker was started before the first trial was.
        workers = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        assert workers
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    (begun, *_) = tmp_path.glob("trials/*/fold0/history.json")
    assert 1 <= len(json.loads(begun.read_text())) < 60
    wait_for(lambda: not any(is_running(worker) for worker in workers))
    assert tune.main([*argv, "--workers", "1"]) == 0
    rows = rows_of(tmp_path)
    assert {row["why"] for row in rows if row["state"] == "fail"} == {"killed"}
    done = [row for row in rows if row["state"] == "complete"]
    assert len(done) == 2
    # The killed trial went on from its checkpoint: the epochs before the kill were neither run nor logged again.
    assert min(int(row["epochs"]) for row in done) < 60
    assert len(json.loads(begun.read_text())) == 60


def test_importance_is_that_of_the_parameter_which_matters() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.optimize(lambda trial: trial.suggest_float("much", 0, 1) + 0.01 * trial.suggest_float("little", 0, 1), 19)
    assert importances(study) == {}
    study.optimize(lambda trial: trial.suggest_float("much", 0, 1) + 0.01 * trial.suggest_float("little", 0, 1), 41)
    weights = importances(study)
    assert list(weights) == ["much", "little"]
    assert sum(weights.values()) == pytest.approx(1.0)
    assert weights["much"] > 0.7


@pytest.mark.slow
def test_processes_that_ask_at_once_share_the_trials_and_make_none_too_many(tmp_path: Path) -> None:
    open_study(str(tmp_path), "minimize")
    code = """
import sys
from trainer.tuning.config import TuneConfig
from trainer.tuning.study import next_trial, open_study
study = open_study(sys.argv[1], "minimize")
print("ready", flush=True)
sys.stdin.readline()
while (trial := next_trial(study, TuneConfig(trials=24), sys.argv[1])) is not None:
    study.tell(trial, float(trial.number))
    print(trial.number, flush=True)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    workers = [
        subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    shares = [worker.communicate(timeout=300)[0] for worker in workers]
    assert sorted(int(number) for share in shares for number in share.split()) == list(range(24))
    states = [trial.state for trial in open_study(str(tmp_path), "minimize").trials]
    assert states == [optuna.trial.TrialState.COMPLETE] * 24


def wait_for(condition: Callable[[], bool], at_most_s: float = 400.0) -> None:
    deadline = time.monotonic() + at_most_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid: str) -> bool:
    """Whether a process is there and hasn't ended; one whose end nobody has asked for is there as a zombie."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return "\nState:\tZ" not in status


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


def test_refuses_a_second_start(dataset: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with only_study(str(tmp_path)):
        assert tune.main(arguments(dataset, tmp_path, 1)) == 2
    assert "another tune" in capsys.readouterr().err


def test_folds_hold_out_every_film_once() -> None:
    films = [Film(f"film{index}", f"{index}.mp4") for index in range(7)]
    folds = split_by_film(films, 3, seed=1)
    assert sorted(film.film_id for _, held in folds for film in held) == [film.film_id for film in films]
    assert all(not set(train) & set(held) and len(train) + len(held) == 7 for train, held in folds)
    assert folds == split_by_film(films[::-1], 3, seed=1)


def test_bounds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="lowest, highest"):
        SpaceConfig(units=(64, 32))
