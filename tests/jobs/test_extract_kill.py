"""An extract job killed in the middle and started again: what was done stays as it is, nothing half-written is read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from beam_pipelines import extract
from beam_pipelines.contracts.records import records
from beam_pipelines.foundation import storage
from tests.support.synthetic_clips import regular_times, write_clip

pytestmark = pytest.mark.slow

# Nothing here depends on what is extracted, and processes that need no network start in a third of the time.
SETTINGS = ["--set=modalities=[picture_signals]"]
FILMS = 12


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for number in range(FILMS):
        write_clip(folder / f"film{number:02d}.mp4", regular_times(10 * (20 + number), 10))
    return folder


def arguments(films: Path, output: Path) -> list[str]:
    return ["--films", str(films), "--output", str(output), *SETTINGS, "--workers=2"]


def identities(output: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in output.glob("*.tfrecord")}


def test_a_killed_job_goes_on_where_it_was(films, tmp_path):
    output, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    command = [sys.executable, "-m", "beam_pipelines.extract", *arguments(films, output)]
    job = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline_s = time.monotonic() + 300
    while not identities(output) and job.poll() is None and time.monotonic() < deadline_s:
        time.sleep(0.02)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    done = identities(output)
    assert 1 <= len(done) < FILMS
    assert not (output / "run_manifest.json").exists()
    for uri in records.list_records(str(output)).values():
        records.read_record(uri)

    # What a process leaves that is killed while it writes.
    (output / f".{'a' * 32}{storage.TEMPORARY_SUFFIX}").write_bytes(b"half a rec")
    for left in output.glob(f".*{storage.TEMPORARY_SUFFIX}"):
        os.utime(left, (1, 1))
    assert extract.main(arguments(films, output)) == 0
    assert {name: identity for name, identity in identities(output).items() if name in done} == done
    assert [path.name for path in output.rglob(f"*{storage.TEMPORARY_SUFFIX}")] == []
    assert extract.main([*arguments(films, undisturbed), "--workers=1"]) == 0
    assert len(identities(undisturbed)) == FILMS
    for path in sorted(undisturbed.glob("*.tfrecord")):
        assert (output / path.name).read_bytes() == path.read_bytes(), path.name
