"""Highlights: which stretches, and that a table, an EDL and FFmpeg's list show the pictures that they promise."""

from __future__ import annotations

import contextlib
import csv
import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from beam_pipelines.commands.highlights import main
from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.contracts.records import records
from beam_pipelines.report.markers.cut_lists import to_concat, to_cut_list, to_table
from beam_pipelines.report.markers.events import Event
from beam_pipelines.report.markers.file_times import FileTimes
from beam_pipelines.report.markers.highlights import Highlight, choose_highlights
from beam_pipelines.report.markers.timecode import FrameRate
from tests.support.arc_films import write_run
from tests.support.feature_records import make_film_record
from tests.support.synthetic_clips import read_number, regular_times, write_clip

FILM_S, RATE_HZ = 60, 4


def event(time_s: int, prominence: float, kind: str = "peak") -> Event:
    return Event(time_s, "arousal", kind, 0.5, prominence)  # type: ignore[arg-type]


def bumps(film_id: str, places: dict[int, float], seconds: int = FILM_S) -> AffectCurve:
    """A flat curve of arousal with peaks of given heights at given seconds."""
    time_s, flat = np.arange(seconds), np.zeros(seconds)
    arousal = flat + sum(height * np.exp(-(((time_s - place) / 2.5) ** 2)) for place, height in places.items())
    return AffectCurve(film_id, flat, arousal, flat, arousal)


def test_the_strongest_stretches_that_do_not_overlap_in_the_order_of_time() -> None:
    found = choose_highlights([event(50, 0.9), event(46, 0.8), event(20, 0.5), event(90, 0.6)], 100, 30, 10)
    assert [(one.start_s, one.end_s) for one in found] == [(15, 25), (45, 55), (85, 95)]
    assert [one.event.prominence for one in found] == [0.5, 0.9, 0.6]


def test_a_stretch_stays_within_the_film_and_the_time_that_there_is() -> None:
    found = choose_highlights([event(1, 0.9), event(99, 0.8), event(50, 0.7)], 100, 25, 10)
    assert [(one.start_s, one.end_s) for one in found] == [(0, 10), (90, 100)]
    (short,) = choose_highlights([event(3, 0.9)], 6, 60, 10)
    assert (short.start_s, short.end_s) == (0, 6)
    (brief,) = choose_highlights([event(30, 0.9)], 100, 4, 10)
    assert brief.seconds == 4


def test_a_turn_counts_half_its_step_beside_the_peak_that_it_leads_to() -> None:
    found = choose_highlights([event(20, 0.9, "rise"), event(50, 0.5), event(80, 1.2, "fall")], 100, 20, 10)
    assert [(one.event.kind, one.strength) for one in found] == [("peak", 0.5), ("fall", 0.6)]


def test_of_equally_strong_events_the_earlier_counts_and_lows_only_when_asked_for() -> None:
    events = [event(70, 0.5), event(20, 0.5), event(45, 0.9, "low")]
    assert [one.event.time_s for one in choose_highlights(events, 100, 10, 10)] == [20]
    assert [one.event.time_s for one in choose_highlights(events, 100, 10, 10, ("low",))] == [45]


def test_lists_count_by_the_files_clock() -> None:
    """In and out of source and record, written out by hand: 25 frames a second, pictures 2.4 s late."""
    found = [Highlight(10, 20, event(15, 0.4)), Highlight(50, 55, event(52, 0.25, "rise"))]
    rate, times = FrameRate(Fraction(25)), FileTimes(Fraction(12, 5), "10:00:00:00")
    cut = to_cut_list("Höhepunkt", "film.mp4", found, rate, times).split("\r\n")
    assert cut[0] == "TITLE: Hohepunkt"
    assert [line for line in cut if re.match(r"\d{3} ", line)] == [
        "001  AX       AA/V  C        10:00:12:10 10:00:22:10 01:00:00:00 01:00:10:00",
        "002  AX       AA/V  C        10:00:52:10 10:00:57:10 01:00:10:00 01:00:15:00",
    ]
    assert cut.count("* FROM CLIP NAME: film.mp4") == 2
    rows = list(csv.DictReader(to_table(found, rate, times).splitlines()))
    assert rows[1] == {
        "start_s": "50",
        "end_s": "55",
        "in": "10:00:52:10",
        "out": "10:00:57:10",
        "target": "arousal",
        "kind": "rise",
        "time_s": "52",
        "value": "0.5000",
        "strength": "0.1250",
    }


def test_a_file_name_that_ffmpegs_list_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="line break"):
        to_concat("a\nfile b", [Highlight(0, 1, event(0, 1))], Fraction(0))


def shown_by_ffmpeg(concat: Path) -> list[int]:
    """The numbers of the pictures of a list, read with the demuxer, the option and the filter of the help's command."""
    shown = []
    with av.open(str(concat), format="concat", options={"safe": "0", "segment_time_metadata": "1"}) as container:
        video = container.streams.video[0]
        graph = av.filter.Graph()
        source = graph.add_buffer(template=video)
        chosen, sink = graph.add("select", "concatdec_select"), graph.add("buffersink")
        source.link_to(chosen)
        chosen.link_to(sink)
        graph.configure()
        for frame in container.decode(video):
            source.push(frame)
            with contextlib.suppress(av.error.BlockingIOError):
                while True:
                    shown.append(read_number(sink.pull().to_ndarray(format="rgb24")))
    return shown


@pytest.mark.parametrize(
    ("name", "begins_s"), [("plain.mp4", 0), ("it's a 'film'.mkv", 0), ("cut from a broadcast.mkv", 7)]
)
def test_ffmpeg_reads_the_list_and_shows_the_stretches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, begins_s: int
) -> None:
    """Whatever the file is called and wherever its timestamps begin; key frames are three seconds apart."""
    (tmp_path / "films").mkdir()
    film = write_clip(
        tmp_path / "films" / name, regular_times(FILM_S * RATE_HZ, RATE_HZ, Fraction(begins_s)), rate_hz=RATE_HZ
    )
    film_id = name.rsplit(".", 1)[0]
    write_run(tmp_path, [bumps(film_id, {12: 0.5, 40: 0.8})])
    (tmp_path / "films.csv").write_text(f'film_id,path\n{film_id},"films/{name}"\n')
    arguments = ["--scores", str(tmp_path), "--film", film_id, "--seconds", "12", "--each", "6", "--kinds", "peak"]
    assert main([*arguments, "--manifest", str(tmp_path / "films.csv")]) == 0
    assert film.is_file()
    assert "may begin" not in capsys.readouterr().out
    stretches = [*range(9 * RATE_HZ, 15 * RATE_HZ), *range(37 * RATE_HZ, 43 * RATE_HZ)]
    assert shown_by_ffmpeg(tmp_path / "highlights" / f"{film_id}.ffconcat") == stretches


def test_of_a_transport_stream_it_says_that_ffmpeg_begins_late(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has no index: libavformat 62 begins a stretch at the key frame after, two seconds late."""
    write_clip(tmp_path / "film.ts", regular_times(FILM_S * RATE_HZ, RATE_HZ, Fraction(7)), rate_hz=RATE_HZ)
    write_run(tmp_path, [bumps("film", {12: 0.5})])
    (tmp_path / "films.csv").write_text("film_id,path\nfilm,film.ts\n")
    assert main(["--scores", str(tmp_path), "--film", "film", "--manifest", str(tmp_path / "films.csv")]) == 0
    assert "first copy it" in capsys.readouterr().out
    text = (tmp_path / "highlights" / "film.ffconcat").read_text()
    assert "inpoint 14.000000\noutpoint 24.000000" in text  # the peak at 12 s, from 7 to 17 s, 7 s later


def test_the_command_tells_what_it_found_and_what_it_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, [bumps("one", {12: 0.5, 40: 0.8}), bumps("flat", {})])
    assert main(["--scores", str(tmp_path), "--film", "one", "--seconds", "20", "--kinds", "peak"]) == 0
    out = capsys.readouterr().out
    assert "one: 2 stretches, 20 s" in out
    assert "0:35  0:45  arousal peak  0:40" in out
    assert "no list for FFmpeg: the film isn't at hand; --manifest or --records says where it is" in out
    assert sorted(path.name for path in (tmp_path / "highlights").iterdir()) == ["one.csv", "one.edl"]
    first = (tmp_path / "highlights" / "one.edl").read_bytes()
    assert main(["--scores", str(tmp_path), "--film", "one", "--seconds", "20", "--kinds", "peak"]) == 0
    assert (tmp_path / "highlights" / "one.edl").read_bytes() == first
    assert main(["--scores", str(tmp_path), "--film", "one", "--seconds", "40", "--kinds", "peak"]) == 0
    assert "one: 2 stretches, 20 s of 40 s, since no other peak or turn has room" in capsys.readouterr().out
    assert main(["--scores", str(tmp_path), "--film", "flat"]) == 2
    assert "flat: no peak or rise or fall stands out of its curves" in capsys.readouterr().err
    assert main(["--scores", str(tmp_path), "--film", "ones"]) == 2
    assert "--film: these scores have no film 'ones'; did you mean 'one'?" in capsys.readouterr().err


def test_a_record_tells_where_the_film_is_and_a_clock_that_jumps_has_no_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = write_clip(tmp_path / "film.mp4", regular_times(FILM_S * 2, 2), rate_hz=2)
    write_run(tmp_path, [bumps("film", {30: 0.5})])
    record = make_film_record("film", FILM_S, seed=1)
    object.__setattr__(record.header, "source_uri", str(film))
    for jumps, listed in (((), True), (((20_000_000, 5_000_000),), False)):
        object.__setattr__(record.header, "file_clock", records.FileClock(jumps_us=jumps))
        records.write_record(record, str(tmp_path / "records" / "film.tfrecord"))
        assert main(["--scores", str(tmp_path), "--film", "film"]) == 0
        assert ("timestamps jump" in capsys.readouterr().out) != listed
        # No list of an earlier run stays beside the new table.
        assert (tmp_path / "highlights" / "film.ffconcat").is_file() == listed
