"""The jobs of a round, as child processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from trainer.retraining.stages import RoundError, Stages


@pytest.fixture
def stages() -> Stages:
    return Stages("retrain.yaml", lambda: None)


def started_program(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Lets `script` stand for Python: what a job inherits is the same for any program."""
    program = folder / "program"
    program.write_text(f"#!{sys.executable}\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


def test_a_job_keeps_the_lock_that_a_scheduler_holds_for_the_round(stages, tmp_path, monkeypatch):
    reading, writing = os.pipe()
    try:
        os.set_inheritable(writing, True)  # as the descriptor that `flock` leaves open for what it starts
        started_program(monkeypatch, tmp_path, f"import os; os.write({writing}, b'inherited')")
        stages.start("prepare", [])
        assert os.read(reading, 100) == b"inherited"
    finally:
        os.close(reading)
        os.close(writing)


def test_the_exit_code_of_a_job_decides(stages, tmp_path, monkeypatch):
    started_program(monkeypatch, tmp_path, "raise SystemExit(3)")
    stages.start("extract", [], allowed=(0, 3))
    with pytest.raises(RoundError, match="'extract' ended with exit code 3"):
        stages.start("extract", [])
