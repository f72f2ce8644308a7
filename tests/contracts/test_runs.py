"""The files in which a run says what became of its films."""

from __future__ import annotations

from pathlib import Path

from beam_pipelines.contracts.runs import FAILED, FilmOutcome, read_failures, summarise, write_failures_and_manifest


def test_failures_are_read_as_they_were_written_whatever_their_text_holds(tmp_path: Path) -> None:
    failures = [
        FilmOutcome("first\u2028film", "first.mp4", FAILED, "probe", "unreadable", "a\nb\u2028c\x85d", attempt="a"),
        FilmOutcome("second", "second.mp4", FAILED, "read", "changed", "", source_size_bytes=3, source_modified_s=1.5),
    ]
    write_failures_and_manifest(str(tmp_path), failures, summarise(failures, 2, {}, 1.0))
    assert read_failures(str(tmp_path)) == {film.film_id: film for film in failures}
