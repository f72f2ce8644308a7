"""Checkpoints of a run in a bucket: killed between any two writes, there is a whole one to go on from."""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path

import pytest
import tensorflow as tf

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError, DiskFullError, StorageError
from beam_pipelines.foundation.output_directory import assert_output_directory
from beam_pipelines.foundation.storage import object_storage
from tests.support.gcs_emulator import GcsEmulator
from tests.support.killed_writes import Killed, kill_after
from trainer.training.checkpoint_folder import AnotherRunError, CheckpointFolder, checkpoint_folder
from trainer.training.checkpoints import TrainingState


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


def test_whenever_it_is_killed_the_newest_that_is_named_is_whole(
    emulator: GcsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ["write ckpt-3", "write ckpt-3", "write checkpoint", "remove ckpt-1", "remove ckpt-1"]
    for requests in range(len(expected)):
        uri = f"gs://bucket/killed-{requests}"
        save(uri, range(1, 3))
        with monkeypatch.context() as patch:
            made = kill_after(patch, requests)
            with pytest.raises(Killed):
                save(uri, range(3, 4))
        changes = [f"{kind} {address.rsplit('/', 1)[-1].split('.')[0]}" for kind, address in made]
        assert changes == expected[:requests]
        assert restored(uri) == (3 if "write checkpoint" in changes else 2)
        save(uri, range(4, 6))
        assert restored(uri) == 5
        assert files_of(uri) == ["checkpoint", "ckpt-4", "ckpt-5"]


class Run:
    """A run in the bucket that saves when the test says so."""

    def __init__(self, folder: CheckpointFolder):
        self.folder, self.weight = folder, tf.Variable(-1)
        checkpoint = tf.train.Checkpoint(weight=self.weight)
        self.manager = tf.train.CheckpointManager(checkpoint, str(folder.path), max_to_keep=2)

    def save(self, step: int) -> None:
        self.weight.assign(step)
        self.manager.save(checkpoint_number=step)
        self.folder.publish()


def test_of_two_runs_in_one_folder_one_ends_and_the_checkpoints_stay_whole(
    emulator: GcsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = "gs://bucket/two-runs"
    save(uri, range(1, 3))
    with checkpoint_folder(uri) as first, checkpoint_folder(uri) as second:
        ours, theirs = Run(first), Run(second)
        replace = object_storage.Generation.replace

        def after_the_other_run(generation: object_storage.Generation, content: bytes) -> object_storage.Generation:
            """The other run publishes a whole checkpoint between our `ckpt-20.index` and our `checkpoint`."""
            assert generation.uri == f"{uri}/checkpoint"
            monkeypatch.setattr(object_storage.Generation, "replace", replace)
            theirs.save(30)
            return replace(generation, content)

        monkeypatch.setattr(object_storage.Generation, "replace", after_the_other_run)
        with pytest.raises(AnotherRunError, match=f"{uri}: another run writes here"):
            ours.save(20)
        assert restored(uri) == 30
        with pytest.raises(AnotherRunError, match="another run writes here"):
            ours.save(40)
        theirs.save(50)
    assert restored(uri) == 50
    assert files_of(uri) == ["checkpoint", "ckpt-30", "ckpt-50"]


def files_of(uri: str) -> list[str]:
    """The names of a folder's files up to the first dot, each once."""
    return sorted({info.uri.removeprefix(f"{uri}/").split(".")[0] for info in storage.list_files(uri)})


def test_a_folder_among_the_checkpoints_is_left_alone(emulator: GcsEmulator) -> None:
    uri = "gs://bucket/with-a-folder"
    storage.write_text(f"{uri}/notes/read-me", "mine")
    save(uri, range(1, 3))
    save(uri, range(3, 6))
    assert files_of(uri) == ["checkpoint", "ckpt-4", "ckpt-5", "notes/read-me"]


class Weights(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weights = [tf.Variable(1.0)]


def test_a_named_checkpoint_that_is_absent_or_cut_off_is_told(tmp_path: Path) -> None:
    TrainingState(str(tmp_path), Weights(), tf.Module()).save()
    data, index = tmp_path / "ckpt-0.data-00000-of-00001", tmp_path / "ckpt-0.index"
    data.write_bytes(data.read_bytes()[:10])
    expected = "gs://bucket/run/checkpoints: names ckpt-0, .*; bring .* back, or remove this folder, and the run begins"
    for _ in range(2):
        state = TrainingState(str(tmp_path), Weights(), tf.Module(), uri="gs://bucket/run/checkpoints")
        with pytest.raises(ConfigurationError, match=expected):
            state.restore()
        index.unlink(missing_ok=True)


def test_nothing_stays_on_the_local_disk(emulator: GcsEmulator, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    save("gs://bucket/clean", range(1, 3))
    assert restored("gs://bucket/clean") == 2
    assert list(tmp_path.iterdir()) == []


def test_a_bucket_that_is_absent_is_told_before_data_are_loaded(emulator: GcsEmulator) -> None:
    assert_output_directory("gs://bucket/not/yet")
    with pytest.raises(StorageError, match="there is no bucket absent"):
        assert_output_directory("gs://absent/run")


class ManyWeights(tf.Module):
    """400 kB of weights."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = [tf.Variable(tf.zeros(100_000))]


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    state = TrainingState(str(tmp_path), ManyWeights(), tf.Module())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # no file of this process may be larger
    try:
        with pytest.raises(DiskFullError) as caught:
            state.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(caught.value).startswith(f"{tmp_path}: no room for a checkpoint (")
    assert "start again: the run goes on" in str(caught.value)
