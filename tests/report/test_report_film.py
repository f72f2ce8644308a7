"""The view of one film in a real browser: video, curves and cursor, seeking, zooming."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import image

from beam_pipelines.commands.report import main
from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.report.markers.webvtt import mood
from tests.support.browser_pages import open_film, playhead_s, second, wait_until
from tests.support.report_runs import FILM_SECONDS, curve_of, film_data, write_scores
from tests.support.synthetic_clips import regular_times, write_clip


def test_charts_and_thumbnails_have_pixels(page: Any, report: Path) -> None:
    open_film(page, report, "play")
    wait_until(page, "document.getElementById('tracks').height > 40")
    for place in ("#chart-valence canvas", "#chart-arousal canvas", "#plane", "#tracks"):
        picture = image.imread(io.BytesIO(page.locator(place).screenshot()))
        assert len(np.unique(picture.reshape(-1, picture.shape[-1]), axis=0)) > 30, place
    assert "label" in page.inner_text("#legend")


def test_the_cursor_follows_the_video(page: Any, report: Path) -> None:
    open_film(page, report, "play")
    wait_until(page, "document.querySelector('video').readyState > 1")
    page.click("#play")
    wait_until(page, "document.querySelector('video').currentTime > 1.5")
    page.click("#play")
    wait_until(page, "document.querySelector('video').paused")
    page.wait_for_timeout(100)
    time_s = page.evaluate("document.querySelector('video').currentTime")
    assert time_s > 1.5
    assert second(page) == int(time_s)
    for chart in ("valence", "arousal"):
        assert abs(playhead_s(page, chart) - time_s) < 0.15
    # And it follows when the video is moved by its own controls.
    page.evaluate("document.querySelector('video').currentTime = 30.5")
    wait_until(page, "document.getElementById('timeline').getAttribute('aria-valuenow') === '30'")
    assert abs(playhead_s(page) - 30.5) < 0.15


def test_seeking_by_click_moves_the_video(page: Any, report: Path) -> None:
    open_film(page, report, "play")
    wait_until(page, "document.querySelector('video').readyState > 0")
    for chart, share in (("valence", 0.25), ("arousal", 0.75)):
        box = page.locator(f"#chart-{chart} .u-over").bounding_box()
        page.mouse.click(box["x"] + share * box["width"], box["y"] + 40)
        time_s = page.evaluate("document.querySelector('video').currentTime")
        assert abs(time_s - share * FILM_SECONDS) < 0.2
        assert abs(playhead_s(page) - time_s) < 0.15
    page.locator("#tracks").scroll_into_view_if_needed()
    box = page.locator("#tracks").bounding_box()
    page.mouse.click(box["x"] + box["width"] - 30, box["y"] + 20)
    assert second(page) >= 38


def test_seeking_by_key_and_by_event_moves_the_video(page: Any, report: Path) -> None:
    open_film(page, report, "play")
    wait_until(page, "document.querySelector('video').readyState > 0")
    for key, expected in (("ArrowRight", 1), ("ArrowRight", 2), ("Shift+ArrowRight", 12), ("ArrowLeft", 11)):
        page.keyboard.press(key)
        assert second(page) == expected
        assert page.evaluate("document.querySelector('video').currentTime") == expected
    # Also when the video itself has the focus, whose controls would seek by their own steps.
    page.focus("video")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.querySelector('video').currentTime") == 12
    page.focus("#timeline")
    page.keyboard.press("End")
    assert second(page) == FILM_SECONDS - 1
    page.keyboard.press("ArrowLeft")
    assert second(page) == FILM_SECONDS - 2
    assert page.get_attribute("video", "aria-label") == "The film play"
    assert page.is_visible(".plays")
    page.keyboard.press("Home")
    times = [
        int(time) for time in page.eval_on_selector_all("#events button", "(all) => all.map((b) => b.dataset.time)")
    ]
    page.keyboard.press("n")
    assert second(page) == next(time for time in times if time > 0)
    last = page.locator("#events button").last
    last.click()
    assert second(page) == times[-1]
    assert last.get_attribute("aria-current") == "true"
    page.keyboard.press("p")
    assert second(page) == max(time for time in times if time < times[-1])
    page.keyboard.press("Escape")
    page.wait_for_selector("#list .row")


def test_the_word_beside_the_numbers_is_that_of_the_second(page: Any, tmp_path: Path) -> None:
    # One chapter, joyful on the whole, that begins tense.
    valence, arousal = np.where(np.arange(40) < 10, -0.56, 0.6), np.full(40, 0.29)
    write_scores(tmp_path, [AffectCurve("one", valence, arousal, valence, arousal)], [])
    assert main(["--scores", str(tmp_path)]) == 0
    open_film(page, tmp_path / "report", "one")
    assert "joyful" in page.inner_text("#chapters")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#now-valence") == "−0.56"
    assert page.inner_text("#now-mood") == "tense"
    page.keyboard.press("Shift+ArrowRight")
    assert page.inner_text("#now-mood") == "joyful"
    places = [(v / 8, a / 8) for v in range(-8, 9) for a in range(-8, 9)]
    shown = page.evaluate("(all) => all.map(([v, a]) => CineAffect.mood(v, a, [-1, 1]))", places)
    assert shown == [mood(v, a) for v, a in places]  # the page and the tracks use one set of words
    shown = page.evaluate("(all) => all.map(([v, a]) => CineAffect.mood(v, a, [-1, 1], true))", places)
    assert shown == [mood(v, a, own_range=True) for v, a in places]
    assert page.evaluate("CineAffect.mood(undefined, 0.4, [-1, 1], true)") == mood(None, 0.4, own_range=True)


def test_zooming_by_dragging_and_back(page: Any, report: Path) -> None:
    open_film(page, report, "play")
    box = page.locator("#chart-valence .u-over").bounding_box()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 40, steps=4)
    page.mouse.up()
    page.wait_for_selector("#unzoom:not([hidden])")
    assert second(page) == 0  # a drag doesn't seek
    page.mouse.click(box["x"] + 1, box["y"] + 40)
    assert second(page) in (9, 10)
    page.click("#unzoom")
    assert abs(playhead_s(page) - 10) < 0.5


def test_a_film_that_was_moved_away_leaves_its_curves(browser: Any, tmp_path: Path) -> None:
    scores = tmp_path / "scores"
    scores.mkdir()
    write_clip(tmp_path / "gone.mp4", regular_times(100, 10), rate_hz=10)
    (tmp_path / "films.csv").write_text("film_id,path\ngone,gone.mp4\n")
    write_scores(scores, [curve_of("gone", 30, 1)], [])
    assert main(["--scores", str(scores), "--manifest", str(tmp_path / "films.csv")]) == 0
    (tmp_path / "gone.mp4").unlink()
    tab = browser.new_page()  # here the browser itself notes the absent file in the console
    open_film(tab, scores / "report", "gone")
    wait_until(tab, "document.getElementById('film-notes').textContent.includes('it was moved')")
    # The curves move up to where the video was, and fit there.
    wait_until(
        tab,
        """document.querySelector("#chart-valence .uplot").getBoundingClientRect().right
           <= document.getElementById("timeline").getBoundingClientRect().right""",
    )
    tab.keyboard.press("Shift+ArrowRight")
    assert second(tab) == 10
    assert not tab.is_visible(".plays")  # there is nothing that the key could play
    tab.close()


def coloured(page: Any, chart: str) -> int:
    """How many pixels of a chart aren't of its commonest colour, the panel's."""
    picture = image.imread(io.BytesIO(page.locator(f"#chart-{chart} canvas").screenshot()))
    pixels = (picture.reshape(-1, picture.shape[-1])[:, :3] * 255).round().astype(int)
    _, counts = np.unique(pixels, axis=0, return_counts=True)
    return int(counts.sum() - counts.max())


def test_an_ensemble_has_a_band_around_its_curve_and_a_single_model_none(page: Any, tmp_path: Path) -> None:
    shown = {}
    for name, spread in (("single", None), ("narrow", 0.05), ("wide", 0.2)):
        scores = tmp_path / name
        scores.mkdir()
        write_scores(scores, [curve_of("one", 60, 1, spread=spread)], [])
        assert main(["--scores", str(scores)]) == 0
        open_film(page, scores / "report", "one")
        shown[name] = coloured(page, "valence")
        assert ("spread of the ensemble" in page.inner_text("#legend")) == (spread is not None)
        written = film_data(scores / "report", "one").get("valence_spread")
        assert written == (None if spread is None else [round(10_000 * spread)] * 60)
    assert shown["narrow"] > 1.1 * shown["single"]
    assert shown["wide"] > 1.5 * shown["narrow"]


def test_a_calibrated_model_has_its_bands_instead_of_a_spread(page: Any, tmp_path: Path) -> None:
    shown = {}
    for name, half_widths in (("one", {80: 0.1}), ("both", {80: 0.1, 95: 0.3})):
        scores = tmp_path / name
        scores.mkdir()
        write_scores(scores, [curve_of("one", 60, 1, spread=0.5, half_widths=half_widths)], [])
        assert main(["--scores", str(scores)]) == 0
        open_film(page, scores / "report", "one")
        shown[name] = coloured(page, "valence")
        legend = page.inner_text("#legend")
        assert "80 % band" in legend
        assert ("95 % band" in legend) == (name == "both")
        assert "spread" not in legend
        written = film_data(scores / "report", "one")
        assert written["bands"]["arousal"] == [[level, half] for level, half in half_widths.items()]
        assert not any("low_80" in key for key in written)
    assert shown["both"] > 1.5 * shown["one"]


@pytest.mark.parametrize(("target", "other"), [("arousal", "valence"), ("valence", "arousal")])
def test_a_model_of_one_target_has_one_chart_and_no_plane(page: Any, tmp_path: Path, target: str, other: str) -> None:
    curves = [curve_of(name, 60, seed, targets=[target]) for seed, name in enumerate(["one", "two"])]
    write_scores(tmp_path, curves, [{"film_id": "lost", "source_uri": "", "step": "s", "reason": "r", "detail": "d"}])
    assert main(["--scores", str(tmp_path)]) == 0
    page.goto((tmp_path / "report" / "index.html").as_uri())
    wait_until(page, "document.querySelectorAll('.row').length === 3")
    assert page.inner_text("#about-model") == f"There is no {other}: the model predicts {target} only."
    assert other not in page.inner_text("#catalogue").lower()
    assert page.locator(".arc").count() == 0
    assert page.locator(".row .spark").first.bounding_box()["width"] > 150
    page.select_option("#sort", target)
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.click(".row a")
    page.wait_for_selector(f"#chart-{target} canvas")
    for place in (f"#chart-{other}", "#plane", "#event-choices"):
        assert not page.locator(place).is_visible()
    assert other not in page.inner_text("#film").lower()
    assert page.inner_text(f"#now-{target}") != ""
    page.keyboard.press("ArrowRight")
    assert second(page) == 1
    assert f"{target} " in page.get_attribute("#timeline", "aria-valuetext")
