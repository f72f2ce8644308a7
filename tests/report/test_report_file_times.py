"""What leaves for players and editing programs is on the file's clock; curves count from the first picture."""

from __future__ import annotations

import csv
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from beam_pipelines.commands.report import main
from beam_pipelines.contracts.records import records
from beam_pipelines.media.probe import probe_film
from beam_pipelines.report.markers.editing_markers import to_csv, to_edl
from beam_pipelines.report.markers.events import Event
from beam_pipelines.report.markers.file_times import FileTimes
from beam_pipelines.report.markers.timecode import FrameRate, nearest_rate
from beam_pipelines.report.markers.webvtt import Chapter, chapters_vtt, metadata_vtt
from beam_pipelines.report.scoring.film_clock import clock_of_header, file_times
from beam_pipelines.report.scoring.thumbnails import make_sprite
from tests.report.test_report_thumbnails import pictures
from tests.support.browser_pages import open_film, wait_until
from tests.support.feature_records import make_film_record
from tests.support.report_runs import curve_of, film_data, write_scores
from tests.support.synthetic_clips import Picture, Sound, numbered_picture, read_number, regular_times, write_clip

PEAK = Event(20, "valence", "peak", 0.5, 0.4)
SOUND = Sound([(Fraction(0), np.zeros((1, 48_000 * 33), np.float32))], codec="aac")
THREE_S_LATE = FileTimes(Fraction(3))


@pytest.fixture(scope="module")
def late(tmp_path_factory) -> Path:
    """A film of 30 s whose pictures begin 3 s after its sound, as a cut without re-encoding leaves it."""
    path = tmp_path_factory.mktemp("late") / "late.mp4"
    return write_clip(path, regular_times(300, 10, start_s=Fraction(3)), rate_hz=10, sound=SOUND)


def test_second_20_of_the_curve_is_second_23_of_the_player() -> None:
    rate = FrameRate(Fraction(25))
    assert "01:00:23:00 01:00:23:01" in to_edl("film", [PEAK], rate, THREE_S_LATE)
    (row,) = csv.DictReader(to_csv([PEAK], rate, THREE_S_LATE).splitlines())
    assert row["In"] == "00:00:23:00"
    values = np.linspace(-1, 1, 30)
    assert "00:00:23.000 --> 00:00:24.000\n" in metadata_vtt(
        "film", {"valence": values, "arousal": values}, 30.0, THREE_S_LATE
    )
    assert "00:00:03.000 --> 00:00:33.000\n" in chapters_vtt("film", [Chapter(0, 30, "calm")], THREE_S_LATE)


def test_a_frame_is_found_though_its_time_is_rounded_to_microseconds() -> None:
    rate = FrameRate(Fraction(24_000, 1001))
    for number in range(2000):
        assert rate.frame_at(Fraction(round(number / rate.rate_hz * 1_000_000), 1_000_000)) == number


@pytest.mark.parametrize(
    ("own", "asked", "rate_hz", "first"),
    [
        ("", "", 25, "01:00:00:00"),
        ("10:00:00:12", "", 25, "10:00:00:12"),
        ("10:00:00:12", "02:00:00:00", 25, "02:00:00:00"),
        ("10:00:00;12", "", Fraction(30_000, 1001), "10:00:00;12"),
        ("10:00:00:12", "", Fraction(30_000, 1001), "10:00:00:12"),  # without drop-frame counting, as the track has it
        ("", "10:00:00:00", Fraction(30_000, 1001), "10:00:00;00"),
        ("10:00:00:25", "", 25, "01:00:00:00"),  # no frame of this rate
        ("10:00:00;12", "", 25, "01:00:00:00"),  # 25 frames a second have no drop-frame counting
    ],
)
def test_the_timecode_asked_for_or_the_films_own_sets_the_start(own, asked, rate_hz, first) -> None:
    clock = records.FileClock(timecode=own)
    times, rate, notes = file_times(clock, 0, nearest_rate(rate_hz), asked)
    events = [Event(0, "valence", "peak", 0.5, 0.4)]
    assert f" {first} " in to_edl("film", events, rate, times)
    assert bool(notes) == (first == "01:00:00:00" and bool(own))


def test_joined_clocks_are_said_in_the_files() -> None:
    clock = records.FileClock(1_416_000, "", ((5_000_000, -5_000_000),))
    times, rate, notes = file_times(clock, 1_480_000, FrameRate(Fraction(25)))
    assert times.offset_s == Fraction(64, 1000)
    for text in (
        *notes,
        to_edl("film", [PEAK], rate, times),
        chapters_vtt("film", [Chapter(0, 10, "calm")], times),
        metadata_vtt("film", {"arousal": [0.5]}, 1.0, times),
    ):
        assert "joined clock; from 5 s on" in text


def test_the_probe_and_the_header_know_when_the_pictures_begin(late: Path) -> None:
    probe = probe_film(late)
    assert (probe.first_pts_s, probe.file_clock) == (3, records.FileClock())
    assert clock_of_header(str(late)) == (records.FileClock(), 3_000_000)


def test_a_films_own_timecode_is_read(tmp_path: Path) -> None:
    path = tmp_path / "film.mov"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        video.metadata["timecode"] = "10:00:00:12"
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    assert probe_film(path).start_timecode == "10:00:00:12"


@pytest.mark.parametrize("with_record", [True, False])
def test_the_report_adds_what_the_pictures_are_late(late: Path, tmp_path: Path, with_record: bool) -> None:
    (tmp_path / "films.csv").write_text(f"film_id,path\nlate,{late}\n")
    write_scores(tmp_path, [curve_of("late", 30, 1)], [])
    if with_record:
        record = make_film_record("late", 30)
        clock = records.FileClock(0, "09:00:00:00")
        header = replace(record.header, start_us=3_000_000, file_clock=clock)
        records.write_record(records.make_record(header, record.tracks), str(tmp_path / "records" / "late.tfrecord"))
    arguments = ["--scores", str(tmp_path), "--manifest", str(tmp_path / "films.csv"), "--frame-rate", "25"]
    assert main(arguments) == 0
    data = film_data(tmp_path / "report", "late")
    assert data["offset"] == 3
    assert any("begin 3.00 s after the file" in note for note in data["notes"])
    seconds = [event[0] for event in data["events"]]
    assert seconds
    start = "09:00:00:00" if with_record else "01:00:00:00"
    rate = FrameRate(Fraction(25))
    edl = (tmp_path / "report" / "markers" / "late.edl").read_text()
    for second in seconds:
        assert f" {rate.timecode(rate.frame_of(start) + 25 * (second + 3))} " in edl
    assert main([*arguments, "--start-timecode", "10:00:00:00"]) == 0
    edl = (tmp_path / "report" / "markers" / "late.edl").read_text()
    assert f" {rate.timecode(rate.frame_of('10:00:00:00') + 25 * (seconds[0] + 3))} " in edl
    with pytest.raises(SystemExit):
        main([*arguments, "--start-timecode", "ten"])


def test_the_player_is_three_seconds_ahead_of_the_curve(page: Any, late: Path, tmp_path: Path) -> None:
    write_scores(tmp_path, [curve_of("late", 30, 1)], [])
    (tmp_path / "films.csv").write_text(f"film_id,path\nlate,{late}\n")
    assert main(["--scores", str(tmp_path), "--manifest", str(tmp_path / "films.csv")]) == 0
    open_film(page, tmp_path / "report", "late")
    wait_until(page, "document.querySelector('video').readyState > 0")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    assert page.evaluate("document.querySelector('video').currentTime") == 23
    assert page.inner_text("#clock") == "0:23 / 0:33"
    assert page.get_attribute("#timeline", "aria-valuenow") == "20"
    page.evaluate("document.querySelector('video').currentTime = 13.5")
    wait_until(page, "document.getElementById('timeline').getAttribute('aria-valuenow') === '10'")


def test_thumbnails_of_joined_recordings(tmp_path: Path) -> None:
    content = b""
    for first in (0, 25):
        times_s, images = regular_times(25, 5), [numbered_picture(first + n) for n in range(25)]
        picture = Picture(options={"preset": "ultrafast", "g": "10", "bf": "2"})
        part = write_clip(tmp_path / "part.ts", times_s, picture=picture, rate_hz=5, images=images)
        content += part.read_bytes()
    film = tmp_path / "film.ts"
    film.write_bytes(content)
    sprite = make_sprite(str(film), 10, joined=True)
    assert [read_number(image) for image in pictures(sprite)] == list(range(0, 50, 5))
