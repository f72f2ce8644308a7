"""`cineaffect retrain` with films, records and output in a bucket of a real emulator: two at once, killed, returned."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from beam_pipelines.contracts.models.current_version import read_current
from beam_pipelines.contracts.models.exported_cards import exported_cards, versions_of
from beam_pipelines.contracts.models.exported_model import find_model
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import EXIT_HELD
from tests.support.commands_in_process import commands_in_this_process
from tests.support.exported_models import write_model
from tests.support.gcs_emulator import GcsEmulator
from tests.support.synthetic_films import REPOSITORY, description, write_film
from trainer.commands import retrain, rollback
from trainer.retraining import round as round_module
from trainer.retraining.promotion import read_history

SPLITS = ("train", "train", "train", "validation", "test", "test")
OUT = "gs://bucket/out"
THEIRS = json.dumps({"host": "another", "pid": 1, "expiry_s": 60.0})
TRAIN: dict[str, Any] = {
    "epochs": 3,
    "patience": 0,
    "batch_size": 64,
    "learning_rate": 0.01,
    "smoothing_cutoffs_hz": [0.1],
    "model": {"modalities": ["image", "audio"], "window_s": 8, "encoder": {"units": 8}},
}


def write_inputs(root: Path) -> None:
    """Films, and a champion in use that today's records don't fit."""
    for seed in range(len(SPLITS)):
        write_film(root / "films", f"film{seed}", seed)
    rows = [f"film{seed},film{seed}.mp4,{split},labels/film{seed}.txt" for seed, split in enumerate(SPLITS)]
    (root / "films" / "films.csv").write_text("\n".join(["film_id,path,split,labels", *rows, ""]))
    made = {"image": description("image"), "audio": {"network": "another"}}
    write_model(root / "out" / "exports", "1", dimensions={"image": 12, "audio": 5}, descriptions=made)
    (root / "out" / "exports" / "current").write_text("1\n")


def configure(root: str, path: Path) -> str:
    section = {"manifest": f"{root}/films/films.csv", "records": f"{root}/films/features", "output": f"{root}/out"}
    # So few films promote hardly anything: what is tested is that a round comes to the same end.
    settings = {"extract": False, "confidence": 0.51, "least_films": 2, "lock_expiry_s": 10}
    content = {"retrain": {**section, **settings}, "train": TRAIN}
    path.write_text(yaml.safe_dump(content))
    return str(path)


def start(config: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "beam_pipelines.cli", "retrain", "--config", config]
    return subprocess.Popen(command, cwd=REPOSITORY, start_new_session=True, stderr=subprocess.PIPE, text=True)


def wait_for(what: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    deadline_s = time.monotonic() + 600
    while not what():
        assert process is None or process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def read_report(output: str) -> dict[str, Any]:
    (uri,) = [info.uri for info in storage.list_files(f"{output}/rounds") if info.uri.endswith("/report.json")]
    report: dict[str, Any] = json.loads(storage.read_text(uri))
    for key in ("manifest", "records", "output"):
        del report["configuration"][key]
    return report


@pytest.mark.slow
def test_killed_in_a_bucket_it_decides_as_an_undisturbed_local_round_and_never_do_two_work(
    emulator: GcsEmulator, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    write_inputs(tmp_path)
    storage.copy_tree(str(tmp_path), "gs://bucket")
    with commands_in_this_process():
        assert retrain.main(["--config", configure(str(tmp_path), tmp_path / "local.yaml")]) == 0

    config = configure("gs://bucket", tmp_path / "bucket.yaml")
    first = start(config)
    wait_for(lambda: "out/retrain.lock" in emulator.object_names("bucket"), first)
    assert retrain.main(["--config", config]) == EXIT_HELD
    assert f"{OUT}/retrain.lock: held by host" in capsys.readouterr().err

    wait_for(lambda: [n for n in emulator.object_names("bucket") if n.endswith("/checkpoints/checkpoint")], first)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert versions_of(f"{OUT}/exports") == [1]

    with commands_in_this_process():
        assert retrain.main(["--config", config]) == 0
    said = capsys.readouterr().err
    assert "retrain: train" in said
    assert "retrain: prepare" not in said
    report = read_report(OUT)
    assert report == read_report(str(tmp_path / "out"))
    assert (report["champion"], report["version"], report["promoted"]) == (1, 2, True)
    cards = [exported_cards(root)[2]["weights_sha256"] for root in (OUT, str(tmp_path / "out"))]
    assert cards[0] == cards[1]
    assert find_model(f"{OUT}/exports").card.version == "2"

    assert rollback.main(["--exports", f"{OUT}/exports"]) == 0
    assert retrain.main(["--config", config]) == 0
    assert "nothing has changed" in capsys.readouterr().out
    assert read_current(f"{OUT}/exports") == 1
    assert [(entry["from"], entry["to"]) for entry in read_history(f"{OUT}/exports")] == [(1, 2), (2, 1)]
    assert not [info for info in os.scandir(tmp_path) if info.name.startswith("gs:")]


def test_sigterm_ends_a_round_and_releases_its_lock(
    emulator: GcsEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    job = ["sh", "-c", "kill $PPID; exec sleep 600"]
    monkeypatch.setattr(round_module, "Round", lambda *_: subprocess.run(job, check=True))
    began_s = time.monotonic()
    with pytest.raises(SystemExit) as ended:
        retrain.main(["--config", configure("gs://bucket/ended", tmp_path / "retrain.yaml")])
    assert ended.value.code == 128 + signal.SIGTERM
    assert time.monotonic() - began_s < 300  # the job was ended too
    assert storage.read_text("gs://bucket/ended/out/retrain.lock") == "{}\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_round_whose_lock_is_taken_ends_before_it_publishes_anything(
    emulator: GcsEmulator, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for seed in range(3):
        write_film(tmp_path, f"film{seed}", seed)
    manifest, output = tmp_path / "films.csv", "gs://bucket/taken"
    os.mkfifo(manifest)

    def take_the_lock() -> None:
        with manifest.open("w") as file:  # the round has its lock when it reads the manifest
            storage.write_text(f"{output}/retrain.lock", THEIRS)
            rows = [f"film{seed},film{seed}.mp4,{split},labels/film{seed}.txt" for seed, split in enumerate(splits)]
            file.write("\n".join(["film_id,path,split,labels", *rows, ""]))

    splits = ("train", "validation", "test")
    section = {"manifest": str(manifest), "records": str(tmp_path / "features"), "output": output}
    content = {"retrain": {**section, "extract": False, "lock_expiry_s": 30}, "train": TRAIN}
    (tmp_path / "retrain.yaml").write_text(yaml.safe_dump(content))
    taking = threading.Thread(target=take_the_lock, daemon=True)
    taking.start()
    assert retrain.main(["--config", str(tmp_path / "retrain.yaml")]) == EXIT_HELD
    assert "another run has taken this over" in capsys.readouterr().err
    assert storage.read_text(f"{output}/retrain.lock") == THEIRS
    left = [name for name in emulator.object_names("bucket") if name.startswith("taken/")]
    assert "taken/retrain.lock" in left
    assert not [name for name in left if name.startswith("taken/exports/") or "/report." in name]
