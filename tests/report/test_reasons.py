"""Why a curve peaks or turns: shares smoothed like the curve, sentences in the markers, and the page in a browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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


def test_the_page_stacks_the_shares_and_shows_a_moment(page: Any, tmp_path: Path):
    (tmp_path / "films").mkdir()
    write_clip(tmp_path / "films" / "play.mp4", regular_times(SECONDS * 10, 10), rate_hz=10)
    (tmp_path / "films.csv").write_text("film_id,path\nplay,films/play.mp4\n")
    write_scores(tmp_path, [explained(), explained("gone")], [])
    assert main(["--scores", str(tmp_path), "--manifest", str(tmp_path / "films.csv")]) == 0
    report = tmp_path / "report"
    open_film(page, report, "play")
    pixels = "new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)"
    paints = page.eval_on_selector("#shares-arousal", f"(c) => new Set({pixels}).size")
    assert paints >= 4, "three parts and what lies behind them"
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
