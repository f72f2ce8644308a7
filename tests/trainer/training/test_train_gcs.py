"""Training with records, labels, transform and output in a bucket of a real emulator, killed and gone on elsewhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from beam_pipelines.contracts.models.exported_cards import exported_cards
from beam_pipelines.foundation import storage
from tests.support.gcs_emulator import GcsEmulator
from tests.support.synthetic_films import REPOSITORY, DataSet
from trainer.commands import train as task

RUN = "gs://bucket/run"
SMALL = ["epochs=3", "batch_size=64", "learning_rate=0.01", "model.window_s=8", "model.encoder.units=8"]
SMALL += ["model.modalities=[audio]"]


def arguments(data: str, output: str) -> list[str]:
    argv = ["--manifest", f"{data}/films.csv", "--records", f"{data}/features", "--transform", f"{data}/transform"]
    return [*argv, *(f"--set={key}" for key in SMALL), "--checkpoint-batches=2", "--output", output]


def start_and_kill(emulator: GcsEmulator, temporary: Path) -> None:
    """A process that trains into the bucket, killed as soon as the history of its first epoch is there."""
    temporary.mkdir()
    command = [sys.executable, "-m", "trainer.task", *arguments("gs://bucket/data", RUN)]
    process = subprocess.Popen(command, cwd=REPOSITORY, env={**os.environ, "TMPDIR": str(temporary)})
    deadline_s = time.monotonic() + 300
    while "run/history.json" not in emulator.object_names("bucket"):
        assert process.poll() is None, "it ended before it was killed"
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    process.kill()
    assert process.wait(30) == -signal.SIGKILL


@pytest.mark.slow
def test_killed_it_goes_on_elsewhere_and_ends_at_the_same_weights(
    emulator: GcsEmulator, dataset: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    assert task.main(arguments(str(dataset.root), str(tmp_path / "run"))) == 0
    undisturbed = exported_cards(str(tmp_path / "run"))[1]

    storage.copy_tree(str(dataset.root), "gs://bucket/data")
    start_and_kill(emulator, tmp_path / "first-machine")
    assert not [name for name in emulator.object_names("bucket") if name.startswith("run/exports/")]

    # Nothing of the first machine is left but what lies in the bucket.
    second_machine = tmp_path / "second-machine"
    second_machine.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(second_machine))
    capsys.readouterr()
    assert task.main(arguments("gs://bucket/data", RUN)) == 0
    assert "goes on after epoch " in capsys.readouterr().err
    card = exported_cards(RUN)[1]
    assert card["weights_sha256"] == undisturbed["weights_sha256"]
    assert card["smoothing"] == undisturbed["smoothing"]
    assert [entry["loss"] for entry in history(RUN)] == [entry["loss"] for entry in history(str(tmp_path / "run"))]
    assert list(second_machine.iterdir()) == []

    # Every file of a local run is there, but for checkpoints of other steps; and a third run has nothing to do.
    assert files(RUN) == files(str(tmp_path / "run"))
    assert task.main(arguments("gs://bucket/data", RUN)) == 0
    assert "exported already, as version 1" in capsys.readouterr().out


def history(run: str) -> list[dict[str, float]]:
    entries: list[dict[str, float]] = json.loads(storage.read_text(f"{run}/history.json"))
    return entries


def files(run: str) -> set[str]:
    """The files of a run; those of TensorBoard, whose names tell host and time, count as one."""
    names = {info.uri.removeprefix(f"{run}/") for info in storage.list_files(run)}
    return {"logs/" if name.startswith("logs/") else name for name in names}
