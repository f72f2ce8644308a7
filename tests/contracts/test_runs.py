"""The files in which a run says what became of its films."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_pipelines.contracts.film_warnings import film_warning
from beam_pipelines.contracts.runs import (
    DONE,
    FAILED,
    FAILURES,
    SKIPPED,
    WARNINGS,
    FilmOutcome,
    read_failures,
    read_warnings,
    summarise,
    write_outcomes,
)


def test_failures_are_read_as_they_were_written_whatever_their_text_holds(tmp_path: Path) -> None:
    failures = [
        FilmOutcome("first\u2028film", "first.mp4", FAILED, "probe", "unreadable", "a\nb\u2028c\x85d", attempt="a"),
        FilmOutcome("second", "second.mp4", FAILED, "read", "changed", "", source_size_bytes=3, source_modified_s=1.5),
    ]
    write_outcomes(str(tmp_path), failures, summarise(failures, 2, {}, 1.0))
    assert read_failures(str(tmp_path)) == {film.film_id: film for film in failures}


def test_lines_that_cannot_be_read_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FAILURES).write_text('{"film_id": "first", "source_uri": "first.mp4"}\n{"film_id": "sec\n\n[]\n')
    assert list(read_failures(str(tmp_path))) == ["first"]
    assert "2 of 3 lines can't be read" in caplog.text


def test_warnings_are_counted_by_film_and_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    truncated, damaged = film_warning("truncated", 17.25), film_warning("damaged", 3)
    outcomes = [
        FilmOutcome("second\u2028film", "b.mp4", SKIPPED, warnings=(truncated,)),
        FilmOutcome("first", "a.mp4", DONE, warnings=(truncated, damaged)),
        FilmOutcome("third", "c.mp4", DONE),
        FilmOutcome("fourth", "d.mp4", FAILED, "refuse", "truncated", "d.mp4: …"),
    ]
    manifest = summarise(outcomes, 4, {}, 1.0)
    assert (manifest["films_with_warnings"], manifest["warnings_by_code"]) == (2, {"damaged": 1, "truncated": 2})
    write_outcomes(str(tmp_path), outcomes, manifest)
    expected = [("first", truncated), ("first", damaged), ("second\u2028film", truncated)]
    assert read_warnings(str(tmp_path)) == expected
    assert list(read_failures(str(tmp_path))) == ["fourth"]
    with (tmp_path / WARNINGS).open("a", encoding="utf-8") as file:
        file.write('{"film_id')
    assert read_warnings(str(tmp_path)) == expected
    assert "1 of 4 lines can't be read" in caplog.text


def test_films_are_counted_by_what_decoded_them_if_a_gpu_was_asked_for() -> None:
    devices = ("gpu", "", "processor: codec vp9", "gpu")
    outcomes = [FilmOutcome(f"film{n}", "a.mp4", DONE, decoded_on=device) for n, device in enumerate(devices)]
    counted = summarise(outcomes, 4, {}, 1.0)["films_decoded_on"]
    assert counted == {"gpu": 2, "processor: codec vp9": 1}
    assert "films_decoded_on" not in summarise(outcomes[1:2], 1, {}, 1.0)
