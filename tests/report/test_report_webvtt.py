"""WebVTT tracks: read back by the rules of the format, for any film name and any curve."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import numpy as np
from hypothesis import given, strategies as st

from beam_pipelines.report.markers.events import Event, find_events
from beam_pipelines.report.markers.webvtt import MOST_CHAPTERS, chapters, chapters_vtt, metadata_vtt, mood, timestamp

TIMING = re.compile(r"(\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3}) --> (\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3})", re.ASCII)
values = st.lists(st.floats(-1, 1) | st.just(float("nan")), min_size=1, max_size=80)


def cues(document: str) -> list[tuple[float, float, str]]:
    """The cues of a WebVTT document: blocks after the header and its notes, of one timing line and one line of text."""
    blocks = document.rstrip("\n").split("\n\n")
    assert blocks[0] == "WEBVTT"
    found = []
    for block in blocks[1:]:
        if block.startswith("NOTE "):
            assert "-->" not in block
            assert "\n" not in block
            continue
        timing, text = block.split("\n")
        parsed = TIMING.fullmatch(timing)
        assert parsed is not None, timing
        numbers = [int(number) for number in parsed.groups()]
        times = [h * 3600 + m * 60 + s + ms / 1000 for h, m, s, ms in (numbers[:4], numbers[4:])]
        assert "-->" not in text
        found.append((times[0], times[1], text))
    return found


def test_timestamps_carry() -> None:
    assert timestamp(0) == "00:00:00.000"
    assert timestamp(59.9996) == "00:01:00.000"
    assert timestamp(400_000.25) == "111:06:40.250"


@given(st.text(max_size=60), values, st.floats(0.001, 1))
def test_metadata_has_one_cue_a_second(film: str, valence: list[float], last: float) -> None:
    duration_s = len(valence) - 1 + last
    arousal = [-value for value in valence]
    read = cues(metadata_vtt(film, {"valence": valence, "arousal": arousal}, duration_s))
    assert [start for start, _, _ in read] == list(range(len(valence)))
    assert abs(read[-1][1] - duration_s) <= 0.0005 + 1e-9
    for (_, _, text), value in zip(read, valence, strict=True):
        shown = json.loads(text)
        assert shown["valence"] == (None if np.isnan(value) else round(value, 4))


@given(st.text(max_size=60), st.lists(st.floats(-1, 1), min_size=1, max_size=400), st.floats(0.01, 1))
def test_chapters_cover_the_film_without_gap(film: str, curve: list[float], last: float) -> None:
    duration_s = len(curve) - 1 + last
    parts = chapters({"valence": curve, "arousal": curve}, find_events(curve, "valence"), duration_s)
    assert parts[0].start_s == 0
    assert parts[-1].end_s == duration_s
    assert all(earlier.end_s == later.start_s for earlier, later in pairwise(parts))
    assert len(parts) == 1 or min(part.end_s - part.start_s for part in parts) >= 20
    assert len(cues(chapters_vtt(film, parts))) == len(parts)


def test_chapters_are_named_by_their_place_on_the_plane_and_are_few() -> None:
    valence = np.where(np.arange(600) < 300, 0.5, -0.5)
    turn = Event(300, "valence", "fall", 0.0, 1.0)
    names = [part.name for part in chapters({"valence": valence, "arousal": np.full(600, 0.4)}, [turn], 600.0)]
    assert names == ["joyful (valence +0.50, arousal +0.40)", "tense (valence −0.50, arousal +0.40)"]
    turns = [Event(second, "valence", "fall", 0.0, 1.0) for second in range(30, 10_800, 30)]
    assert len(chapters({"valence": np.zeros(10_800), "arousal": np.zeros(10_800)}, turns, 10_800.0)) == MOST_CHAPTERS


def test_what_is_near_the_middle_is_neutral_and_no_nought_is_negative() -> None:
    assert mood(-0.001, -0.07) == "neutral"
    (part,) = chapters({"valence": np.full(30, -0.001), "arousal": np.full(30, -0.07)}, [], 30.0)
    assert part.name == "neutral (valence +0.00, arousal −0.07)"
    words = [[mood(valence, arousal) for valence in (-0.5, 0, 0.5)] for arousal in (0.5, 0, -0.5)]
    assert words == [["tense", "excited", "joyful"], ["unpleasant", "neutral", "pleasant"], ["sad", "calm", "serene"]]
    assert mood(3.0, 1.2, (1, 5)) == "calm"  # of labels from 1 to 5 the middle is 3


def test_a_film_without_valence_is_calm_neutral_or_excited_and_nothing_is_said_of_valence() -> None:
    words = [mood(None, arousal) for arousal in (-0.5, 0, 0.5)]
    assert words == ["calm", "neutral", "excited"]
    (part,) = chapters({"arousal": np.full(30, 0.4)}, [], 30.0)
    assert part.name == "excited (arousal +0.40)"
    ((_, _, text),) = cues(metadata_vtt("film", {"arousal": [0.25]}, 1.0))
    assert json.loads(text) == {"arousal": 0.25}


def test_where_each_film_has_a_range_of_its_own_no_level_has_a_mood() -> None:
    words = [mood(None, arousal, own_range=True) for arousal in (-0.5, 0.05, 0.5)]
    assert words == ["below the film's mean", "near the film's mean", "above the film's mean"]
    assert mood(0.5, -0.5, own_range=True) == "valence above, arousal below the film's mean"
    (part,) = chapters({"arousal": np.full(30, 0.4)}, [], 30.0, own_range=True)
    assert part.name == "above the film's mean (arousal +0.40)"


def test_a_name_can_not_end_the_header() -> None:
    document = metadata_vtt("a\n\n00:00.000 --> 00:09.000\nfalse & <b>", {"valence": [0.1], "arousal": [0.2]}, 1.0)
    assert len(cues(document)) == 1
    assert "&lt;b&gt;" in document
