"""What a measured command spent: its own and its orphans' time, and nobody else's."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.cpu_time import run_measured

BUSY = "import time; end = time.process_time() + {s}\nwhile time.process_time() < end: pass"
LEAVES_AN_ORPHAN = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-S", "-c", {BUSY.format(s=0.4)!r}])
"""


def test_the_time_of_an_orphan_counts_and_another_child_of_the_caller_is_not_waited_for() -> None:
    with subprocess.Popen(["sleep", "600"]) as other:
        try:
            spent = run_measured([sys.executable, "-S", "-c", LEAVES_AN_ORPHAN])
            assert other.poll() is None
        finally:
            other.kill()
    assert 0.4 <= spent.cpu_s < 5


def test_a_command_that_fails_is_an_error() -> None:
    with pytest.raises(subprocess.CalledProcessError, match="exit status 3"):
        run_measured([sys.executable, "-S", "-c", "raise SystemExit(3)"])
