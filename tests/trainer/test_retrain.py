"""`cineaffect retrain` with real jobs as processes on synthetic records: promote, repeat, refuse, return, resume."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from synthetic_films import REPOSITORY, DataSet

from beam_pipelines.exported_model import find_model
from trainer import retrain
from trainer.run_lock import only_run

SMALL = {
    "epochs": 6,
    "batch_size": 64,
    "learning_rate": 0.01,
    "model": {"window_s": 8, "encoder": {"units": 8}},
}


def configure(dataset: DataSet, root: Path, **train: object) -> Path:
    path = root / "retrain.yaml"
    section = {"manifest": dataset.manifest, "records": dataset.records, "output": str(root / "out"), "extract": False}
    path.write_text(yaml.safe_dump({"retrain": section, "train": {**SMALL, **train}}))
    return path


def reports(root: Path) -> list[dict]:
    found = sorted((root / "out" / "rounds").glob("*/report.json"), key=lambda path: path.stat().st_mtime_ns)
    return [json.loads(path.read_text()) for path in found]


def test_promotion_repetition_refusal_and_return(dataset: DataSet, tmp_path: Path, capsys) -> None:
    config, exports = configure(dataset, tmp_path), tmp_path / "out" / "exports"
    assert retrain.main(["--config", str(config)]) == 0
    (first,) = reports(tmp_path)
    assert (first["promoted"], first["compared_with"], first["films"]) == (True, "constant mean", ["film7"])
    assert find_model(str(exports)).card.version == (exports / "current").read_text().strip() == "1"

    capsys.readouterr()
    assert retrain.main(["--config", str(config)]) == 0
    assert "nothing has changed" in capsys.readouterr().out

    configure(dataset, tmp_path, epochs=1, learning_rate=0.00001)
    assert retrain.main(["--config", str(config)]) == 0
    assert [report["promoted"] for report in reports(tmp_path)] == [True, False]
    assert reports(tmp_path)[1]["compared_with"] == "version 1"
    assert (exports / "current").read_text() == "1\n"

    shutil.copytree(exports / "1", exports / "2")
    assert find_model(str(exports)).card.version == "1"  # the pointer, not the highest number
    assert retrain.rollback(["--exports", str(exports), "--to", "2"]) == 0
    assert find_model(str(exports)).uri == str(exports / "2")


def test_killed_in_training_it_goes_on_and_ends(dataset: DataSet, tmp_path: Path) -> None:
    config = configure(dataset, tmp_path)
    command = [sys.executable, "-m", "beam_pipelines.cli", "retrain", "--config", str(config)]
    process = subprocess.Popen(command, cwd=REPOSITORY, start_new_session=True)
    deadline_s = time.monotonic() + 120
    while not list((tmp_path / "out" / "rounds").glob("*/model/history.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out" / "exports").exists()
    assert retrain.main(["--config", str(config)]) == 0
    assert (tmp_path / "out" / "exports" / "current").read_text() == "1\n"


def test_the_second_at_once_says_who_works(dataset: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    config = configure(dataset, tmp_path)
    with only_run(str(tmp_path / "out")):
        assert retrain.main(["--config", str(config)]) == retrain.EXIT_HELD
    assert f'"pid": {os.getpid()}' in capsys.readouterr().err
