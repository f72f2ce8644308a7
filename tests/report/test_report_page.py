"""The report page in a real browser: catalogue, search, sorting, names, phones; opened from disk throughout."""

from __future__ import annotations

import dataclasses
import functools
import http.server
import json
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from beam_pipelines.commands.report import main
from beam_pipelines.contracts.runs import FAILED, FilmOutcome
from beam_pipelines.report.scoring.sheets import failed_row
from tests.support.browser_pages import open_film, shown_names, wait_until
from tests.support.feature_records import make_film_record
from tests.support.report_runs import FILM_SECONDS, ODD_NAME, ODD_REASON, curve_of, film_data, rows_of, write_scores


def test_catalogue_and_film_open_from_disk_without_a_word_in_the_console(page: Any, report: Path) -> None:
    page.goto((report / "index.html").as_uri())
    page.wait_for_selector("#list .row")
    assert page.inner_text("#count") == "14 films"
    assert "untrained" in page.inner_text("#untrained")
    assert page.evaluate("[5.5, 6, 3599.2].map(CineAffect.length)") == ["0:06", "0:06", "1:00:00"]
    page.click("text=play")
    page.wait_for_selector("#chart-arousal canvas")
    assert page.inner_text("#film-title") == "play"
    assert page.locator("#downloads a").count() == 4
    wait_until(page, "document.querySelector('video').readyState > 0")
    page.click("#back")
    page.wait_for_selector("#list .row")


def test_evaluation_tracks_and_films_lost_before_scoring_are_shown(page: Any, report: Path) -> None:
    page.goto((report / "index.html").as_uri())
    page.wait_for_selector("#list .row")
    page.click("#evaluation summary")
    cells = page.eval_on_selector_all("#evaluation-table tr", "(all) => all.map((row) => row.innerText.split('\\t'))")
    assert cells[1] == ["constant mean", "all seconds", "valence", "0.250", "–", "–"]
    assert len(cells) == 1 + 6
    page.click("[data-show=failed]")
    assert shown_names(page) == ["broken", "lost"]
    open_film(page, report, "play")
    assert "correlation with the labels +0.75 and +0.75" in page.inner_text("#film-facts")
    film = film_data(report, "play")
    record = make_film_record("play", FILM_SECONDS, seed=3)
    assert film["faces"] == "".join(str(int(n)) for n in record.tracks["face"].present.sum(axis=1))
    assert film["sound"] == "".join(str(int(n)) for n in record.tracks["audio"].present[:, 0])
    assert film["duration"] == round(record.header.duration_us / 1e6, 3)


def test_why_a_film_failed_is_a_sentence_without_its_address() -> None:
    outcome = FilmOutcome("a", "films/a.mp4", FAILED, "probe", "empty_file", "films/a.mp4: the file holds no bytes")
    assert failed_row(outcome)["failed"] == ["probe", "empty_file", "The file holds no bytes"]
    other = dataclasses.replace(outcome, detail="gs://b/a.mp4.tfrecord: no such feature record")
    assert failed_row(other)["failed"][2] == "gs://b/a.mp4.tfrecord: no such feature record"


def test_search_filter_and_sort(page: Any, report: Path) -> None:
    page.goto((report / "index.html").as_uri())
    page.wait_for_selector("#list .row")
    names = shown_names(page)
    assert names[-4:] == ["film 9", "film 10", "lost", "play"]  # numbers count as numbers
    page.fill("#search", "FILM 10")
    assert shown_names(page) == ["film 10"]
    page.fill("#search", "映画")
    assert shown_names(page) == [ODD_NAME]
    page.fill("#search", '"><img why?/')  # as people write it, not as its id has it
    assert shown_names(page) == [ODD_NAME]
    page.fill("#search", "nothing is called that")
    assert page.is_visible("#nothing")
    page.fill("#search", "empty_file")
    assert shown_names(page) == ["broken"]
    page.fill("#search", "")
    page.click("[data-show=failed]")
    assert shown_names(page) == ["broken", "lost"]
    assert "empty_file" in page.inner_text("#list")
    page.click("[data-show=all]")
    page.click("[data-sort=seconds]")
    assert shown_names(page)[:3] == ["play", ODD_NAME, "film 10"]
    assert shown_names(page)[-2:] == ["broken", "lost"]  # what has no value comes last
    page.click("[data-sort=seconds]")
    assert shown_names(page)[0] == "film 1"
    page.select_option("#sort", "valence")
    means = {row["name"]: row["valence"][1] for row in rows_of(report) if "valence" in row}
    shown = [means[name] for name in shown_names(page)[:-2]]
    assert shown == sorted(means.values())
    page.click("#direction")
    assert [means[name] for name in shown_names(page)[:-2]] == shown[::-1]


def test_odd_names_are_shown_and_not_executed(page: Any, report: Path) -> None:
    page.goto((report / "index.html").as_uri())
    page.wait_for_selector("#list .row")
    assert ODD_NAME in shown_names(page)
    page.locator("#list a", has_text="O'Neill").click()
    page.wait_for_selector("#chart-arousal canvas")
    assert page.inner_text("#film-title") == ODD_NAME
    assert ODD_NAME in page.title()
    addresses = page.eval_on_selector_all("#downloads a", "(all) => all.map((a) => a.href)")
    files = [Path(page.evaluate("(a) => decodeURIComponent(new URL(a).pathname)", address)) for address in addresses]
    assert [path.is_file() for path in files] == [True] * 4
    # In the markers it is called what it is called, within what each format can hold.
    (edl,) = [path for path in files if path.suffix == ".edl"]
    assert edl.read_text().startswith('TITLE: "><img src=x onerror="window.hacked=1"> O\'Neill & Why?/${hacked}')
    (chapters,) = [path for path in files if path.name.endswith(".chapters.vtt")]
    assert 'NOTE chapters of "&gt;&lt;img src=x' in chapters.read_text()
    page.goto(f"{(report / 'index.html').as_uri()}#film=broken")
    page.wait_for_selector("#film-failure:not([hidden])")
    assert ODD_REASON in page.inner_text("#film-failure")
    page.goto(f"{(report / 'index.html').as_uri()}#film={quote('<img src=x onerror=window.hacked=3>')}")
    page.wait_for_timeout(200)
    assert "no film of this name" in page.inner_text("#film-failure")
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img, main script").count() == 0


def test_the_page_would_not_execute_a_script_inside_of_it(browser: Any, report: Path) -> None:
    tab = browser.new_page()
    tab.goto((report / "index.html").as_uri())
    tab.wait_for_selector("#list .row")
    tab.evaluate(
        """() => { const script = document.createElement("script");
                   script.textContent = "window.hacked = 1"; document.body.append(script); }"""
    )
    assert tab.evaluate("window.hacked") is None
    tab.close()


def test_the_list_is_worked_by_keyboard(page: Any, report: Path) -> None:
    page.goto((report / "index.html").as_uri())
    page.wait_for_selector("#list .row")
    names = shown_names(page)
    page.focus("#list")
    for key in ("ArrowDown", "ArrowDown", "End", "ArrowUp"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.querySelector('.title').textContent") == names[-2]
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    wait_until(page, f"document.getElementById('film-title').textContent === {json.dumps(names[0])}")
    page.wait_for_selector("#chart-arousal canvas")
    page.keyboard.press("Escape")
    page.wait_for_selector("#list .row")
    wait_until(page, f"document.activeElement.querySelector('.title')?.textContent === {json.dumps(names[0])}")
    page.click("[data-sort=seconds]")
    assert page.get_attribute("[data-sort=seconds]", "aria-label") == "Length, sorted descending"
    assert page.get_attribute("[data-sort=id]", "aria-label") == "Film"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_everything_without_scrolling_sideways(browser: Any, report: Path, scheme: str) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True)
    tab = context.new_page()
    tab.goto((report / "index.html").as_uri())
    tab.wait_for_selector("#list .row")
    tab.click("#evaluation summary")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    open_film(tab, report, "play")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    box = tab.locator("#chart-valence .u-over").bounding_box()
    tab.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + 40)
    wait_until(tab, "document.getElementById('timeline').getAttribute('aria-valuenow') >= '19'")
    contrast = tab.evaluate(
        """() => { const light = (colour) => { const parts = colour.match(/[\\d.]+/g).slice(0, 3)
                     .map((part) => part / 255)
                     .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
                     return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] + 0.05; };
                   const page = light(getComputedStyle(document.body).backgroundColor);
                   return [...document.querySelectorAll(".valence-text, .arousal-text, .quiet")].map((node) => {
                     const word = light(getComputedStyle(node).color);
                     return Math.max(page, word) / Math.min(page, word); }); }"""
    )
    assert min(contrast) >= 4.5  # WCAG 2.1, level AA
    background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    lightness = np.mean([int(part) for part in background[4:-1].split(",")])
    assert (lightness > 128) == (scheme == "light")
    context.close()


def test_a_browser_reads_the_webvtt_tracks(browser: Any, report: Path) -> None:
    handler = functools.partial(QuietHandler, directory=str(report))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tab = browser.new_page()
        # The page's own policy forbids what this test does, so it stands on a listing of the folder beside it.
        tab.goto(f"http://127.0.0.1:{server.server_port}/markers/")
        counts = tab.evaluate(
            """async () => { const count = async (source) => {
                 const video = document.createElement("video"), track = document.createElement("track");
                 track.kind = "metadata"; track.src = source; track.default = true;
                 video.append(track); document.body.append(video);
                 track.track.mode = "hidden";
                 await new Promise((resolve, reject) => { track.onload = resolve; track.onerror = reject; });
                 return [...track.track.cues].map((cue) => [cue.startTime, cue.endTime, cue.text]); };
               return [await count("play.metadata.vtt"), await count("play.chapters.vtt")]; }"""
        )
        tab.close()
        server.shutdown()
    metadata, chapters = counts
    assert len(metadata) == FILM_SECONDS
    assert set(json.loads(metadata[7][2])) == {"valence", "arousal"}
    assert chapters[0][0] == 0
    assert chapters[-1][1] == FILM_SECONDS


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a line in the log for each request."""

    def log_message(self, format: str, *args: Any) -> None:
        return


def test_a_film_that_failed_since_keeps_its_curve_and_says_so(page: Any, tmp_path: Path) -> None:
    failure = {"film_id": "one", "source_uri": "x", "step": "probe", "reason": "truncated", "detail": "ends at 0:12"}
    write_scores(tmp_path, [curve_of("one", 30, 1), curve_of("two", 30, 2)], [failure])
    assert main(["--scores", str(tmp_path)]) == 0
    page.goto((tmp_path / "report" / "index.html").as_uri())
    page.wait_for_selector("#list .row")
    assert page.inner_text("#count") == "2 films"
    page.click("[data-show=failed]")
    assert shown_names(page) == ["one"]
    assert "failed in the last run" in page.inner_text("#list")
    open_film(page, tmp_path / "report", "one")
    assert "truncated: ends at 0:12" in page.inner_text("#film-notes")
