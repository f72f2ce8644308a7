"""What of a cue is spoken, what of its times is believed, and how its bytes become text."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from beam_pipelines.media.text.cues import Cue, cues_of_speech
from beam_pipelines.media.text.encoding import decode_text
from beam_pipelines.media.text.read_cues import MOST_CUES, UnreadableSubtitles, cues_of_file
from beam_pipelines.media.text.spoken_words import count_words, spoken_lines
from tests.support.subtitle_clips import srt


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Hello there.", ["Hello there."]),
        ("{\\an8}{\\i1}Hello{\\i0}\\Nthere\\hnow", ["Hello", "there now"]),
        ("<i>Hello</i> <font color='red'>there</font> <00:01.5>you & me &amp; <3", ["Hello there you & me & <3"]),
        ("{\\p1}m 0 0 l 100 0{\\p0}Sign", ["Sign"]),
        ("[door slams]\n(sighs) Come in.", ["Come in."]),
        ("[a door\nslams]", []),
        ("（ため息）はい", ["はい"]),
        ("♪ la la ♪\nStop it!", ["Stop it!"]),
        ("♪ la la\nla la ♪", []),
        ("# la la la #", []),
        ("#1 fan", ["#1 fan"]),
        ("- Where?\n- Here.", ["Where?", "Here."]),
        (">> JOHN SMITH: Where is it?", ["Where is it?"]),
        ("MRS. O'NEIL: Here.", ["Here."]),
        ("He said: no", ["He said: no"]),
        ("It is 10:30 now", ["It is 10:30 now"]),
        ("...\n-", []),
    ],
)
def test_only_what_is_spoken_is_left(text: str, spoken: list[str]):
    assert spoken_lines(text) == spoken


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't, well-known: 3.5 things", 4),
        ("", 0),
        ("…!", 0),
        ("你好，世界", 4),
        ("Ça va très bien", 4),
        ("はい yes", 3),
    ],
)
def test_words_are_counted(text: str, words: int):
    assert count_words(text) == words


@pytest.mark.parametrize(
    ("content", "named", "expected"),
    [
        ("é".encode(), None, ("é", "utf-8", False)),
        ("é".encode("utf-8-sig"), None, ("é", "utf-8", False)),
        ("é".encode("utf-16"), None, ("é", "utf-16", False)),
        (b"\xfe\xff" + "é".encode("utf-16-be"), None, ("é", "utf-16", False)),
        ("été one two".encode("utf-16-le"), None, ("été one two", "utf-16-le", True)),
        ("été one two".encode("utf-16-be"), None, ("été one two", "utf-16-be", True)),
        ("“é”".encode("cp1252"), None, ("“é”", "cp1252", True)),
        ("да".encode("cp1251"), "cp1251", ("да", "cp1251", False)),
        ("да".encode(), "cp1251", ("да", "utf-8", False)),
        (b"\x81a", None, ("\ufffda", "cp1252", True)),
    ],
)
def test_bytes_become_text(content: bytes, named: str | None, expected: tuple[str, str, bool]):
    assert decode_text(content, named) == expected


def speech(*cues: tuple[int, int, str], duration_s: int = 100) -> tuple[list[tuple[int, int, str]], dict[str, int]]:
    """The cues of speech in milliseconds, and the counts that aren't 0 beside those of cues."""
    found, counts = cues_of_speech([Cue(a * 1000, b * 1000, text) for a, b, text in cues], duration_s * 1_000_000)
    return [(c.start_us // 1000, c.end_us // 1000, c.text) for c in found], {k: n for k, n in counts.items() if n}


def test_wrong_times_are_mended_and_counted():
    assert speech((3000, 2000, "a"), (4000, 4000, "b"), (6000, 90_000, "c")) == (
        [(3000, 4000, "a"), (4000, 6000, "b"), (6000, 36_000, "c")],
        {"cues": 3, "mended": 3},
    )
    assert speech((3000, 3000, "alone")) == ([(3000, 8000, "alone")], {"cues": 1, "mended": 1})
    # Cues that begin together have no end before the next one that begins later.
    assert speech((3000, 0, "a"), (3000, 0, "b"), (4000, 5000, "c"))[0][:2] == [(3000, 4000, "a"), (3000, 4000, "b")]


def test_cues_outside_the_film_are_left_out_and_others_keep_their_times():
    assert speech((-2000, -1000, "a"), (-500, 500, "b"), (1800, 2400, "c"), (2000, 2500, "d"), duration_s=2) == (
        [(-500, 500, "b"), (1800, 2400, "c")],
        {"cues": 2, "outside": 2},
    )


def test_lines_that_are_shown_again_count_once():
    rolling = speech((0, 2000, "one two"), (2000, 4000, "one two\nthree"), (4000, 6000, "three\nfour"))
    assert rolling[0] == [(0, 2000, "one two"), (2000, 4000, "three"), (4000, 6000, "four")]
    assert speech((0, 2000, "No!"), (0, 3000, "No!"))[0] == [(0, 3000, "No!")], "layers of an effect"
    assert len(speech((0, 2000, "No!"), (2500, 3000, "No!"))[0]) == 2, "said again"


def test_a_cue_without_end_of_text_is_cut():
    (found,), counts = speech((0, 2000, "a " * 100_000))
    assert (count_words(found[2]), counts) == (1000, {"cues": 1, "mended": 1})


def times(text: str) -> list[tuple[int, int, str]]:
    return [(c.start_us // 1000, c.end_us // 1000, c.text.split("\n")[0]) for c in cues_of_file(text)]


def test_times_as_people_and_tools_write_them():
    never = 99 * 3_600_000
    text = """1
0:00:01 --> 0:00:02
a

2
00:00:03.500 -> 00:00:04.5
b

3
00:00:06,000 --> 00:00:05,000
c

4
-00:00:05,000 --> 00:00:00,500
d

5
-00:00:05,000 --> -00:00:04,000
e

6
nonsense --> 00:00:08,000
f
"""
    assert times(text) == [
        (0, 500, "d"),
        (1000, 2000, "a"),
        (3500, 4500, "b"),
        (6000, 6000, "c"),
        (never, never, "e"),
        (never, never, "f"),
    ]
    assert times(text.replace("\n", "\r\n"))[1] == (1000, 2000, "a")


def test_webvtt_and_ass_are_told_by_their_content():
    vtt = "WEBVTT\n\nNOTE not this\n\n00:01.000 --> 00:02.000 align:start\n<v Bob>Hi &lt;3\n"
    assert times(vtt) == [(1000, 2000, "Hi <3")]
    ass = "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
    ass += "Dialogue: 0,0:00:01.00,0:00:02.50,Default,Bob,0,0,0,,Hello, you\n"
    ass += "Comment: 0,0:00:03.00,0:00:04.00,Default,Bob,0,0,0,,no\n"
    assert times(ass) == [(1000, 2500, "Hello, you")]


_PIECES = [
    *("1\n00:00:01,000 --> 00:00:02,000\nHi <i>you</i>\n\n", "WEBVTT\n\n", "00:03.000 --> 00:01.000\n", "[Events]\n"),
    *("-->", "-00:00:05", "{\\p1}", "<", "(", "♪", "#", "\n\n", "99999999", ":", "\x00", "é", "A: ", "\\N", "]"),
]


@given(st.lists(st.sampled_from(_PIECES), max_size=12).map("".join))
def test_any_text_gives_cues_within_the_film_or_a_refusal(text: str):
    try:
        found, counts = cues_of_speech(cues_of_file(text), 2_000_000)
    except UnreadableSubtitles:
        return
    assert all(cue.start_us < cue.end_us and count_words(cue.text) for cue in found)
    assert all(cue.start_us < 2_000_000 and cue.end_us > 0 for cue in found)
    assert [cue.start_us for cue in found] == sorted(cue.start_us for cue in found)
    assert len(found) <= counts["cues"]


@pytest.mark.parametrize("text", ["", "no subtitles at all", "WEBVTT\n\n"])
def test_a_file_without_cues_is_unreadable(text: str):
    with pytest.raises(UnreadableSubtitles, match="no"):
        cues_of_file(text)


def test_the_number_of_cues_is_limited(monkeypatch):
    monkeypatch.setattr("beam_pipelines.media.text.read_cues.MOST_CUES", 3)
    assert MOST_CUES == 100_000
    cues = [(1000 * n, 1000 * n + 500, f"{n}") for n in range(4)]
    assert len(cues_of_file(srt(*cues[:3]))) == 3
    with pytest.raises(UnreadableSubtitles, match="more than 3 cues"):
        cues_of_file(srt(*cues))
