"""`cineaffect reproduce` at toy size with real jobs: table, run files, second start, kill, other settings."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from glob import glob
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.contracts.records.records import make_record, read_header, read_record, write_record
from beam_pipelines.demo.mediaeval import make_data_set, plan_films
from tests.support.commands_in_process import commands_in_this_process
from trainer.commands import reproduce
from trainer.evaluation.curve_files import RIDGE
from trainer.evaluation.metrics import CONSTANT_MEAN
from trainer.evaluation.run_files import read_run_file

REPOSITORY = Path(__file__).resolve().parents[3]
# A run without batch normalisation, one as run 4 (other seed, second best epoch), and their mean.
RUNS = {
    "run1": "{train: {MODEL}}",
    "run4": "{train: {seed: 2019, MODEL}, reproduce: {epoch_rank: 2}}",
    "run5": "{reproduce: {members: [run1, run4]}}",
}
MODEL = (
    "epochs: 3, batch_size: 64, stride_s: 2, learning_rate: 0.01, smoothing_cutoffs_hz: [], "
    "model: {modalities: [audio], window_s: 6, encoder: {units: 4}, dropout: 0.0, feature_dropout: 0.0, "
    "modality_dropout: 0.0}"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five development films and two test films of about a minute: labels, records and run files; no film."""
    root = tmp_path_factory.mktemp("mediaeval")
    make_data_set(root, plan_films(5, 2, 50, 7), videos=False, features=False, records=True)
    (root / "runs").mkdir()
    for name, text in RUNS.items():
        (root / "runs" / f"{name}.yaml").write_text(text.replace("MODEL", MODEL))
    return root


def arguments(data: Path, output: Path) -> list[str]:
    where = ["--data", str(data), "--records", str(data / "records"), "--runs", str(data / "runs")]
    return [*where, "--validation-films", "2", "--output", str(output)]


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("reproduction") / "out"
    with commands_in_this_process():
        assert reproduce.main(arguments(data, output)) == 0
    return output


def test_the_places_that_the_summary_names_are_there_whatever_the_runs_are_called(
    finished: Path, tmp_path: Path
) -> None:
    seed, (run_files, models, ridge) = tmp_path / "seed0", reproduce.places_of_runs(str(tmp_path))
    exports = next(finished.glob("seed0/run1-final-*"))
    (seed / "mine-final-0123" / "exports").mkdir(parents=True)
    (seed / "mine.txt").write_text("")
    assert glob(run_files[1]) == [str(seed / "mine.txt")]
    assert glob(models[1]) == [str(seed / "mine-final-0123" / "exports")]
    assert str(exports / "exports") in glob(dict(reproduce.places_of_runs(str(finished)))["models"])
    assert len(glob(ridge[1].replace(str(tmp_path), str(finished)))) == 1
    assert [name for name, _ in reproduce.places_of_runs(str(tmp_path), ridge=False)] == ["run files", "models"]


def files(output: Path) -> dict[str, int]:
    return {str(p.relative_to(output)): p.stat().st_mtime_ns for p in output.glob("*/*/**/*") if p.is_file()}


def test_the_table_has_every_run_per_film_and_pooled(finished: Path) -> None:
    content = json.loads((finished / "table1.json").read_text())
    rows = {(r["predictor"], r["target"], r["scope"], r["film_id"]) for r in content["rows"]}
    scopes = [("pooled", ""), ("mean of films", ""), ("film", "MEDIAEVAL18_54"), ("film", "MEDIAEVAL18_55")]
    assert rows == {
        (predictor, target, *scope)
        for predictor in (CONSTANT_MEAN, RIDGE, *RUNS)
        for target in ("valence", "arousal")
        for scope in scopes
    }
    assert content["published"]["run5"]["valence_mse"] == 0.0837
    assert content["untrained"] == ["audio"]
    assert "Table 1" in (finished / "report" / "index.html").read_text()
    text = (finished / "table1.txt").read_text()
    assert "±" not in text
    assert "no 80 % bands: they need 4 other films" in text
    assert "demonstration only" in text


def test_a_test_film_that_is_a_development_film_under_another_name_is_refused_before_anything_is_trained(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = tmp_path / "records"
    shutil.copytree(data / "records", copied)
    development, test = (str(copied / f"{film_id}.tfrecord") for film_id in ("MEDIAEVAL18_00", "MEDIAEVAL18_54"))
    record = read_record(test)
    header = replace(record.header, source_sha256=read_header(development).source_sha256)
    write_record(make_record(header, record.tracks), test)
    given = arguments(data, tmp_path / "out")
    given[given.index("--records") + 1] = str(copied)
    assert reproduce.main(given) == 2
    said = capsys.readouterr()
    assert "the same file is in training or validation and in the split test" in said.err
    assert "MEDIAEVAL18_00 and MEDIAEVAL18_54" in said.err
    assert "prepare" not in said.out


def test_run_files_hold_the_test_films_and_the_mean_of_the_members(finished: Path, data: Path) -> None:
    runs = {name: read_run_file(str(finished / "seed0" / f"{name}.txt")) for name in RUNS}
    for run in (*runs.values(), read_run_file(str(finished / "ridge.txt"))):
        assert sorted(run) == ["MEDIAEVAL18_54", "MEDIAEVAL18_55"]
    for film_id, curve in runs["run5"].items():
        np.testing.assert_allclose(curve, (runs["run1"][film_id] + runs["run4"][film_id]) / 2, atol=2e-7)
        assert not np.array_equal(runs["run1"][film_id], runs["run4"][film_id])


def test_the_final_training_has_all_films_and_the_epochs_of_the_chosen_rank(finished: Path) -> None:
    for name, rank in (("run1", 1), ("run4", 2)):
        (selection,) = finished.glob(f"seed0/{name}-selection-*/done.json")
        (card,) = finished.glob(f"seed0/{name}-final-*/exports/1/model_card.json")
        chosen, written = json.loads(selection.read_text())["result"], json.loads(card.read_text())
        assert written["configuration"]["train"]["epochs"] == chosen["epochs_by_score"][rank - 1]
        assert written["smoothing"] == chosen["smoothing"]
        assert len(written["data"]["train_films"]) == 5
        assert not any("TestSet" in film or film.endswith(("54", "55")) for film in written["data"]["train_films"])


def test_ridge_is_fitted_to_all_films_with_the_penalties_that_validation_chose(finished: Path) -> None:
    (selection,) = (path for path in finished.glob("ridge-*/done.json") if "final" not in str(path))
    (card,) = finished.glob("ridge-final-*/exports/1/model_card.json")
    chosen, written = json.loads(selection.read_text())["result"], json.loads(card.read_text())
    assert written["penalty"] == chosen["penalty"]
    assert written["smoothing"] == chosen["smoothing"]
    assert len(written["data"]["train_films"]) == 5


def test_a_second_start_does_nothing(finished: Path, data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before, table = files(finished), (finished / "table1.json").read_bytes()
    assert reproduce.main(arguments(data, finished)) == 0
    assert files(finished) == before
    assert (finished / "table1.json").read_bytes() == table
    printed = capfd.readouterr().out
    assert "training:" not in printed
    assert "fitting ridge regression" not in printed


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_other_settings_and_changed_labels_are_trained_anew(finished: Path, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    shutil.copytree(finished, output)
    changed = tmp_path / "data"
    shutil.copytree(data, changed)
    for name in ("run4", "run5"):
        (changed / "runs" / f"{name}.yaml").unlink()
    assert reproduce.main([*arguments(changed, output), "--set", "model.encoder.units=3", "--set", "ridge=null"]) == 0
    assert len(list(output.glob("seed0/run1-final-*"))) == 2
    content = json.loads((output / "table1.json").read_text())
    assert content["runs"]["run1"]["train"]["model"]["encoder"]["units"] == 3
    old = json.loads((finished / "table1.json").read_text())
    figures = [
        next(r["mse"] for r in rows if (r["predictor"], r["scope"]) == ("run1", "pooled"))
        for rows in (content["rows"], old["rows"])
    ]
    assert figures[0] != figures[1]


@pytest.mark.slow
def test_killed_in_the_middle_it_ends_at_the_same_table(finished: Path, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    for transform in finished.glob("transform-*"):
        shutil.copytree(transform, output / transform.name)
    command = [sys.executable, "-m", "beam_pipelines.cli", "reproduce", *arguments(data, output)]
    process = subprocess.Popen(command, cwd=REPOSITORY, start_new_session=True, stdout=subprocess.DEVNULL)
    deadline_s = time.monotonic() + 300
    # An epoch of the final training of the first run has ended, and another run is still to come.
    while not list(output.glob("seed0/run1-final-*/history.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (output / "table1.json").exists()
    assert reproduce.main(arguments(data, output)) == 0
    assert (output / "table1.json").read_bytes() == (finished / "table1.json").read_bytes()
    for name in RUNS:
        run_file = Path("seed0") / f"{name}.txt"
        assert (output / run_file).read_bytes() == (finished / run_file).read_bytes()


def test_what_is_wrong_is_said(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reproduce.main([*arguments(data, tmp_path), "--validation-films", "5"]) == 2
    assert "there are 5 development films" in capsys.readouterr().err
    assert reproduce.main(["--data", str(data), "--output", "gs://bucket/x"]) == 2
    assert "local directory" in capsys.readouterr().err
    assert reproduce.main([*arguments(data, tmp_path), "--records", ""]) == 2
    assert "no MEDIAEVAL18_*.mp4 of MEDIAEVAL18_00" in capsys.readouterr().err
    assert reproduce.main([*arguments(data, tmp_path), "--records", str(tmp_path)]) == 2
    assert "no record of MEDIAEVAL18_" in capsys.readouterr().err
