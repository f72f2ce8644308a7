"""One run on one device, on two virtual devices and on two worker processes: the same loss curve, the same weights."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from beam_pipelines.foundation.errors import ConfigurationError
from trainer.foundation.distribution import is_chief, make_strategy, own_share, replica_sum, rows_of_all

SCRIPT = str(Path(__file__).resolve().parents[2] / "support" / "distributed_run.py")
TIMEOUT_S = 600
# 21 windows on two devices: shares of 10 and 11, so that a mean of the devices' means would be wrong.
TRAIN: dict[str, Any] = {"batch_size": 21, "epochs": 3, "learning_rate": 0.01, "patience": 0}
NETWORK = {"modalities": ["audio", "face"], "window_s": 6, "encoder": {"units": 6}, "batch_normalization": True}
DROPOUT = {"dropout": 0.3, "feature_dropout": 0.2, "modality_dropout": 0.3}
TCN = {"kind": "tcn", "filters": 5, "filters_step": 1, "levels": 1, "kernel_s": 3}
PAPER = {**TRAIN, "model": NETWORK}
EVERYTHING = {**TRAIN, "loss": "ccc", "precision": "mixed_float16", "model": {**NETWORK, **DROPOUT, "encoder": TCN}}


def start(runs: list[dict[str, Any]], cluster: dict[str, Any] | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    environment.pop("TF_CONFIG", None)
    if cluster is not None:
        environment["TF_CONFIG"] = json.dumps(cluster)
    command = [sys.executable, SCRIPT, json.dumps(runs)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, **pipes)


def start_workers(settings: dict[str, Any]) -> list[subprocess.Popen[str]]:
    """Two workers on free loopback ports; the first one is the chief."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
    for listener in listeners:
        listener.close()
    return [
        start([settings], {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
        for index in range(2)
    ]


def results_of(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, err[-3000:]
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def assert_same_curve(one: dict[str, Any], other: dict[str, Any], tolerance: float) -> None:
    assert [entry["epoch"] for entry in one["history"]] == [entry["epoch"] for entry in other["history"]]
    for figure in ("loss", "gradient_norm", "valence_mse", "arousal_mse", "score"):
        curves = [[entry[figure] for entry in run["history"]] for run in (one, other)]
        np.testing.assert_allclose(curves[1], curves[0], rtol=tolerance, err_msg=figure)
    np.testing.assert_allclose(other["norms"], one["norms"], rtol=tolerance, atol=tolerance)
    assert len({entry["loss"] for entry in one["history"]}) == len(one["history"])


@pytest.mark.slow
def test_two_devices_give_the_loss_curve_of_one(tmp_path: Path) -> None:
    # float16 rounds a share's activations as it does a batch's, but sums them in another order.
    cases = {"paper": (PAPER, 1e-5), "everything": (EVERYTHING, 5e-3)}
    # A process each: TensorFlow numbers the exchanges of a second mirrored strategy like those of the first.
    processes = [
        start(
            [{"output": str(tmp_path / name / kind), "strategy": kind, "train": train} for kind in ("one", "mirrored")]
        )
        for name, (train, _) in cases.items()
    ]
    for (_, tolerance), process in zip(cases.values(), processes, strict=True):
        one, other = results_of(process)
        assert_same_curve(one, other, tolerance)


@pytest.mark.slow
def test_two_workers_give_the_loss_curve_of_one_and_go_on_after_a_kill(tmp_path: Path) -> None:
    train = {**PAPER, "model": {**NETWORK, **DROPOUT}}
    (one,) = results_of(start([{"output": str(tmp_path / "one"), "strategy": "one", "train": train}]))
    shared = tmp_path / "shared"
    settings = {"output": str(shared), "strategy": "multi_worker", "train": train, "checkpoint_batches": 1}
    workers = start_workers(settings)
    assert workers[1].stderr is not None
    for line in workers[1].stderr:
        if line.startswith("done 2 2"):
            break
    workers[1].kill()
    for worker in workers:
        worker.communicate(timeout=TIMEOUT_S)
        assert worker.returncode != 0
    newest = tf.train.latest_checkpoint(str(shared / "checkpoints"))
    assert newest is not None
    assert 4 < int(newest.rsplit("-", 1)[1]) < 12
    again = [result for worker in start_workers(settings) for result in results_of(worker)]
    for result in again:
        assert_same_curve(one, result, 1e-5)
    assert again[0]["norms"] == again[1]["norms"]
    written = [path.name for path in (shared / "logs").iterdir()]
    # One log of the first start and one of the second: the other worker writes nothing.
    assert len(written) == 2


def test_multi_worker_wants_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ConfigurationError, match="TF_CONFIG is not set"):
        make_strategy("multi_worker")
    assert make_strategy("auto").num_replicas_in_sync == 1
    assert is_chief(make_strategy("one"))


def test_outside_of_a_replica_nothing_is_shared_out() -> None:
    values = tf.constant([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(own_share(values), values)
    np.testing.assert_array_equal(replica_sum(values), values)
    assert [int(x) for x in rows_of_all(tf.constant(3))] == [3, 0]
