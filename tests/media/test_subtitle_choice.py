"""Which subtitles of a film are read."""

from __future__ import annotations

import pytest

from beam_pipelines.media.languages import one_form
from beam_pipelines.media.text.subtitle_choice import Subtitles, choose_subtitles, purpose_in, sidecars
from beam_pipelines.media.text.wanted_subtitles import WantedSubtitles


def taken(*found: Subtitles, language: str = "en") -> int | str | None:
    choice = choose_subtitles(found, language)
    return choice.taken.where if choice.taken else None


def test_files_beside_the_film_are_known_by_their_names():
    names = [
        "film.srt",
        "film.en.srt",
        "film.eng.forced.srt",
        "film.en-US.sdh.vtt",
        "film.German.ASS",
        "film.hi.srt",
        "film.en.hi.srt",
        "film.part2.srt",
        "film2.srt",
        "film.txt",
        "other.srt",
    ]
    found = {one.where: (one.language, one.purpose) for one in sidecars("film.mp4", names)}
    assert found == {
        "film.srt": ("", ""),
        "film.en.srt": ("en", ""),
        "film.eng.forced.srt": ("eng", "forced"),
        "film.en-US.sdh.vtt": ("en-us", "sdh"),
        "film.German.ASS": ("german", ""),
        "film.hi.srt": ("hi", ""),
        "film.en.hi.srt": ("en", "sdh"),
    }


def test_a_file_comes_before_a_track_and_the_named_language_before_none():
    plain, english = Subtitles("film.srt", ".srt"), Subtitles("film.en.srt", ".srt", "en")
    track = Subtitles(2, "subrip", "eng", is_default=True)
    assert taken(track, plain, english) == "film.en.srt"
    assert taken(track, plain) == "film.srt"
    assert taken(track) == 2
    assert taken(Subtitles(3, "subrip"), track) == 2
    assert taken(Subtitles(3, "subrip", "und")) == 3
    assert taken(Subtitles("film.vtt", ".vtt"), Subtitles("film.srt", ".srt")) == "film.srt"


def test_what_is_no_speech_of_the_whole_film_is_never_taken():
    forced, comments = Subtitles(1, "subrip", "eng", purpose="forced"), Subtitles(2, "subrip", "eng", "", "commentary")
    pictures = Subtitles(3, "hdmv_pgs_subtitle", "eng", is_text=False)
    german, deaf = Subtitles(4, "subrip", "ger"), Subtitles(5, "subrip", "eng", purpose="sdh")
    assert taken(forced, comments, pictures, german) is None
    assert taken(forced, comments, pictures, german, deaf) == 5
    assert taken(deaf, Subtitles(6, "subrip", "eng")) == 6
    assert taken(german, deaf, language="de") == 4
    described = choose_subtitles([forced, pictures], "en").describe()
    assert described["not_taken"] == ["stream 1 (subrip, eng, forced)", "stream 3 (hdmv_pgs_subtitle, eng, no text)"]


def test_the_default_comes_first_and_others_alike_are_counted():
    tracks = [Subtitles(n, "subrip", "eng", is_default=n == 3) for n in (2, 3, 4)]
    assert taken(*tracks) == 3
    assert choose_subtitles(tracks, "en").alike == 1
    assert choose_subtitles([tracks[0], tracks[2]], "eng").alike == 2


@pytest.mark.parametrize(
    ("title", "purpose"),
    [("English (Forced)", "forced"), ("SDH", "sdh"), ("Director's commentary", "commentary"), ("English", "")],
)
def test_titles_say_a_purpose(title: str, purpose: str):
    assert purpose_in(title) == purpose


def test_forms_of_a_language_are_one():
    assert {one_form(name) for name in ("en", "eng", "EN-us", "en_GB", "English")} == {"en"}
    assert one_form("ger") == one_form("deu") == one_form("de")
    assert one_form("klingon") == "klingon"
    assert WantedSubtitles(language="eng").is_english
    assert not WantedSubtitles(language="de").is_english
