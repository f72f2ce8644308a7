"""The page compares films as `cineaffect similar` does: like one film, like a drawn curve, on the map, by families."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_pipelines.commands.report import main as report_main
from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.report.arcs.arc_table import load_arcs, read_arcs, write_arcs
from beam_pipelines.report.arcs.arcs import resample
from beam_pipelines.report.arcs.distance import BYS
from beam_pipelines.report.arcs.families import find_families
from beam_pipelines.report.arcs.similar_films import similar_films
from beam_pipelines.report.arcs.story_shapes import STORY_SHAPES, story_arc
from beam_pipelines.report.scoring.scoring_run import read_scoring_run
from beam_pipelines.report.scoring.sheets import LEVELS, arc_letters
from tests.support.arc_films import film_of, write_films, write_run
from tests.support.browser_pages import open_film, shown_names, wait_until

FILMS = 15
ASKED_FOR = "Cinderella 2"
AGREEMENT = ((ASKED_FOR, 0.2, 0.2), ("man in a hole 1", 0.3, None), ("rags to riches 0", -0.1, -0.1))
"""Films and their correlation in valence and arousal."""


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of films of three known shapes with families, and its page."""
    directory = tmp_path_factory.mktemp("explore")
    write_films(directory, FILMS)
    (directory / "failures.jsonl").write_text(
        json.dumps({"film_id": "broken", "source_uri": "x", "step": "probe", "reason": "empty_file", "detail": "no"})
        + "\n"
    )
    films = [
        {"scope": "film", "predictor": "smoothed", "film_id": name, "target": target, "pcc": pcc}
        for name, *values in AGREEMENT
        for target, pcc in zip(("valence", "arousal"), values, strict=True)
    ]
    (directory / "evaluation.json").write_text(json.dumps({"rows": films}))
    run = read_scoring_run(str(directory))
    arcs = load_arcs(run)
    write_arcs(run, replace(arcs, family=find_families(arcs, 3).family))
    assert report_main(["--scores", str(directory)]) == 0
    return directory


def explore(page: Any, scores: Path) -> None:
    page.goto((scores / "report" / "index.html").as_uri())
    page.wait_for_selector("#list .row")
    page.click("#explore summary")
    page.wait_for_selector("#explore-body:not([hidden])")


def draw(page: Any, heights: list[float]) -> None:
    """Draws a curve with the mouse, from left to right; heights from -1 to 1."""
    box = page.locator("#pad").bounding_box()
    places = [
        (
            box["x"] + 11 + (box["width"] - 22) * n / (len(heights) - 1),
            box["y"] + box["height"] / 2 * (1 - 0.9 * height),
        )
        for n, height in enumerate(heights)
    ]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place)
    page.mouse.up()


def test_a_rows_letters_hold_its_arc_to_the_4095th_part_of_the_range() -> None:
    values = film_of(1, 7).valence
    assert values is not None
    letters = arc_letters(values, (-1.0, 1.0))
    places = [LEVELS.index(letters[n]) * 64 + LEVELS.index(letters[n + 1]) for n in range(0, 200, 2)]
    np.testing.assert_allclose(np.array(places) / 4095 * 2 - 1, resample(values), atol=1 / 4095)
    assert arc_letters(np.full(5, np.nan), (-1.0, 1.0)) == ""


def test_films_like_one_are_those_of_the_command(page: Any, scores: Path) -> None:
    arcs = read_arcs(read_scoring_run(str(scores)))
    assert arcs is not None
    place = arcs.film_ids.index(ASKED_FOR)
    open_film(page, scores / "report", ASKED_FOR)
    page.wait_for_selector("#like a")
    for by in BYS:
        page.select_option("#like-by", by)
        shown = page.evaluate(
            "[...document.querySelectorAll('#like a')].map((a) => [...a.children].map((n) => n.textContent))"
        )
        expected = similar_films(arcs.take([place]), arcs, by, 8, place)
        assert [name for name, _, _ in shown] == [arcs.film_ids[film.place] for film in expected]
        np.testing.assert_allclose(
            [float(far) for _, _, far in shown], [film.distance for film in expected], atol=0.006
        )
    page.click("#like a")
    page.wait_for_selector("#film-title")
    wait_until(page, f"document.getElementById('film-title').textContent === {json.dumps(shown[0][0])}")


def test_where_no_film_goes_that_way_the_nearest_are_called_so(page: Any, tmp_path: Path) -> None:
    up = np.linspace(-0.5, 0.5, 60)
    write_run(tmp_path, [AffectCurve(name, way, way, way, way) for name, way in (("up", up), ("down", -up))])
    assert report_main(["--scores", str(tmp_path)]) == 0
    open_film(page, tmp_path / "report", "up")
    page.wait_for_selector("#like a")
    assert "No other film goes quite this way" in page.inner_text("#like")
    # Their levels are equal.
    page.select_option("#like-by", "level")
    assert "No other film" not in page.inner_text("#like")
    assert page.inner_text("#like .title") == "down"


def test_a_drawn_curve_finds_the_films_that_go_that_way(page: Any, scores: Path) -> None:
    explore(page, scores)
    assert shown_names(page)[0] == "broken"
    draw(page, [math.cos(2 * math.pi * n / 20) for n in range(21)])
    wait_until(page, "document.getElementById('pad-said').textContent.startsWith('By valence: 15 films')")
    names = shown_names(page)
    assert {name.rsplit(" ", 1)[0] for name in names[:5]} == {"man in a hole"}
    assert page.evaluate("[...document.querySelectorAll('#pad-found .title')].map((n) => n.textContent)") == names[:4]
    # A curve of arousal besides: no film rises in valence as these do and falls in arousal.
    page.click("#pad-targets button:last-child")
    draw(page, [1 - n / 10 for n in range(21)])
    wait_until(page, "document.getElementById('pad-said').textContent.startsWith('By valence and arousal: 15')")
    assert "No film goes quite that way" in page.inner_text("#pad-said")
    page.click("#pad-clear")
    wait_until(page, "document.getElementById('count').textContent === '16 films'")
    assert shown_names(page)[0] == "broken"
    assert page.inner_text("#pad-said") == ""


def test_a_curve_is_drawn_with_keys_and_from_a_known_story(page: Any, scores: Path) -> None:
    explore(page, scores)
    assert page.evaluate("CineAffect.STORIES") == list(STORY_SHAPES)
    for name in STORY_SHAPES:
        values = page.evaluate(f"[...CineAffect.story({json.dumps(name)}, [-1, 1])]")
        np.testing.assert_allclose(values, story_arc(name).values[0, :, 0], atol=1e-6)
    page.select_option("#pad-preset", "rags to riches")
    wait_until(page, "document.querySelector('#pad-found .title').textContent.startsWith('rags to riches')")
    page.focus("#pad")
    page.keyboard.press("Delete")
    wait_until(page, "document.getElementById('count').textContent === '16 films'")
    # The same story can be chosen again, also for the other curve.
    for target in ("valence", "arousal"):
        page.click(f"#pad-targets button.{target}-text")
        assert page.input_value("#pad-preset") == ""
        page.select_option("#pad-preset", "rags to riches")
    wait_until(page, "document.getElementById('pad-said').textContent.includes('By valence and arousal')")
    page.click("#pad-clear")
    page.click("#pad-targets button.valence-text")
    page.focus("#pad")
    # Up at the beginning and down at the end: a fall, the opposite of the films that rise.
    for key, times in (("ArrowUp", 6), ("ArrowRight", 10), ("ArrowDown", 6)):
        for _ in range(times):
            page.keyboard.press(key)
    wait_until(
        page,
        "document.getElementById('pad-said').textContent.startsWith('valence at 100 % of the film: −0.60. By valence')",
    )
    assert not [name for name in shown_names(page)[:5] if name.startswith("rags to riches")]
    # Sorting by a column leaves the drawn curve.
    page.click("[data-sort=seconds]")
    assert page.inner_text("#count") == "16 films"


def test_families_filter_the_list_and_what_a_curve_finds(page: Any, scores: Path) -> None:
    explore(page, scores)
    options = page.evaluate("[...document.getElementById('family').options].map((o) => o.textContent)")
    assert options == ["all", "1 (5)", "2 (5)", "3 (5)"]
    page.select_option("#family", "2")
    names = shown_names(page)
    assert len({name.rsplit(" ", 1)[0] for name in names}) == 1
    page.select_option("#pad-preset", "Icarus")
    wait_until(page, "document.getElementById('pad-said').textContent.startsWith('By valence: 5 films')")
    assert sorted(shown_names(page)) == sorted(names)
    # What stands under the pad follows the filter.
    page.select_option("#family", "")
    wait_until(page, "document.getElementById('pad-said').textContent.startsWith('By valence: 15 films')")
    found = page.evaluate("[...document.querySelectorAll('#pad-found .title')].map((n) => n.textContent)")
    assert found == shown_names(page)[:4]


def test_a_film_without_a_correlation_of_one_target_is_sorted_by_the_other(page: Any, scores: Path) -> None:
    page.goto((scores / "report" / "index.html").as_uri())
    page.wait_for_selector("#list .row")
    page.select_option("#sort", "agreement")
    assert shown_names(page)[:3] == [name for name, *_ in sorted(AGREEMENT, key=lambda film: film[1])]


def test_the_map_opens_the_film_under_the_pointer_and_goes_by_keys(page: Any, scores: Path) -> None:
    explore(page, scores)
    arcs = read_arcs(read_scoring_run(str(scores)))
    assert arcs is not None
    outermost = int(arcs.mean[:, 0].argmax())
    box = page.locator("#map").bounding_box()
    inner = box["width"] - 44
    valence, arousal = (arcs.mean[outermost] + 1) / 2
    page.mouse.move(box["x"] + 22 + valence * inner, box["y"] + box["height"] - 22 - arousal * inner)
    name = arcs.film_ids[outermost]
    wait_until(page, f"document.getElementById('map-said').textContent.startsWith({json.dumps(name + ': valence')})")
    page.mouse.move(box["x"] + 3, box["y"] + 3)
    page.focus("#map")
    for _ in range(FILMS):
        page.keyboard.press("ArrowRight")
    rightmost = page.inner_text("#map-said").split(":")[0]
    # No film lies further to the right, except more to the side than ahead.
    place = arcs.film_ids.index(rightmost)
    ahead, beside = (arcs.mean - arcs.mean[place]).T
    assert not ((ahead > 1e-3) & (np.abs(beside) < ahead - 1e-3)).any()
    page.keyboard.press("Enter")
    wait_until(page, f"document.getElementById('film-title').textContent === {json.dumps(rightmost)}")


def test_a_finger_draws_too(browser: Any, scores: Path) -> None:
    context = browser.new_context(viewport={"width": 400, "height": 900}, has_touch=True, is_mobile=True)
    page = context.new_page()
    explore(page, scores)
    box = page.locator("#pad").bounding_box()
    session = context.new_cdp_session(page)
    for n in range(11):
        point = {"x": box["x"] + 11 + (box["width"] - 22) * n / 10, "y": box["y"] + box["height"] * (0.9 - 0.08 * n)}
        session.send("Input.dispatchTouchEvent", {"type": "touchMove" if n else "touchStart", "touchPoints": [point]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    wait_until(page, "document.getElementById('pad-said').textContent.startsWith('By valence: 15 films')")
    assert page.inner_text("#pad-found .title").startswith("rags to riches")
    # What is on a narrow screen doesn't make it scroll sideways.
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()


def test_of_one_target_there_is_no_map_and_one_curve_to_draw(page: Any, tmp_path: Path) -> None:
    curves = [film_of(seed % 3, seed) for seed in range(6)]
    write_run(tmp_path, [AffectCurve(c.film_id, arousal=c.valence, arousal_raw=c.valence) for c in curves])
    manifest = json.loads((tmp_path / "run_manifest.json").read_text())
    manifest["model"] |= {"targets": ["arousal"], "own_range": True}
    (tmp_path / "run_manifest.json").write_text(json.dumps(manifest))
    assert report_main(["--scores", str(tmp_path)]) == 0
    explore(page, tmp_path)
    assert page.is_hidden("#map")
    assert page.is_hidden("#pad-targets")
    # Levels of a model that gives every film its own range aren't compared, nor are their means shown.
    assert page.is_hidden("#pad-by")
    assert page.locator(".row .arousal-text, #list-head [data-sort=arousal]").count() == 7
    assert page.locator(".row .arousal-text:visible, #list-head [data-sort=arousal]:visible").count() == 0
    assert page.locator("#sort [value=arousal]").count() == 0
    assert "map" not in page.inner_text("#explore summary")
    draw(page, [n / 5 - 1 for n in range(11)])
    wait_until(page, "document.getElementById('pad-said').textContent.startsWith('By arousal: 6 films')")
    assert shown_names(page)[0].startswith("rags to riches")
    assert page.is_hidden("#family-choice")
