"""The files in which a run says what became of its films."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
)
from beam_pipelines.contracts.summed_outcomes import sum_up, summarise, write_report


def write(folder: Path, outcomes: Sequence[FilmOutcome], at_a_time: int = 1000) -> dict[str, Any]:
    """Writes a run's report, so many outcomes summed up at a time; its manifest."""
    sums = math.ceil(len(outcomes) / at_a_time)
    parts = [sum_up(outcomes[number::sums]) for number in range(sums)]
    manifest = summarise(parts, len(outcomes), {"job": "test"}, 1.0)
    write_report(str(folder), parts, manifest)
    return manifest


def test_failures_are_read_as_they_were_written_whatever_their_text_holds(tmp_path: Path) -> None:
    failures = [
        FilmOutcome("first\u2028film", "first.mp4", FAILED, "probe", "unreadable", "a\nb\u2028c\x85d", attempt="a"),
        FilmOutcome("second", "second.mp4", FAILED, "read", "changed", "", source_size_bytes=3, source_modified_s=1.5),
    ]
    write(tmp_path, failures)
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
    manifest = write(tmp_path, outcomes)
    assert (manifest["films_with_warnings"], manifest["warnings_by_code"]) == (2, {"damaged": 1, "truncated": 2})
    expected = [("first", truncated), ("first", damaged), ("second\u2028film", truncated)]
    assert list(read_warnings(str(tmp_path))) == expected
    assert list(read_failures(str(tmp_path))) == ["fourth"]
    with (tmp_path / WARNINGS).open("a", encoding="utf-8") as file:
        file.write('{"film_id')
    assert list(read_warnings(str(tmp_path))) == expected
    assert "1 of 4 lines can't be read" in caplog.text


def test_films_are_counted_by_what_decoded_them_if_a_gpu_was_asked_for() -> None:
    devices = ("gpu", "", "processor: codec vp9", "gpu")
    outcomes = [FilmOutcome(f"film{n}", "a.mp4", DONE, decoded_on=device) for n, device in enumerate(devices)]
    counted = summarise([sum_up(outcomes)], 4, {}, 1.0)["films_decoded_on"]
    assert counted == {"gpu": 2, "processor: codec vp9": 1}
    assert "films_decoded_on" not in summarise([sum_up(outcomes[1:2])], 1, {}, 1.0)


def test_the_report_is_the_same_however_its_outcomes_are_divided(tmp_path: Path) -> None:
    warning = film_warning("truncated", 2.5)
    names = [f"{number * 7919 % 1000:03d} \u2028é" for number in range(100)]
    outcomes = [
        FilmOutcome(name, f"{name}\udcff.mp4", FAILED, "probe", "damaged", f"why\n{name}", attempt="a")
        if place % 3 == 0
        else FilmOutcome(name, name, DONE, film_s=place / 7, warnings=(warning,) * (place % 2), unlike_percent=place)
        for place, name in enumerate(names)
    ]
    whole = write(tmp_path / "whole", outcomes)
    assert write(tmp_path / "divided", outcomes[::-1], at_a_time=7) == whole
    files = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "divided").iterdir()} == files
    assert sorted(files) == [FAILURES, "run_manifest.json", WARNINGS]
    assert list(read_failures(str(tmp_path / "divided"))) == sorted(names[::3])
    assert whole["unlike_training"] == {
        "mean_percent": 49.5,
        "films": {"0-5 %": 3, "5-10 %": 3, "10-20 %": 7, "20-50 %": 20, "50-100 %": 33},
    }
    assert whole["film_hours"]["done"] == round(sum(place / 7 for place in range(100) if place % 3) / 3600, 6)


@pytest.mark.parametrize(("outcomes", "says"), [("ab", "3 films in, but 2"), ("aba", r"\(repeated: \['a'\]\)")])
def test_lost_and_repeated_outcomes_are_no_report(outcomes: str, says: str) -> None:
    with pytest.raises(RuntimeError, match=says):
        summarise([sum_up(FilmOutcome(film_id, "", DONE) for film_id in outcomes)], 3, {}, 1.0)
