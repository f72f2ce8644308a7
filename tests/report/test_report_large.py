"""The page of 5,000 films and of a film of three hours in a real browser; how fast: benchmarks/report_page.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from beam_pipelines.contracts.runs import FAILED, FilmOutcome
from beam_pipelines.report.arcs.arcs import arcs_of
from beam_pipelines.report.arcs.distance import BYS
from beam_pipelines.report.arcs.similar_films import similar_films
from beam_pipelines.report.arcs.story_shapes import story_arc
from beam_pipelines.report.scoring.page import PageWriter
from beam_pipelines.report.scoring.sheet_maker import SheetMaker
from beam_pipelines.report.scoring.sheets import FilmSheet, catalogue_row
from tests.support.browser_pages import open_film, second, shown_names, wait_until
from tests.support.report_runs import curve_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def large_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """5,000 films, one of them of three hours, and a hundred that failed."""
    output = tmp_path_factory.mktemp("large")
    writer = PageWriter(str(output))
    sheet, rate = SheetMaker(str(output)).make(curve_of("three hours", 3 * 3600, 1))
    writer.add_film(sheet, rate)
    for n in range(4899):
        short = FilmSheet(curve_of(f"film {n:04d}", 100, n), 100.0, (), ())
        writer.add_row(catalogue_row(short, (-1.0, 1.0)))
    failed = [FilmOutcome(f"broken {n:02d}", "x", FAILED, "probe", "empty_file", "no bytes") for n in range(100)]
    writer.finish({"job": "score"}, failed)
    return output


def test_of_five_thousand_films_only_the_rows_in_sight_are_made(page: Any, large_report: Path) -> None:
    page.goto((large_report / "index.html").as_uri())
    page.wait_for_selector("#list .row")
    assert page.inner_text("#count") == "5000 films"
    rows = "document.querySelectorAll('#list .row').length"
    assert page.evaluate(rows) < 40
    page.evaluate("document.getElementById('list').scrollTop = 1e9")
    wait_until(page, "[...document.querySelectorAll('#list .title')].some((n) => n.textContent === 'three hours')")
    assert page.evaluate(rows) < 40
    page.fill("#search", "broken 07")
    assert shown_names(page) == ["broken 07"]
    page.fill("#search", "")
    page.click("[data-sort=seconds]")
    assert shown_names(page)[0] == "three hours"


def test_in_a_film_of_three_hours_the_cursor_moves_without_drawing(page: Any, large_report: Path) -> None:
    open_film(page, large_report, "three hours")
    # Nothing is drawn anew for a step of the cursor, which is what happens at every frame while a film plays.
    page.evaluate(
        """() => { window.drawn = 0;
             const clear = CanvasRenderingContext2D.prototype.clearRect;
             CanvasRenderingContext2D.prototype.clearRect = function (...area) {
               if (this.canvas.closest("#chart-valence, #chart-arousal")) window.drawn++;
               return clear.apply(this, area); }; }"""
    )
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    assert second(page) == 30
    assert page.evaluate("window.drawn") == 0
    assert page.evaluate("document.querySelectorAll('#events button').length") > 5


def test_of_five_thousand_films_those_like_one_are_the_commands(page: Any, tmp_path: Path) -> None:
    """Most films are left out by a bound before they are warped; the rest must be the same all the same."""
    writer = PageWriter(str(tmp_path))
    curves = [curve_of(f"film {n:04d}", 60 + n % 90, n, lift=n % 7 / 20) for n in range(5000)]
    for curve in curves:
        writer.add_row(catalogue_row(FilmSheet(curve, 100.0, (), ()), (-1.0, 1.0)))
    writer.finish({"job": "score"})
    page.goto((tmp_path / "index.html").as_uri())
    page.wait_for_selector("#list .row")
    page.click("#explore summary")
    page.wait_for_selector("#explore-body:not([hidden])")
    arcs = arcs_of(curves, (-1.0, 1.0))
    asked = story_arc("man in a hole")
    page.select_option("#pad-preset", "man in a hole")
    for by in BYS:
        page.select_option("#pad-by", by)
        expected = [film.distance for film in similar_films(asked, arcs.of(["valence"]), by, 4)]
        shown = "[...document.querySelectorAll('#pad-found .number')].map((n) => Number(n.textContent))"
        wait_until(page, f"{shown}.every((far, n) => Math.abs(far - {expected}[n]) < 0.006)")
        assert len(page.evaluate(shown)) == 4
