"""The lock of a run: a file that ends with its process, or a lease in a bucket that a silent holder loses."""

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

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import EXIT_FAILED, EXIT_HELD, ConfigurationError, StorageError
from beam_pipelines.foundation.storage import object_storage
from tests.support.gcs_emulator import GcsEmulator, free_port
from tests.support.synthetic_films import REPOSITORY
from trainer.foundation.run_lock import HeldError, lease, only_run
from trainer.retraining.stages import RoundError, Stages

HOLDER = """
import sys, time
from trainer.foundation.run_lock import only_run
with only_run(sys.argv[1], 60.0):
    print("held", flush=True)
    time.sleep(600)
"""


def write_lease(uri: str, expiry_s: float) -> None:
    """The lease of a process on another machine."""
    storage.write_text(uri, json.dumps({"host": "another", "pid": 1, "expiry_s": expiry_s, "token": "theirs"}))


def wait_for(what: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 120
    while not what():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_in_a_folder_a_second_is_refused_and_afterwards_it_is_free(tmp_path: Path) -> None:
    with only_run(str(tmp_path), 60.0) as assert_held:
        assert_held()
        with pytest.raises(HeldError, match="held by another run") as found, only_run(str(tmp_path), 60.0):
            pass
        assert found.value.exit_code == EXIT_HELD
    with only_run(str(tmp_path), 60.0):
        pass


def test_in_a_folder_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(HeldError), only_run(str(tmp_path), 60.0):
            pass
        holder.send_signal(signal.SIGKILL)
    with only_run(str(tmp_path), 60.0):
        pass


def test_the_exit_code_of_a_job_ends_the_round() -> None:
    with pytest.raises(RoundError, match="'nonsense' ended with exit code 2") as found:
        Stages("absent.yaml", lambda: None).start("nonsense", [])
    assert found.value.exit_code == 2
    assert RoundError("any").exit_code == EXIT_FAILED


def test_no_job_starts_when_the_lock_is_lost(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def lost() -> None:
        raise HeldError("taken over")

    with pytest.raises(HeldError):
        Stages("absent.yaml", lost).start("nonsense", [])
    assert capfd.readouterr().err == ""


def test_in_a_bucket_a_second_is_refused_and_afterwards_it_is_free(emulator: GcsEmulator) -> None:
    uri = "gs://bucket/free/retrain.lock"
    with (
        only_run("gs://bucket/free", 6.0) as assert_held,
        pytest.raises(HeldError, match=f"held by host .*, pid {os.getpid()}"),
        lease(uri, 1.0),
    ):
        pass
    with lease(uri, 60.0) as assert_held:
        assert_held()


def test_a_silent_holder_is_replaced_after_its_own_expiry(emulator: GcsEmulator, capsys) -> None:
    uri = "gs://bucket/silent/retrain.lock"
    write_lease(uri, 0.5)
    began_s = time.monotonic()
    with lease(uri, 60.0):
        assert time.monotonic() - began_s >= 0.5
        assert json.loads(storage.read_text(uri))["pid"] == os.getpid()
    assert "held by host another, pid 1; taken over unless it is renewed within 0.5 s" in capsys.readouterr().err


def test_a_lease_that_is_held_changes_again_and_again(emulator: GcsEmulator) -> None:
    uri = "gs://bucket/renewed/retrain.lock"
    with lease(uri, 3.0) as assert_held:
        first = storage.read_generation(uri)
        wait_for(lambda: storage.read_generation(uri).number != first.number)
        assert storage.read_generation(uri).content == first.content
        assert_held()


def test_of_two_that_take_over_at_once_one_is_refused(emulator: GcsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "gs://bucket/race/retrain.lock"
    replace = object_storage.Generation.replace

    def after_another(generation: object_storage.Generation, content: bytes, *further: Any) -> Any:
        monkeypatch.setattr(object_storage.Generation, "replace", replace)
        write_lease(uri, 60.0)
        return replace(generation, content, *further)

    monkeypatch.setattr(object_storage.Generation, "replace", after_another)
    with pytest.raises(HeldError, match="another run was faster"), lease(uri, 60.0):
        pass
    assert json.loads(storage.read_text(uri))["token"] == "theirs"


def test_a_holder_that_was_replaced_learns_it_and_leaves_the_lease(emulator: GcsEmulator) -> None:
    uri = "gs://bucket/taken/retrain.lock"
    with lease(uri, 60.0) as assert_held:
        write_lease(uri, 60.0)
        for _ in range(2):
            with pytest.raises(HeldError, match="another run has taken this over"):
                assert_held()
    assert json.loads(storage.read_text(uri))["token"] == "theirs"


def test_a_holder_whose_bucket_does_not_answer_learns_it(
    emulator: GcsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lease("gs://bucket/outage/retrain.lock", 3.0) as assert_held, monkeypatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{free_port()}")  # where nobody answers
        with pytest.raises(StorageError):
            assert_held()


def test_what_is_no_lease_is_left_alone(emulator: GcsEmulator) -> None:
    uri = "gs://bucket/notes/retrain.lock"
    storage.write_text(uri, "notes of a person")
    with pytest.raises(ConfigurationError, match="is no lock of this program"), lease(uri, 60.0):
        pass
    assert storage.read_text(uri) == "notes of a person"


def test_no_thread_goes_on_renewing(emulator: GcsEmulator) -> None:
    with lease("gs://bucket/ended/retrain.lock", 60.0):
        assert "lease" in {thread.name for thread in threading.enumerate()}
    assert "lease" not in {thread.name for thread in threading.enumerate()}
