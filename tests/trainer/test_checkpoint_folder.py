"""Checkpoints of a run in a bucket: killed between any two writes, there is a whole one to go on from."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from gcs_emulator import GcsEmulator, running_emulator
from synthetic_films import REPOSITORY

from beam_pipelines import storage
from beam_pipelines.errors import StorageError
from trainer.checkpoint_folder import checkpoint_folder
from trainer.output_directory import assert_output_directory


class Killed(Exception):
    """Stands for the end of the process between two requests to the bucket."""


@pytest.fixture(scope="module")
def emulator() -> Iterator[GcsEmulator]:
    with running_emulator() as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", running.url)
        running.make_bucket("bucket")
        yield running


def save(uri: str, steps: range) -> None:
    """A run that goes on from what is in `uri`, and whose weight is the number of its last step."""
    with checkpoint_folder(uri) as folder:
        weight = tf.Variable(-1)
        manager = tf.train.CheckpointManager(tf.train.Checkpoint(weight=weight), str(folder.path), max_to_keep=2)
        for step in steps:
            weight.assign(step)
            manager.save(checkpoint_number=step)
            folder.publish()


def restored(uri: str) -> int:
    """The weight of the newest checkpoint, as another machine finds it."""
    with checkpoint_folder(uri) as folder:
        weight = tf.Variable(-1)
        newest = tf.train.latest_checkpoint(str(folder.path))
        assert newest is not None
        tf.train.Checkpoint(weight=weight).restore(newest).assert_consumed()
        return int(weight.numpy())


def kill_after(monkeypatch: pytest.MonkeyPatch, requests: int) -> list[str]:
    """From now on so many changes of the bucket are done and the next one is not; what was asked for."""
    asked: list[str] = []

    def counted(change: Callable[..., None]) -> Callable[..., None]:
        def do(uri: str, *further: Any) -> None:
            if len(asked) == requests:
                raise Killed
            asked.append(f"{change.__name__} {uri.rsplit('/', 1)[-1].split('.')[0]}")
            change(uri, *further)

        return do

    for name in ("write_file", "remove"):
        monkeypatch.setattr(storage, name, counted(getattr(storage, name)))
    return asked


def test_whenever_it_is_killed_the_newest_that_is_named_is_whole(
    emulator: GcsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ["write_file ckpt-3", "write_file ckpt-3", "write_file checkpoint", "remove ckpt-1", "remove ckpt-1"]
    for requests in range(len(expected)):
        uri = f"gs://bucket/killed-{requests}"
        save(uri, range(1, 3))
        with monkeypatch.context() as patch:
            asked = kill_after(patch, requests)
            with pytest.raises(Killed):
                save(uri, range(3, 4))
        assert asked == expected[:requests]
        assert restored(uri) == (3 if "write_file checkpoint" in asked else 2)
        save(uri, range(4, 6))
        assert restored(uri) == 5
        names = sorted(
            {name.split("/")[1].split(".")[0] for name in emulator.object_names("bucket") if uri[14:] in name}
        )
        assert names == ["checkpoint", "ckpt-4", "ckpt-5"]


def test_nothing_stays_on_the_local_disk(emulator: GcsEmulator, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    save("gs://bucket/clean", range(1, 3))
    assert restored("gs://bucket/clean") == 2
    assert list(tmp_path.iterdir()) == []


def test_a_bucket_that_is_absent_is_told_before_data_are_loaded(emulator: GcsEmulator) -> None:
    assert_output_directory("gs://bucket/not/yet")
    with pytest.raises(StorageError, match="there is no bucket absent"):
        assert_output_directory("gs://absent/run")


ON_A_SMALL_DISK = """
import resource, sys
import tensorflow as tf
from beam_pipelines.errors import DiskFullError
from trainer.checkpoints import TrainingState

class Weights(tf.Module):
    weights = [tf.Variable(tf.zeros(100_000))]

state = TrainingState(sys.argv[1], Weights(), tf.Module())
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    state.save()
except DiskFullError as error:
    print(error)
"""


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ON_A_SMALL_DISK, str(tmp_path)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith(f"{tmp_path}: no room for a checkpoint (")
    assert "start again: the run goes on" in done.stdout
