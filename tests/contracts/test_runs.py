"""The files in which a run says what became of its films."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_pipelines.contracts.runs import (
    FAILED,
    FAILURES,
    FilmOutcome,
    read_failures,
    summarise,
    write_failures_and_manifest,
)


def test_failures_are_read_as_they_were_written_whatever_their_text_holds(tmp_path: Path) -> None:
    failures = [
        FilmOutcome("first\u2028film", "first.mp4", FAILED, "probe", "unreadable", "a\nb\u2028c\x85d", attempt="a"),
        FilmOutcome("second", "second.mp4", FAILED, "read", "changed", "", source_size_bytes=3, source_modified_s=1.5),
    ]
    write_failures_and_manifest(str(tmp_path), failures, summarise(failures, 2, {}, 1.0))
    assert read_failures(str(tmp_path)) == {film.film_id: film for film in failures}


def test_lines_that_cannot_be_read_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FAILURES).write_text('{"film_id": "first", "source_uri": "first.mp4"}\n{"film_id": "sec\n\n[]\n')
    assert list(read_failures(str(tmp_path))) == ["first"]
    assert "2 of 3 lines can't be read" in caplog.text
