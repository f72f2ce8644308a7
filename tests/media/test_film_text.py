"""Films with subtitles: tracks of every form, files beside them, both clocks."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from beam_pipelines.contracts.film_warnings import warnings_of_quality
from beam_pipelines.media.clock.joined_clock import ClockJump
from beam_pipelines.media.probe import probe_film
from beam_pipelines.media.text import read_cues, subtitle_tracks
from beam_pipelines.media.text.film_text import FilmText, read_film_text
from beam_pipelines.media.text.subtitle_choice import sidecars
from beam_pipelines.media.text.wanted_subtitles import WantedSubtitles
from beam_pipelines.media.worker.decoding_process import DecodingProcess
from tests.support.subtitle_clips import SubtitleTrack, srt, write_subtitled

CUES = ((500, 1500, "<i>Hello</i> there"), (2000, 3000, "[door]\nGood bye"))
SPOKEN = [(500, 1500, "Hello there"), (2000, 3000, "Good bye")]


def spoken(text: FilmText) -> list[tuple[int, int, str]]:
    return [(cue.start_us // 1000, cue.end_us // 1000, cue.text) for cue in text.cues]


def codes(text: FilmText) -> list[str]:
    return [warning.code for warning in warnings_of_quality({"text": text.quality})]


def read(film: Path, **settings: Any) -> FilmText:
    return read_film_text(film, probe_film(film), WantedSubtitles(**settings))


def read_beside(film: Path, content: bytes, name: str = "film.srt", **settings: Any) -> FilmText:
    (film.parent / name).write_bytes(content)
    beside = sidecars(film.name, [name])
    return read_film_text(film, probe_film(film), WantedSubtitles(**settings), beside, film.parent / name)


@pytest.fixture
def film(tmp_path) -> Path:
    return write_subtitled(tmp_path / "film.mkv", 4, [])


@pytest.mark.parametrize(
    ("name", "codec", "form"),
    [
        ("film.mkv", "srt", "subrip"),
        ("film.mkv", "ass", "ass"),
        ("film.mkv", "webvtt", "webvtt"),
        ("film.mp4", "mov_text", "mov_text"),
        ("film.mp4", "wvtt", "wvtt"),
    ],
)
def test_text_tracks_are_read(tmp_path, name: str, codec: str, form: str):
    text = read(write_subtitled(tmp_path / name, 4, [SubtitleTrack(CUES, codec)]))
    assert spoken(text) == SPOKEN
    assert text.quality["taken"] == {"stream": 1, "form": form, "language": "eng"}
    assert text.is_there
    assert not codes(text)


def test_of_another_track_of_data_only_the_beginning_is_read(tmp_path, monkeypatch):
    # Samples as those of a timecode track are too short to be WebVTT's.
    track = SubtitleTrack([(0, 100, b"\x00\x00\x00\x01")], "mov_text")
    film = write_subtitled(tmp_path / "film.mp4", 40, [track])
    film.write_bytes(film.read_bytes().replace(b"tx3g", b"wvtt"))
    monkeypatch.setattr(subtitle_tracks, "_LOOKED_AT_PACKETS", 10)
    read_packets = []
    own = subtitle_tracks.packets
    monkeypatch.setattr(
        subtitle_tracks, "packets", lambda *given: (read_packets.append(packet) or packet for packet in own(*given))
    )
    assert not read(film).is_there
    assert len(read_packets) == 10


def test_pictures_of_text_are_named_and_not_read(tmp_path):
    film = write_subtitled(tmp_path / "film.mkv", 4, [SubtitleTrack([(500, 1500, b"\x00" * 20)], "dvd_subtitle")])
    text = read(film)
    assert not text.is_there
    (warning,) = warnings_of_quality({"text": text.quality})
    assert (warning.code, warning.number) == ("subtitles_not_taken", 1)
    assert "stream 1 (dvd_subtitle, eng, no text)" in warning.sentence


def test_a_film_without_subtitles_has_no_text_and_no_warning(film):
    text = read(film)
    assert (text.is_there, text.cues, codes(text)) == (False, (), [])


def test_subtitles_without_speech_in_the_film_are_absent(film):
    assert not read_beside(film, srt((1000, 2000, "[music]"), (90_000, 91_000, "Another film's")).encode()).is_there


def test_the_language_decides(tmp_path):
    german = SubtitleTrack([(0, 1000, "Guten Tag")], language="ger")
    film = write_subtitled(tmp_path / "film.mkv", 4, [german, SubtitleTrack(CUES), SubtitleTrack(CUES[:1])])
    assert spoken(read(film)) == SPOKEN
    assert codes(read(film)) == ["subtitles_chosen"]
    assert spoken(read(film, language="de")) == [(0, 1000, "Guten Tag")]
    assert codes(read(film, language="fr")) == ["subtitles_not_taken"]


def test_the_decoding_process_reads_the_same(tmp_path):
    film = write_subtitled(tmp_path / "film.mkv", 4, [SubtitleTrack(CUES)])
    (tmp_path / "film.en.srt").write_text(srt((1000, 2000, "Beside it")))
    beside, probe, config = sidecars(film.name, ["film.en.srt"]), probe_film(film), WantedSubtitles()
    with DecodingProcess() as decoder:
        assert decoder.text(film, probe, config) == read_film_text(film, probe, config)
        text = decoder.text(film, probe, config, beside, tmp_path / "film.en.srt")
    assert text == read_film_text(film, probe, config, beside, tmp_path / "film.en.srt")
    assert spoken(text) == [(1000, 2000, "Beside it")]
    assert text.quality["taken"]["sidecar"] == "film.en.srt"


def test_a_file_counts_from_the_files_start_and_a_track_by_its_timestamps(tmp_path):
    film = write_subtitled(tmp_path / "film.mkv", 4, [SubtitleTrack([(1000, 1500, "early"), *CUES[1:]])], begin_s=2)
    assert spoken(read(film)) == [(0, 1000, "Good bye")], "the cue of 2 s"
    assert codes(read(film)) == ["subtitles_left_out"]
    # The file's sound, say, begins a second before its pictures: players count from there.
    probe, name = replace(probe_film(film), file_start_s=Fraction(1)), "film.srt"
    (tmp_path / name).write_text(srt((2000, 2500, "late")))
    text = read_film_text(film, probe, WantedSubtitles(), sidecars(film.name, [name]), tmp_path / name)
    assert spoken(text) == [(1000, 1500, "late")]


def test_jumps_of_the_clock_are_closed(tmp_path):
    # The jump says that the last three of six seconds stand a second too late; the cue there is beside its pictures.
    cues = [(1000, 2000, "before"), (4200, 4800, "behind")]
    film = write_subtitled(tmp_path / "film.mkv", 6, [SubtitleTrack(cues)])
    jumped = replace(probe_film(film), jumps=(ClockJump(Fraction(2), Fraction(1), {0: 3}),))
    assert spoken(read_film_text(film, jumped, WantedSubtitles())) == [(1000, 2000, "before"), (3200, 3800, "behind")]


@pytest.mark.parametrize(("encoding", "expected"), [("utf-8", []), ("utf-16", []), ("cp1252", ["subtitles_encoding"])])
def test_encodings_of_a_file(film, encoding: str, expected: list[str]):
    text = read_beside(film, srt((1000, 2000, "Déjà vu")).encode(encoding))
    assert spoken(text) == [(1000, 2000, "Déjà vu")]
    assert codes(text) == expected
    assert len(text.quality["taken"]["sha256"]) == 64


def test_encodings_of_a_track(tmp_path):
    cues = [(500, 1500, "Déjà vu".encode("cp1252")), (2000, 3000, "да".encode("cp1251"))]
    film = write_subtitled(tmp_path / "film.mkv", 4, [SubtitleTrack(cues)])
    assert spoken(read(film))[0] == (500, 1500, "Déjà vu")
    assert codes(read(film)) == ["subtitles_encoding"]
    assert spoken(read(film, encoding="cp1251"))[1] == (2000, 3000, "да")
    assert not codes(read(film, encoding="cp1251"))


def test_what_cannot_be_read_is_said(film, monkeypatch):
    assert codes(read_beside(film, b"nothing")) == ["subtitles_not_read"]
    assert codes(read_beside(film, srt((1000, 500, "a"), (9000, 9500, "b")).encode())) == [
        "subtitles_mended",
        "subtitles_left_out",
    ]
    german = " ".join(["Ich weiß nicht, was du da redest, mein lieber Freund."] * 12)
    assert codes(read_beside(film, srt((1000, 2000, german)).encode())) == ["subtitles_language"]
    assert not codes(read_beside(film, srt((1000, 2000, german)).encode(), language="de"))
    monkeypatch.setattr("beam_pipelines.media.text.film_text.MOST_BYTES", 100)
    text = read_beside(film, srt((1000, 2000, "long " * 40)).encode())
    assert (codes(text), text.is_there) == (["subtitles_not_read"], False)


def test_a_track_is_limited(tmp_path, monkeypatch):
    film = write_subtitled(tmp_path / "film.mkv", 4, [SubtitleTrack(CUES)])
    monkeypatch.setattr(read_cues, "MOST_CUES", 1)
    assert codes(read(film)) == ["subtitles_not_read"]


def test_subtitles_of_a_part_of_the_film_are_a_warning(film):
    probe = replace(probe_film(film), duration_s=Fraction(3600), seconds=3600)
    (film.parent / "film.srt").write_text(srt((0, 1000, "a"), (1_700_000, 1_701_000, "b")))
    text = read_film_text(film, probe, WantedSubtitles(), sidecars(film.name, ["film.srt"]), film.parent / "film.srt")
    assert codes(text) == ["subtitles_span"]
