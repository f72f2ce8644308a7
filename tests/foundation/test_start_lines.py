"""TensorFlow's start lines are left out of a command's standard error, and nothing else, from whichever process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = r"""
import os, subprocess, sys
from beam_pipelines.foundation.logs.start_lines import without_start_lines

NATIVE = b'''WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795881302.797147   11291 port.cc:153] oneDNN custom operations are on.
E0000 00:00:1795881308.645498   11192 cuda_platform.cc:52] failed call to cuInit
E0000 00:00:1795881308.645498   11192 other.cc:52] out of memory
'''
with without_start_lines():
    os.write(2, NATIVE)
    subprocess.run([sys.executable, "-c", "import os; os.write(2, b'a child\\n'); os.abort()"])
    print(os.fsdecode(b"not UTF-8: \xff"), file=sys.stderr)
print("after", file=sys.stderr)
os.abort()
"""


def test_only_start_lines_are_left_out_and_a_crash_loses_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode < 0
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("Fatal", "Extension", "Current"))]
    lines.remove("not UTF-8: \\udcff")  # Python's own lines go straight on
    assert [line.split("] ")[-1] for line in lines] == ["out of memory", "a child", "after"]
