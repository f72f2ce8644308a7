"""Why a curve peaks or turns: shares smoothed like the curve, sentences in the markers, and the page in a browser."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import numpy as np
import pytest

from beam_pipelines.commands.report import main
from beam_pipelines.contracts.curves.curves import AffectCurve, smoothed_curve
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.report.markers.editing_markers import describe, to_csv, to_edl
from beam_pipelines.report.markers.events import Event
from beam_pipelines.report.markers.reasons import because, smoothed_shares, with_reasons
from beam_pipelines.report.markers.timecode import nearest_rate
from beam_pipelines.report.markers.webvtt import metadata_vtt
from tests.support.browser_pages import open_film, wait_until
from tests.support.report_runs import write_scores
from tests.support.synthetic_clips import regular_times, write_clip

SECONDS = 40
PARTS = {"base": 0.05, "by_audio": 0.3, "by_image": -0.1, "by_my_network": 0.002, "by_picture_signals/warmth": 9.0}


def explained(film_id: str = "play", holes: bool = False) -> AffectCurve:
    """A wave that peaks at second 12, given by sound, a little less by the picture; smoothed."""
    wave = np.sin(2 * np.pi * (np.arange(SECONDS) - 4.5) / 30)
    flat = np.ones(SECONDS)
    shares = {f"arousal_{name}": size * (flat if name == "base" else wave) for name, size in PARTS.items()}
    raw = sum(values for name, values in shares.items() if "/" not in name)
    if holes:
        raw[7:9] = np.nan
        shares = {name: np.where(np.isnan(raw), np.nan, values) for name, values in shares.items()}
    return smoothed_curve(film_id, {"arousal": raw}, SmoothingConfig(cutoff_hz=0.1), (-1.0, 1.0), shares=shares)


@pytest.mark.parametrize("holes", [False, True])
def test_smoothed_shares_add_up_to_the_smoothed_curve(holes):
    curve = explained(holes=holes)
    assert np.isnan(curve.arousal_raw).any() == holes
    parts = smoothed_shares(curve, SmoothingConfig(cutoff_hz=0.1))["arousal"]
    assert list(parts) == ["base", "audio", "image", "my_network"], "columns of signals are no part of the sum"
    np.testing.assert_allclose(sum(parts.values()), curve.arousal, atol=5e-6)


def test_events_say_what_gives_a_peak_and_what_makes_a_turn():
    shares = smoothed_shares(explained(), SmoothingConfig(method="none"))
    peak = with_reasons(Event(12, "arousal", "peak", 0.25, 0.4), shares)
    assert because(peak) == "sound +0.30, picture -0.10, my network 0"
    assert describe(peak) == "arousal +0.25, stands out by 0.40 (sound +0.30, picture -0.10, my network 0)"
    rise = with_reasons(Event(4, "arousal", "rise", 0.0, 0.4), shares)
    gained = 0.3 * (np.sin(2 * np.pi * 3.5 / 30) - np.sin(-2 * np.pi * 4.5 / 30))
    assert because(rise).startswith(f"sound {gained:+.2f}, picture -0.")
    assert because(rise).endswith(" in 8 s")
    assert with_reasons(Event(4, "valence", "rise", 0.0, 0.4), shares).reasons == ()
    rate = nearest_rate(None)
    assert "(sound +0.30, picture -0.10, my network 0) |C:ResolveColorRed" in to_edl("film", [peak], rate)
    assert "(sound +0.30, picture -0.10, my network 0)" in to_csv([peak], rate)


def test_webvtt_metadata_hold_the_shares_as_json():
    curve = explained(holes=True)
    text = metadata_vtt("film", curve.smoothed, SECONDS, shares=smoothed_shares(curve, SmoothingConfig(cutoff_hz=0.1)))
    cues = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert len(cues) == SECONDS
    for cue in cues:
        assert list(cue["shares"]["arousal"]) == ["base", "audio", "image", "my_network"]
        assert sum(cue["shares"]["arousal"].values()) == pytest.approx(cue["arousal"], abs=3e-4)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two films with the same explained curve, one of which is at hand."""
    root = tmp_path_factory.mktemp("reasons")
    (root / "films").mkdir()
    write_clip(root / "films" / "play.mp4", regular_times(SECONDS * 10, 10), rate_hz=10)
    (root / "films.csv").write_text("film_id,path\nplay,films/play.mp4\n")
    write_scores(root, [explained(), explained("gone")], [])
    assert main(["--scores", str(root), "--manifest", str(root / "films.csv")]) == 0
    return root / "report"


def painted(page: Any) -> list[int]:
    """How many pixels of the band under arousal have the colour of each of its parts."""
    return page.evaluate(
        """() => {
             const canvas = document.getElementById("shares-arousal");
             const style = getComputedStyle(document.documentElement);
             const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
             return [0, 1, 2].map((number) => {
               const hex = style.getPropertyValue(`--share-${number}`).trim().slice(1);
               const colour = [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
               let found = 0;
               for (let at = 0; at < data.length; at += 4)
                 if (data[at + 3] === 255 && colour.every((value, place) => data[at + place] === value)) found++;
               return found;
             });
           }"""
    )


def test_the_page_stacks_the_shares_and_shows_a_moment(page: Any, report: Path):
    open_film(page, report, "play")
    sound, picture, _ = painted(page)
    assert sound > 2 * picture > 0, "0.3 and -0.1 of the same wave"
    assert "sound" in page.inner_text("#share-legend")
    assert "arousal +0.05" in page.inner_text("#share-legend")
    assert page.is_hidden("#moment")
    page.click("#events button >> nth=0")
    assert "sound +0." in page.inner_text("#moment-text")
    wait_until(page, "[...document.querySelectorAll('#moment-frames canvas')].every((c) => c.height === 120)")
    open_film(page, report, "gone")
    page.keyboard.press("n")
    wait_until(page, "document.getElementById('moment-note').textContent.includes('not at hand')")
    assert page.is_hidden("#moment-frames canvas >> nth=0")


class WithoutRanges(SimpleHTTPRequestHandler):
    """Answers every request with the whole file, as `python -m http.server` does, and as if no cache could hold it."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        with suppress(ConnectionError):  # the browser leaves off when it has seen enough
            super().do_GET()

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_server_that_can_only_play_from_the_start_gives_no_wrong_frames(browser: Any, report: Path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(WithoutRanges, directory=str(report.parent)))
    Thread(target=server.serve_forever, daemon=True).start()
    page = browser.new_page()
    try:
        page.goto(f"http://127.0.0.1:{server.server_port}/report/index.html#film=play")
        page.wait_for_selector("#chart-arousal canvas")
        wait_until(page, "document.querySelector('#film-body video').readyState > 0")
        before = sum("play.mp4" in path for path in WithoutRanges.asked)
        page.click("#events button >> nth=0")
        wait_until(page, "document.getElementById('moment-note').textContent !== ''")
        assert sum("play.mp4" in path for path in WithoutRanges.asked) == before + 1, "a video of its own, not earlier"
        assert page.eval_on_selector_all("#moment-frames canvas", "(all) => all.every((c) => c.height !== 120)")
    finally:
        page.close()
        server.shutdown()
        server.server_close()
