"""Timecode, CMX 3600 lists and CSV markers: against SMPTE's own counting, and read back with a grammar."""

from __future__ import annotations

import csv
import io
import re
from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from beam_pipelines.report.markers.editing_markers import CSV_COLUMNS, EDL_MAX_EVENTS, to_csv, to_edl
from beam_pipelines.report.markers.events import Event
from beam_pipelines.report.markers.timecode import STANDARD_RATES_HZ, FrameRate, nearest_rate

NTSC = Fraction(30000, 1001)
RATES = [FrameRate(rate) for rate in STANDARD_RATES_HZ] + [FrameRate(NTSC, drop=True), FrameRate(2 * NTSC, drop=True)]
EVENT_LINE = re.compile(
    r"(\d{3})  001      V     C        (\d\d:\d\d:\d\d[:;]\d\d) (\d\d:\d\d:\d\d[:;]\d\d) \2 \3", re.ASCII
)
COMMENT_LINE = re.compile(r" ([^|]+) \|C:ResolveColor(\w+) \|M:([^|]+) \|D:1")

events = st.builds(
    Event,
    time_s=st.integers(0, 3 * 3600),
    target=st.sampled_from(["valence", "arousal"]),
    kind=st.sampled_from(["peak", "low", "rise", "fall"]),
    value=st.floats(-1, 1),
    prominence=st.floats(0, 2),
)


@pytest.mark.parametrize(
    ("rate", "frame", "timecode"),
    [
        (FrameRate(Fraction(25)), 25 * 3600 + 13, "01:00:00:13"),
        (FrameRate(Fraction(24000, 1001)), 24 * 60, "00:01:00:00"),
        (FrameRate(NTSC), 1800, "00:01:00:00"),
        # SMPTE 12M: numbers 0 and 1 of each minute are left out, but not of each tenth minute.
        (FrameRate(NTSC, drop=True), 1799, "00:00:59;29"),
        (FrameRate(NTSC, drop=True), 1800, "00:01:00;02"),
        (FrameRate(NTSC, drop=True), 17981, "00:09:59;29"),
        (FrameRate(NTSC, drop=True), 17982, "00:10:00;00"),
        (FrameRate(NTSC, drop=True), 107892, "01:00:00;00"),
        (FrameRate(2 * NTSC, drop=True), 3600, "00:01:00;04"),
    ],
)
def test_timecode_is_smptes(rate: FrameRate, frame: int, timecode: str) -> None:
    assert rate.timecode(frame) == timecode
    assert rate.frame_of(timecode) == frame


@given(st.sampled_from(RATES), st.integers(0, 2_000_000))
def test_every_frame_has_its_own_timecode(rate: FrameRate, frame: int) -> None:
    frame %= 23 * 3600 * rate.nominal
    assert rate.frame_of(rate.timecode(frame)) == frame
    assert rate.timecode(frame) < rate.timecode(frame + 1)


@given(st.integers(0, 10 * 3600))
def test_drop_frame_stays_near_the_clock(time_s: int) -> None:
    rate = FrameRate(NTSC, drop=True)
    hours, minutes, seconds, frames = (int(part) for part in re.split("[:;]", rate.timecode(rate.frame_at(time_s))))
    assert abs(3600 * hours + 60 * minutes + seconds + frames / 30 - time_s) < 0.1


def test_rates_without_a_timeline_are_refused() -> None:
    with pytest.raises(ValueError, match="no timeline"):
        FrameRate(Fraction(17))
    with pytest.raises(ValueError, match="drop-frame"):
        FrameRate(Fraction(25), drop=True)


def test_a_films_rate_is_taken_to_the_nearest_timeline() -> None:
    assert nearest_rate(Fraction(2997, 100)) == FrameRate(NTSC, drop=True)
    assert nearest_rate(23.98).rate_hz == Fraction(24000, 1001)
    assert nearest_rate(None) == FrameRate(Fraction(25))


@given(st.text(max_size=100), st.lists(events, max_size=40), st.sampled_from(RATES))
def test_an_edl_is_read_back_whatever_the_film_is_called(title: str, found: list[Event], rate: FrameRate) -> None:
    text = to_edl(title, found, rate)
    assert text.isascii()
    lines = text.split("\r\n")
    assert "\n" not in text.replace("\r\n", "")
    assert lines[0].startswith("TITLE: ")
    assert len(lines[0]) <= 77
    assert lines[1] == ("FCM: DROP FRAME" if rate.drop else "FCM: NON-DROP FRAME")
    markers = [line for line in lines[3:] if line]
    frames = []
    for number, (event, comment) in enumerate(zip(markers[::2], markers[1::2], strict=True), start=1):
        parsed, said = EVENT_LINE.fullmatch(event), COMMENT_LINE.fullmatch(comment)
        assert parsed is not None, event
        assert said is not None, comment
        assert int(parsed[1]) == number
        frames.append(rate.frame_of(parsed[2]))
        assert rate.frame_of(parsed[3]) == frames[-1] + 1
    first = rate.frame_of("01:00:00:00")
    assert frames == sorted({first + rate.frame_at(event.time_s) for event in found})


def test_no_marker_has_a_negative_nought() -> None:
    text = to_edl("film", [Event(1, "valence", "low", -0.001, 0.2)], FrameRate(Fraction(25)))
    assert "valence +0.00, stands out by 0.20" in text


def test_of_too_many_markers_the_most_prominent_remain() -> None:
    many = [Event(n, "valence", "peak", 0.0, float(n % 7)) for n in range(2000)]
    numbers = EVENT_LINE.findall(to_edl("long", many, FrameRate(Fraction(25))))
    assert len(numbers) == EDL_MAX_EVENTS
    assert numbers[-1][0] == "999"


@given(st.lists(events, max_size=20), st.sampled_from(RATES))
def test_csv_markers_are_read_back(found: list[Event], rate: FrameRate) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(found, rate), newline="")))
    assert len(rows) == len(found)
    for row, event in zip(rows, found, strict=True):
        assert tuple(row) == CSV_COLUMNS
        assert row["Marker Name"] == f"{event.target} {event.kind}"
        assert rate.frame_of(row["In"]) == rate.frame_at(event.time_s)
        assert row["Marker Type"] == "Comment"
