"""`cineaffect train --strategy multi_worker`: two processes train one model, and only the first one writes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from beam_pipelines.contracts.models.exported_cards import exported_cards
from beam_pipelines.contracts.records.records import read_record, record_uri
from tests.support.synthetic_films import REPOSITORY, DataSet
from trainer.commands import train as task
from trainer.evaluation.curve_files import RAW, read_curve

pytestmark = pytest.mark.slow
TIMEOUT_S = 600
SMALL = ["epochs=2", "batch_size=61", "learning_rate=0.01", "model.window_s=6", "model.encoder.units=4"]
# Dropout differs between shares of a batch; without it two workers give what one device gives.
NETWORK = ["model.modalities=[audio, face]", "model.batch_normalization=true"]


def arguments(dataset: DataSet, output: Path, *further: str) -> list[str]:
    argv = ["--manifest", dataset.manifest, "--records", dataset.records, "--transform", dataset.transform]
    return [*argv, *(f"--set={key}" for key in (*SMALL, *NETWORK)), "--output", str(output), *further]


def start_workers(dataset: DataSet, outputs: list[Path]) -> list[subprocess.Popen[str]]:
    """The command once for each output: workers of one cluster on free loopback ports, the first of them the chief."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in outputs]
    addresses = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
    for listener in listeners:
        listener.close()
    started = []
    for index, output in enumerate(outputs):
        cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CONFIG": json.dumps(cluster)}
        command = [sys.executable, "-m", "beam_pipelines.cli", "train", *arguments(dataset, output)]
        command += ["--strategy", "multi_worker"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, cwd=REPOSITORY, env=environment, text=True, **pipes))
    return started


def printed_by(workers: list[subprocess.Popen[str]]) -> list[str]:
    """What each worker printed; all have to succeed."""
    both = [worker.communicate(timeout=TIMEOUT_S) for worker in workers]
    for worker, (_, err) in zip(workers, both, strict=True):
        assert worker.returncode == 0, err[-3000:]
    return [out for out, _ in both]


def files(output: Path) -> set[str]:
    """The names of all files below, without those of TensorBoard and of checkpoints, which have dates and steps."""
    found = {path.relative_to(output) for path in output.rglob("*") if path.is_file()}
    return {str(path) for path in found if path.parts[0] not in ("logs", "checkpoints")}


def predictions(output: Path) -> dict[str, np.ndarray]:
    return {path.stem: read_curve(str(path))[RAW] for path in sorted((output / "curves").iterdir())}


@pytest.fixture(scope="module")
def one_device(dataset: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("one") / "run"
    assert task.main(arguments(dataset, output, "--strategy", "one")) == 0
    return output


@pytest.fixture(scope="module")
def two_workers(dataset: DataSet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[str]]:
    """Output and print of both; each has an output of its own, so that what it writes can be told apart."""
    root = tmp_path_factory.mktemp("two")
    chief, other = root / "chief", root / "other"
    return chief, other, printed_by(start_workers(dataset, [chief, other]))


def test_only_the_first_worker_writes(one_device: Path, two_workers: tuple[Path, Path, list[str]]) -> None:
    chief, other, printed = two_workers
    assert files(chief) == files(one_device)
    assert {"report/index.html", "exports/1/model_card.json", "history.json"} <= files(chief)
    assert [path for path in other.rglob("*") if path.is_file()] == []
    assert "report/index.html" in printed[0]
    assert "report/index.html" not in printed[1]


def test_what_is_exported_is_the_model_of_one_device(
    dataset: DataSet, one_device: Path, two_workers: tuple[Path, Path, list[str]]
) -> None:
    chief, _, _ = two_workers
    alone, together = predictions(one_device), predictions(chief)
    assert list(alone) == list(together)
    model = tf.saved_model.load(str(chief / "exports" / "1")).signatures["serving_default"]
    for film_id, curve in together.items():
        assert np.ptp(curve, axis=0).min() > 0.02
        np.testing.assert_allclose(curve, alone[film_id], atol=1e-4)
        inputs = {}
        for modality, track in read_record(record_uri(dataset.records, film_id), ("audio", "face")).tracks.items():
            inputs[modality] = tf.constant(track.values)
            inputs[f"{modality}_present"] = tf.constant(track.present)
        answer = model(**inputs)
        for column, target in enumerate(("valence", "arousal")):
            np.testing.assert_allclose(answer[target], curve[:, column], atol=1e-5)


def test_started_again_by_one_device_or_by_both_workers_it_is_the_same_run(
    dataset: DataSet, two_workers: tuple[Path, Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    chief, _, _ = two_workers
    before = exported_cards(str(chief))
    assert task.main(arguments(dataset, chief, "--strategy", "one")) == 0
    assert "exported already, as version 1" in capsys.readouterr().out
    printed = printed_by(start_workers(dataset, [chief, chief]))
    assert "exported already, as version 1" in printed[0]
    assert exported_cards(str(chief)) == before
