"""Commands whose output nobody reads any more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from beam_pipelines.foundation.command_line import guarded

REPOSITORY = Path(__file__).resolve().parents[2]


def test_a_command_that_nobody_reads_ends_without_a_word() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "beam_pipelines.cli", "help"]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_another_broken_pipe_is_an_error() -> None:
    def talks_to_a_process_that_is_gone(argv: list[str]) -> int:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        guarded(talks_to_a_process_that_is_gone, [])
