"""The report page in a real browser: Debian's Chromium, headless, driven by Playwright; opened from disk throughout."""

from __future__ import annotations

import functools
import http.server
import io
import json
import shutil
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from feature_records import make_film_record
from matplotlib import image
from synthetic_clips import regular_times, write_clip

from beam_pipelines.curve_table import part_uri, write_part
from beam_pipelines.curves import AffectCurve
from beam_pipelines.records import write_record
from beam_pipelines.report.command import SheetMaker, main
from beam_pipelines.report.page import PageWriter
from beam_pipelines.report.sheets import FailedFilm, FilmSheet, catalogue_row, film_key
from beam_pipelines.score_receipt import ScoreReceipt

ODD_NAME = '"><img src=x onerror="window.hacked=1"> O\'Neill & ${hacked} 映画 فيلم.mp4'
ODD_REASON = "</script><script>window.hacked=2</script><b>bold</b>"
FILM_SECONDS = 40
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium as the system has it; Playwright's own download is not used."""
    api = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("needs Chromium (apt-get install chromium)")
    with api.sync_playwright() as playwright:
        # Root in a container has no sandbox; films play without a click, as in a reader's own settings.
        arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        chromium = playwright.chromium.launch(executable_path=found, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A tab in which every word in the console, every error and every request over a network is a failure."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    words: list[str] = []
    tab.on("console", lambda message: words.append(message.text))
    tab.on("pageerror", lambda error: words.append(str(error)))
    tab.on("request", lambda request: request.url.startswith("http") and words.append(request.url))
    yield tab
    assert words == []
    context.close()


def curve_of(film_id: str, seconds: int, seed: int, lift: float = 0.0) -> AffectCurve:
    random, time_s = np.random.default_rng(seed), np.arange(seconds)
    pace, phase = random.uniform(8, 14, 2), random.uniform(0, 6, 2)
    smooth = [0.5 * np.sin(2 * np.pi * time_s / pace[n] + phase[n]) + lift for n in range(2)]
    return AffectCurve(film_id, *smooth, *(values + random.normal(0, 0.05, seconds) for values in smooth))


def write_scores(directory: Path, curves: list[AffectCurve], failures: list[dict[str, str]]) -> None:
    """A scoring run as contract 3 has it, written with the score job's own writers."""
    receipts = [
        ScoreReceipt(film_id=c.film_id, scorer="s", record="r", seconds=c.seconds, seconds_without_value=0)
        for c in curves
    ]
    by_id = {curve.film_id: curve for curve in curves}
    write_part(part_uri(str(directory), 0, 1), receipts, lambda receipt: by_id[receipt.film_id])
    manifest = {"job": "score", "model": {"version": "7"}, "smoothing": {"method": "none"}, "untrained": ["face"]}
    films = {"in": len(curves) + len(failures), "done": len(curves), "skipped": 0, "failed": len(failures)}
    (directory / "run_manifest.json").write_text(json.dumps({**manifest, "films": films}))
    (directory / "failures.jsonl").write_text("".join(json.dumps(row) + "\n" for row in failures))


def write_evaluation(directory: Path) -> None:
    """An evaluation as `cineaffect evaluate` leaves it beside the curves."""
    rows = [
        {"predictor": predictor, "target": target, "scope": scope, "film_id": film, "mse": 0.25, "pcc": pcc, "ccc": pcc}
        for predictor, pcc in (("constant mean", None), ("raw", 0.5), ("smoothed", 0.75))
        for target in ("valence", "arousal")
        for scope, film in (("pooled", ""), ("film", "play"))
    ]
    (directory / "evaluation.json").write_text(json.dumps({"rows": rows}))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small run: a film that plays and has labels, one of an odd name, ten more, one that failed."""
    root = tmp_path_factory.mktemp("run")
    (root / "films").mkdir()
    write_clip(root / "films" / "play.mp4", regular_times(FILM_SECONDS * 10, 10), rate_hz=10)
    labels = "".join(f"{second}\t{np.sin(second / 5):.4f}\t0.1\n" for second in range(FILM_SECONDS))
    (root / "labels.txt").write_text("Time\tValence\tArousal\n" + labels)
    (root / "films.csv").write_text(
        "film_id,path,split,labels\nplay,films/play.mp4,test,labels.txt\nlost,films/lost.mp4,test,\n"
    )
    curves = [curve_of("play", FILM_SECONDS, 1), curve_of(ODD_NAME, 30, 2)]
    curves += [curve_of(f"film {n}", 20 + n, n, lift=n / 30) for n in range(1, 11)]
    failure = {
        "film_id": "broken",
        "source_uri": "x.mp4",
        "step": "probe",
        "reason": "empty_file",
        "detail": ODD_REASON,
    }
    write_scores(root, curves, [failure])
    write_evaluation(root)
    write_record(make_film_record("play", FILM_SECONDS, seed=3), str(root / "records" / "play.tfrecord"))
    late = {**failure, "film_id": "play", "step": "extract", "reason": "earlier_run"}
    lost = {**failure, "film_id": "lost", "step": "extract", "reason": "truncated", "detail": "ends at 0:12"}
    (root / "records" / "failures.jsonl").write_text(json.dumps(late) + "\n" + json.dumps(lost) + "\n")
    arguments = ["--scores", str(root), "--manifest", str(root / "films.csv"), "--thumbnails"]
    assert main(arguments) == 0
    return root / "report"


def open_film(page: Any, report: Path, name: str) -> None:
    page.goto(f"{(report / 'index.html').as_uri()}#film={quote(name)}")
    page.wait_for_selector("#chart-arousal canvas")


def wait_until(page: Any, condition: str) -> None:
    """Waits until it holds. Playwright's own waiting evaluates strings, which the page's policy forbids."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came true: {condition}")


def shown_names(page: Any) -> list[str]:
    """Names of the rows in the list, from top to bottom."""
    return page.evaluate(
        """() => [...document.querySelectorAll("#list .row")]
             .sort((a, b) => a.ariaPosInSet - b.ariaPosInSet).map((row) => row.querySelector(".title").textContent)"""
    )


def second(page: Any) -> int:
    return int(page.get_attribute("#timeline", "aria-valuenow"))


def playhead_s(page: Any, chart: str = "valence") -> float:
    """Where the cursor of a chart stands, read from its place on the screen."""
    return page.evaluate(
        """([chart, duration]) => {
             const over = document.querySelector(`#chart-${chart} .u-over`).getBoundingClientRect();
             const line = document.querySelector(`#chart-${chart} .playhead`).getBoundingClientRect();
             return ((line.left + line.width / 2 - over.left) / over.width) * duration;
           }""",
        [chart, FILM_SECONDS],
    )


def test_catalogue_and_film_open_from_disk_without_a_word_in_the_console(page: Any, report: Path) -> None:
    page.goto((report / "index.html").as_uri())
    page.wait_for_selector("#list .row")
    assert page.inner_text("#count") == "14 films"
    assert "untrained" in page.inner_text("#untrained")
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
    assert cells[1] == ["constant mean", "pooled", "valence", "0.250", "–", "–"]
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


def film_data(report: Path, film_id: str) -> dict[str, Any]:
    text = (report / "data" / f"film-{film_key(film_id)}.js").read_text()
    return json.loads(text.split(",", 1)[1].removesuffix(");\n"))


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


def test_search_filter_and_sort(page: Any, report: Path) -> None:
    page.goto((report / "index.html").as_uri())
    page.wait_for_selector("#list .row")
    names = shown_names(page)
    assert names[-4:] == ["film 9", "film 10", "lost", "play"]  # numbers count as numbers
    page.fill("#search", "FILM 10")
    assert shown_names(page) == ["film 10"]
    page.fill("#search", "映画")
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
    means = {row["id"]: row["valence"][1] for row in rows_of(report) if "valence" in row}
    shown = [means[name] for name in shown_names(page)[:-2]]
    assert shown == sorted(means.values())
    page.click("#direction")
    assert [means[name] for name in shown_names(page)[:-2]] == shown[::-1]


def rows_of(report: Path) -> list[dict[str, Any]]:
    text = (report / "data" / "rows-000.js").read_text()
    return json.loads(text.split(",", 1)[1].removesuffix(");\n"))


def test_odd_names_are_shown_and_not_executed(page: Any, report: Path) -> None:
    page.goto((report / "index.html").as_uri())
    page.wait_for_selector("#list .row")
    assert ODD_NAME in shown_names(page)
    page.locator("#list a", has_text="O'Neill").click()
    page.wait_for_selector("#chart-arousal canvas")
    assert page.inner_text("#film-title") == ODD_NAME
    assert ODD_NAME in page.title()
    addresses = page.eval_on_selector_all("#downloads a", "(all) => all.map((a) => a.href)")
    for address in addresses:
        assert Path(page.evaluate("(a) => decodeURIComponent(new URL(a).pathname)", address)).is_file()
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
    failed = [FailedFilm(f"broken {n:02d}", "x", "probe", "empty_file", "no bytes") for n in range(100)]
    writer.finish({"job": "score"}, failed)
    return output


def test_five_thousand_films_open_and_stay_fluid(page: Any, large_report: Path) -> None:
    page.goto((large_report / "index.html").as_uri())
    page.wait_for_selector("#list .row")
    assert page.evaluate("performance.now()") < 2000
    assert page.inner_text("#count") == "5000 films"
    rows = "document.querySelectorAll('#list .row').length"
    assert page.evaluate(rows) < 40
    page.evaluate("document.getElementById('list').scrollTop = 1e9")
    wait_until(page, "[...document.querySelectorAll('#list .title')].some((n) => n.textContent === 'three hours')")
    assert page.evaluate(rows) < 40
    search_ms = page.evaluate(
        """() => ["film 04", "film 0499", "broken", ""].map((text) => {
             const field = document.getElementById("search"), start = performance.now();
             field.value = text;
             field.dispatchEvent(new Event("input"));
             return performance.now() - start;
           })"""
    )
    assert max(search_ms) < 400, search_ms
    page.fill("#search", "broken 07")
    assert shown_names(page) == ["broken 07"]
    sort_ms = page.evaluate(
        """() => { document.getElementById("search").value = "";
             const start = performance.now();
             document.querySelector("[data-sort=valence]").click();
             return performance.now() - start; }"""
    )
    assert sort_ms < 400


def test_a_film_of_three_hours_opens_and_stays_fluid(page: Any, large_report: Path) -> None:
    open_film(page, large_report, "three hours")
    assert page.evaluate("performance.now()") < 2000
    # A step of the cursor is what happens at every frame while a film plays.
    step_ms = page.evaluate(
        """() => { const start = performance.now();
             for (let n = 0; n < 50; n++)
               document.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", shiftKey: true }));
             return (performance.now() - start) / 50; }"""
    )
    assert second(page) == 500
    assert step_ms < 16, step_ms


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


def test_the_same_run_gives_the_same_bytes_and_what_is_gone_goes(tmp_path: Path) -> None:
    scores, page = tmp_path / "scores", tmp_path / "page"
    scores.mkdir()
    write_scores(scores, [curve_of("one", 30, 1), curve_of("two", 30, 2)], [])
    assert main(["--scores", str(scores), "--output", str(page)]) == 0
    first = {path.relative_to(page): path.read_bytes() for path in page.rglob("*") if path.is_file()}
    assert main(["--scores", str(scores), "--output", str(page)]) == 0
    assert {path.relative_to(page): path.read_bytes() for path in page.rglob("*") if path.is_file()} == first
    assert (page / "markers" / "two.edl").is_file()
    write_scores(scores, [curve_of("one", 30, 1)], [])
    (page / "markers" / "notes").mkdir()
    assert main(["--scores", str(scores), "--output", str(page)]) == 0
    left = {str(path.relative_to(page)) for path in page.rglob("*") if path.is_file()}
    assert not [name for name in left if "two" in name]
    assert "markers/one.edl" in left


def test_a_name_that_leads_out_of_the_folder_stays_in_it(tmp_path: Path) -> None:
    writer = PageWriter(str(tmp_path / "page"))
    sheet, rate = SheetMaker(str(tmp_path / "page")).make(curve_of("../../escaped", 30, 1))
    writer.add_film(sheet, rate)
    writer.finish({"job": "score"})
    assert [path.name for path in tmp_path.iterdir()] == ["page"]


def test_a_run_that_did_not_finish_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--scores", str(tmp_path)]) == 2
    assert "run_manifest.json" in capsys.readouterr().err
    (tmp_path / "run_manifest.json").write_text(json.dumps({"job": "extract"}))
    assert main(["--scores", str(tmp_path)]) == 2
    assert "extract" in capsys.readouterr().err


def test_what_is_missing_of_a_film_is_said_on_its_page(tmp_path: Path) -> None:
    scores = tmp_path / "scores"
    scores.mkdir()
    (tmp_path / "bad.mp4").write_text("not a film")
    (tmp_path / "bad.txt").write_text("Time\tValence\tArousal\n0\tone\ttwo\n")
    (tmp_path / "films.csv").write_text("film_id,path,labels\none,bad.mp4,bad.txt\n")
    write_scores(scores, [curve_of("one", 30, 1)], [])
    assert main(["--scores", str(scores), "--manifest", str(tmp_path / "films.csv"), "--thumbnails"]) == 0
    notes = film_data(scores / "report", "one")["notes"]
    assert len(notes) == 2
    assert "No thumbnails (unreadable)" in notes[0]
    assert "No labels (not_numbers)" in notes[1]


def test_markers_count_frames_of_the_films_own_rate_or_of_the_one_asked_for(tmp_path: Path) -> None:
    scores = tmp_path / "scores"
    scores.mkdir()
    write_clip(tmp_path / "ntsc.mp4", regular_times(30, Fraction(30000, 1001)), rate_hz=Fraction(30000, 1001))
    (tmp_path / "films.csv").write_text("film_id,path\none,ntsc.mp4\n")
    write_scores(scores, [curve_of("one", 30, 1)], [])
    arguments = ["--scores", str(scores), "--manifest", str(tmp_path / "films.csv")]
    assert main(arguments) == 0
    assert "FCM: DROP FRAME" in (scores / "report" / "markers" / "one.edl").read_text()
    assert main([*arguments, "--frame-rate", "23.976"]) == 0
    assert "FCM: NON-DROP FRAME" in (scores / "report" / "markers" / "one.edl").read_text()


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
    tab.close()


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
