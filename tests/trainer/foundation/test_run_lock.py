"""The lock of a run: it ends with the last process that has it, and says who holds it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from beam_pipelines.foundation.errors import EXIT_FAILED
from tests.support.synthetic_films import REPOSITORY
from trainer.foundation.run_lock import HeldError, only_run
from trainer.retraining.stages import RoundError, Stages, ended_together

HOLDER = """
import subprocess, sys
from trainer.retraining.stages import ended_together
from trainer.foundation.run_lock import only_run
with only_run(sys.argv[1]) as lock, ended_together():
    command = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)"]
    subprocess.run(command, pass_fds=(lock.descriptor,))
"""


def start_holder(directory: Path) -> tuple[subprocess.Popen[str], int]:
    """A process that holds the lock and waits for a job of its own, and that job's id."""
    command = [sys.executable, "-c", HOLDER, str(directory)]
    holder = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    return holder, int(holder.stdout.readline())


def wait_until_free(directory: Path) -> None:
    deadline_s = time.monotonic() + 120
    while True:
        try:
            with only_run(str(directory)):
                return
        except HeldError:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)


def test_a_second_is_refused_and_afterwards_it_is_free(tmp_path: Path) -> None:
    with (
        only_run(str(tmp_path)),
        pytest.raises(HeldError, match=rf'"pid": {os.getpid()}.*}}$'),
        only_run(str(tmp_path)),
    ):
        pass
    with only_run(str(tmp_path)):
        pass


def test_the_job_of_a_killed_run_keeps_the_lock(tmp_path: Path) -> None:
    holder, job = start_holder(tmp_path)
    with pytest.raises(HeldError, match=f'"pid": {holder.pid}'), only_run(str(tmp_path)):
        pass
    holder.kill()
    holder.wait()
    with pytest.raises(HeldError, match="a job that it started is still at work"), only_run(str(tmp_path)):
        pass
    os.kill(job, signal.SIGKILL)
    wait_until_free(tmp_path)


def test_a_run_that_is_asked_to_end_takes_its_job_along(tmp_path: Path) -> None:
    holder, _ = start_holder(tmp_path)
    holder.terminate()
    assert holder.wait(120) == 128 + signal.SIGTERM
    wait_until_free(tmp_path)


def test_what_a_signal_does_is_as_before_when_the_block_has_ended() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with ended_together():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_exit_code_of_a_job_ends_the_round(tmp_path: Path) -> None:
    with only_run(str(tmp_path)) as lock:
        with pytest.raises(RoundError, match="'nonsense' ended with exit code 2") as found:
            Stages("absent.yaml", lock).start("nonsense", [])
        assert found.value.exit_code == 2
        assert RoundError("any").exit_code == EXIT_FAILED
