"""Failures of earlier runs: carried over, tried again, forced; and the dry run that says so beforehand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from beam_pipelines import extract
from beam_pipelines.contracts.runs import FAILED, TRIED_AGAIN, FilmOutcome, is_carried_over, read_failures
from tests.support.synthetic_clips import regular_times, write_clip

pytestmark = pytest.mark.usefixtures("networks_kept")

SETTINGS = ["--workers=1", "--set=modalities=[audio]", "--set=audio.weights=untrained", "--set=audio.batch_size=4"]
SETTINGS += ["--set=failure_threshold=1"]


@pytest.fixture
def films(tmp_path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    write_clip(folder / "good.mp4", regular_times(50, 25))
    (folder / "text.mp4").write_text("this is no film\n" * 100)
    return folder


def run(films: Path, output: Path, *arguments: str) -> dict:
    assert extract.main(["--films", str(films), "--output", str(output), *SETTINGS, *arguments]) in (0, 3)
    return json.loads((output / "run_manifest.json").read_text())


def carried(manifest: dict) -> tuple[int, int]:
    return manifest["films"]["failed"], manifest["failures_carried_over"]


def test_a_film_that_is_no_film_is_not_tried_again_until_something_changes(films, tmp_path):
    output, text = tmp_path / "out", films / "text.mp4"
    assert carried(run(films, output)) == (1, 0)
    before = (output / "failures.jsonl").read_bytes()
    assert carried(run(films, output)) == (1, 1)
    assert (output / "failures.jsonl").read_bytes() == before
    assert carried(run(films, output, "--retry-failed")) == (1, 0)
    assert carried(run(films, output)) == (1, 1)
    os.utime(text, (2_000_000_000, 2_000_000_000))
    assert carried(run(films, output)) == (1, 0)
    assert carried(run(films, output, "--set=limits.max_width_px=4096")) == (1, 0)
    write_clip(text, regular_times(25, 25))
    manifest = run(films, output, "--set=limits.max_width_px=4096")
    assert manifest["films"] == {"in": 2, "done": 1, "skipped": 1, "failed": 0}


def test_force_extracts_what_is_up_to_date(films, tmp_path):
    output = tmp_path / "out"
    run(films, output)
    record = output / "good.mp4.tfrecord"
    before, inode = record.read_bytes(), record.stat().st_ino
    assert run(films, output)["films"]["skipped"] == 1
    assert record.stat().st_ino == inode
    assert run(films, output, "--force")["films"]["done"] == 1
    assert record.stat().st_ino != inode
    assert record.read_bytes() == before


def test_a_dry_run_names_films_as_people_wrote_them(tmp_path, capsys):
    folder = tmp_path / "films" / "s [1]"
    folder.mkdir(parents=True)
    (folder / 'His "Girl" <i>.mp4').write_text("no film\n")
    extract.main(["--films", str(tmp_path / "films"), "--output", str(tmp_path / "out"), *SETTINGS, "--dry-run"])
    assert 's [1]/His "Girl" <i>.mp4' in capsys.readouterr().out


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(films, tmp_path, capsys):
    output = tmp_path / "out"
    command = ["--films", str(films), "--output", str(output), *SETTINGS]
    assert extract.main([*command, "--dry-run"]) == 3
    shown = capsys.readouterr().out
    assert not output.exists()
    assert "0:00:02" in shown
    assert "h264 128x64 25/s" in shown
    assert "extract audio" in shown
    assert "would fail (unreadable)" in shown
    assert "2 films: 1 to extract, 0 up to date, 1 that can't be" in shown
    assert "6 s to start a local job" in shown
    run(films, output)
    stamps = {path.name: path.stat().st_mtime_ns for path in output.iterdir()}
    capsys.readouterr()
    assert extract.main([*command, "--dry-run"]) == 3
    shown = capsys.readouterr().out
    assert "up to date" in shown
    assert "failed before (unreadable)" in shown
    assert {path.name: path.stat().st_mtime_ns for path in output.iterdir()} == stamps


@pytest.mark.parametrize("reason", sorted(TRIED_AGAIN))
def test_what_may_be_the_machines_fault_is_tried_again(reason):
    failure = FilmOutcome("f", "f.mp4", FAILED, "decode", reason, "…", source_size_bytes=3, source_modified_s=1.5)
    assert not is_carried_over(failure, 3, 1.5, "")
    assert not is_carried_over(FilmOutcome(**{**vars(failure), "attempt": "a"}), 3, 1.5, "a")
    own = FilmOutcome(**{**vars(failure), "attempt": "a", "reason": "no_frames"})
    assert is_carried_over(own, 3, 1.5, "a")
    assert not is_carried_over(own, 4, 1.5, "a")
    assert not is_carried_over(own, 3, 1.5, "b")


def test_rows_that_cannot_be_read_are_left_out(tmp_path):
    rows = ['{"film_id": "a", "source_uri": "a.mp4", "reason": "no_frames", "other": 1}', "{", "[]", "3", '{"x": 1}']
    (tmp_path / "failures.jsonl").write_text("\n".join(rows))
    assert list(read_failures(str(tmp_path))) == ["a"]
    assert read_failures(str(tmp_path / "absent")) == {}
