"""Warnings on the page, in a real browser: the filter of the catalogue, the row, and the film's own sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from beam_pipelines.commands.report import main
from beam_pipelines.contracts.film_warnings import FilmWarning, film_warning
from tests.support.browser_pages import open_film, shown_names
from tests.support.report_runs import curve_of, write_scores

ODD = FilmWarning("of_a_newer_version", 2, 'title <b>"Ü"</b><script>window.hacked=1</script>')
WARNINGS = {
    "half": (film_warning("truncated", 17.25), film_warning("damaged", 3)),
    "still": (film_warning("frozen", 12), ODD),
}


@pytest.fixture(scope="module")
def warned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("warned")
    failure = {"film_id": "gone", "source_uri": "x", "step": "refuse", "reason": "truncated", "detail": "…"}
    write_scores(root, [curve_of(name, 30, 1) for name in ("good", "half", "still")], [failure], WARNINGS)
    assert main(["--scores", str(root)]) == 0
    return root / "report"


def test_the_catalogue_is_filtered_by_warnings(page: Any, warned: Path) -> None:
    page.goto((warned / "index.html").as_uri())
    page.wait_for_selector("#list .row")
    options = page.eval_on_selector_all("#warning option", "(all) => all.map((one) => one.textContent)")
    assert options == [
        "with or without",
        "any (2)",
        "damaged (1)",
        "frozen (1)",
        "of_a_newer_version (1)",
        "truncated (1)",
    ]
    assert "with warnings" in page.inner_text("#summary")
    for value, names in (("*", ["half", "still"]), ("truncated", ["half"]), ("", ["gone", "good", "half", "still"])):
        page.select_option("#warning", value)
        assert shown_names(page) == names
    page.select_option("#warning", "*")
    page.fill("#search", "frozen")
    assert shown_names(page) == ["still"]
    assert "frozen · of_a_newer_version" in page.inner_text("#list")
    page.fill("#search", "")
    page.select_option("#warning", "")
    page.click("[data-show=failed]")
    assert shown_names(page) == ["gone"]


def test_a_film_has_its_sentences_and_the_next_one_has_its_own(page: Any, warned: Path) -> None:
    open_film(page, warned, "half")
    sentences = [f"{warning.code}: {warning.sentence}" for warning in WARNINGS["half"]]
    assert page.inner_text("#film-warnings").split("\n") == sentences
    open_film(page, warned, "still")
    assert ODD.sentence in page.inner_text("#film-warnings")
    assert page.evaluate("window.hacked") is None
    open_film(page, warned, "good")
    assert not page.is_visible("#film-warnings")
    page.goto(f"{(warned / 'index.html').as_uri()}#film=half")
    page.wait_for_selector("#film-warnings li")
    page.goto(f"{(warned / 'index.html').as_uri()}#film=gone")
    page.wait_for_selector("#film-failure:not([hidden])")
    assert not page.is_visible("#film-warnings")


def test_a_page_without_warnings_offers_no_choice_of_them(page: Any, tmp_path: Path) -> None:
    write_scores(tmp_path, [curve_of("good", 30, 1)], [])
    assert main(["--scores", str(tmp_path)]) == 0
    page.goto((tmp_path / "report" / "index.html").as_uri())
    page.wait_for_selector("#list .row")
    assert not page.is_visible("#warning-choice")
    assert "warnings" not in page.inner_text("#summary")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_warnings_are_readable_without_scrolling_sideways(browser: Any, warned: Path, scheme: str) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True)
    tab = context.new_page()
    tab.goto((warned / "index.html").as_uri())
    tab.wait_for_selector("#list .row")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    inside = "(all) => all.every((one) => one.getBoundingClientRect().right <= 360)"
    assert tab.eval_on_selector_all("#list .warned", inside)
    whole = "(all) => all.every((one) => one.scrollWidth <= one.clientWidth)"
    assert tab.eval_on_selector_all("#list .title", whole)  # a name goes before its warnings
    open_film(tab, warned, "half")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    context.close()
