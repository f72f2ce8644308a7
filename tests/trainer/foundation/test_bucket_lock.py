"""The lock of a bucket: one holder, taken over only when it is silent for its whole expiry or seen to be gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError, StorageError
from beam_pipelines.foundation.storage import object_storage
from tests.support.gcs_emulator import GcsEmulator, free_port
from tests.support.synthetic_films import REPOSITORY
from trainer.foundation.bucket_lock import BucketLock, LostError, UnrenewedError, bucket_lock
from trainer.foundation.lock_holder import describe_this_process, has_ended
from trainer.foundation.run_lock import HeldError
from trainer.retraining.stages import Stages

ELSEWHERE = {
    "host": "another",
    "pid": 1,
    "started": "before",
    "processes": "of another machine",
    "process": "1 since 2",
}


def write_lock(uri: str, expiry_s: float, **further: Any) -> None:
    """The lock of a process on another machine."""
    storage.write_text(uri, json.dumps({**ELSEWHERE, "expiry_s": expiry_s, "token": "theirs", **further}))


def wait_for(what: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 120
    while not what():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_a_second_is_refused_and_afterwards_it_is_free(emulator: GcsEmulator) -> None:
    uri = "gs://bucket/free/retrain.lock"
    with (
        bucket_lock(uri, 60.0),
        pytest.raises(HeldError, match=f"held by another run: host .*, pid {os.getpid()}, started"),
        bucket_lock(uri, 60.0),
    ):
        pass
    with bucket_lock(uri, 60.0) as lock:
        lock.confirm()


def test_a_holder_that_cannot_be_seen_is_watched_and_one_sign_of_life_is_enough(emulator: GcsEmulator, capsys) -> None:
    uri = "gs://bucket/alive/retrain.lock"
    write_lock(uri, 600.0)

    def renew() -> None:
        wait_for(lambda: "taken over if nobody renews it within 600 s" in capsys.readouterr().err)
        write_lock(uri, 600.0)

    renewing = threading.Thread(target=renew)
    renewing.start()
    with pytest.raises(HeldError, match="held by another run: host another, pid 1"), bucket_lock(uri, 60.0):
        pass
    renewing.join()


def test_a_silent_holder_is_replaced_after_its_own_expiry(emulator: GcsEmulator) -> None:
    uri = "gs://bucket/silent/retrain.lock"
    write_lock(uri, 0.5)
    began_s = time.monotonic()
    with bucket_lock(uri, 60.0):
        assert time.monotonic() - began_s >= 0.5
        assert json.loads(storage.read_text(uri))["pid"] == os.getpid()


def test_of_two_that_take_over_at_once_one_is_refused(emulator: GcsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "gs://bucket/race/retrain.lock"
    replace = object_storage.Generation.replace

    def after_another(generation: object_storage.Generation, content: bytes, *further: Any) -> Any:
        monkeypatch.setattr(object_storage.Generation, "replace", replace)
        write_lock(uri, 60.0)
        return replace(generation, content, *further)

    monkeypatch.setattr(object_storage.Generation, "replace", after_another)
    with pytest.raises(HeldError, match="another run was faster: host another"), bucket_lock(uri, 60.0):
        pass
    assert json.loads(storage.read_text(uri))["token"] == "theirs"


def test_a_holder_whose_process_is_gone_is_replaced_at_once(emulator: GcsEmulator) -> None:
    uri = "gs://bucket/gone/retrain.lock"
    code = "import os, sys; from trainer.foundation.bucket_lock import bucket_lock\n"
    code += "with bucket_lock(sys.argv[1], 600.0): os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code, uri], cwd=REPOSITORY, check=False).returncode == -9
    left = json.loads(storage.read_text(uri))
    assert has_ended(left)
    with bucket_lock(uri, 60.0):
        assert json.loads(storage.read_text(uri))["pid"] == os.getpid()


def test_a_process_number_that_was_given_again_is_not_the_holder() -> None:
    own = describe_this_process()
    assert has_ended(own) is False
    assert has_ended({**own, "process": f"{os.getpid()} since 1"}) is True
    assert has_ended({**own, "processes": "of another container"}) is None
    assert has_ended(ELSEWHERE) is None


def test_what_is_no_lock_is_left_alone(emulator: GcsEmulator) -> None:
    uri = "gs://bucket/notes/retrain.lock"
    storage.write_text(uri, "notes of a person")
    with pytest.raises(ConfigurationError, match="is no lock of this program"), bucket_lock(uri, 60.0):
        pass
    assert storage.read_text(uri) == "notes of a person"


def test_a_lock_that_is_held_changes_again_and_again(emulator: GcsEmulator) -> None:
    uri = "gs://bucket/renewed/retrain.lock"
    with bucket_lock(uri, 6.0):
        first = storage.read_generation(uri)
        wait_for(lambda: storage.read_generation(uri).number != first.number)
        assert storage.read_generation(uri).content == first.content


def start_job(lock: BucketLock, tmp_path: Path, then: Callable[[], None]) -> None:
    """Runs a job that waits for its configuration, a pipe; `then` happens when it has opened it."""
    pipe = tmp_path / "retrain.yaml"
    os.mkfifo(pipe)

    def write() -> None:
        with pipe.open("w"):
            then()

    writing = threading.Thread(target=write, daemon=True)
    writing.start()
    Stages(str(pipe), lock).start("retrain", [])


def test_a_holder_that_finds_it_taken_stops_its_job_and_leaves_the_lock(emulator: GcsEmulator, tmp_path: Path) -> None:
    uri = "gs://bucket/taken/retrain.lock"
    ended = threading.Event()

    def taken() -> None:
        write_lock(uri, 60.0)
        ended.wait(120)

    # Renewed every 5 s, so that neither a busy machine nor the job's start makes it miss its time.
    with bucket_lock(uri, 30.0) as lock:
        with pytest.raises(LostError, match="another run has taken the lock over"):
            start_job(lock, tmp_path, taken)
        ended.set()
        with pytest.raises(LostError):
            lock.confirm()
    assert json.loads(storage.read_text(uri))["token"] == "theirs"


def test_a_holder_that_cannot_renew_it_gives_up_before_another_may_take_it(
    emulator: GcsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bucket_lock("gs://bucket/outage/retrain.lock", 15.0) as lock, monkeypatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{free_port()}")  # where nobody answers
        wait_for(lambda: lost(lock))
        with pytest.raises(UnrenewedError, match=r"could not be renewed for \d+ s.* gives no usable answer"):
            lock.confirm()


def lost(lock: BucketLock) -> bool:
    try:
        lock.assert_held()
    except StorageError:
        return True
    return False
