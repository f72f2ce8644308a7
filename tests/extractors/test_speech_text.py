"""Words a second, speech present and sentiment against an independent version, and as a track."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from beam_pipelines.contracts.records.feature_track import fingerprint, same_features
from beam_pipelines.extractors.speech_text import (
    SubtitlesConfig,
    describe_speech_text,
    rows_of_cues,
    sentiment,
    speech_text_track,
)
from beam_pipelines.media.text.cues import RULES, Cue
from beam_pipelines.media.text.film_text import FilmText
from tests.support.hypothesis_profiles import examples

SECONDS = 12
MS = 1000


@st.composite
def films(draw) -> list[Cue]:
    cues = []
    for _ in range(draw(st.integers(0, 8))):
        start, length = draw(st.integers(0, SECONDS * MS - 1)), draw(st.integers(1, 4 * MS))
        text = " ".join(["word"] * draw(st.integers(1, 9)))
        cues.append(Cue(start * MS, min(start + length, SECONDS * MS) * MS, text))
    return sorted(cues, key=lambda cue: cue.start_us)


def score(text: str) -> float:
    """A sentiment that tells texts apart."""
    return len(text) / 50 - 0.4


def by_the_millisecond(cues: list[Cue], second: int) -> tuple[float, float, float]:
    """What a second has, exactly, from every millisecond of it."""
    words, shown, covered, scores = Fraction(0), 0, 0, 0.0
    for ms in range(second * MS, (second + 1) * MS):
        on_screen = [cue for cue in cues if cue.start_us <= ms * MS < cue.end_us]
        covered += bool(on_screen)
        shown += len(on_screen)
        for cue in on_screen:
            words += Fraction(len(cue.text.split()) * MS, cue.end_us - cue.start_us)
            scores += score(cue.text)
    return float(words), covered / MS, scores / max(shown, 1)


@examples(15)
@given(films(), st.integers(0, SECONDS - 1))
def test_agrees_with_an_independent_version(cues: list[Cue], second: int):
    rows = rows_of_cues(cues, range(SECONDS), score)
    np.testing.assert_allclose(rows[second], by_the_millisecond(cues, second), atol=1e-9)
    assert rows[:, 0].sum() == pytest.approx(sum(len(cue.text.split()) for cue in cues))
    parts = [rows_of_cues(cues, part, score) for part in (range(second), range(second, SECONDS))]
    assert np.concatenate(parts).tobytes() == rows.tobytes()


def test_the_drawing_of_the_module():
    rows = rows_of_cues([Cue(0, 1_500_000, "No, not now.")], range(3))
    np.testing.assert_allclose(rows[:, :2], [[2, 1], [1, 0.5], [0, 0]])


def test_a_cue_that_reaches_beyond_the_film_has_its_words_in_all_of_its_time():
    rows = rows_of_cues([Cue(-2_000_000, 2_000_000, "one two three four"), Cue(2_500_000, 9_000_000, "five")], range(3))
    np.testing.assert_allclose(rows[:, 0], [1, 1, 0.5 / 6.5])


def test_sentiment_is_that_of_vader():
    # The first two are examples of VADER's own documentation.
    assert sentiment("VADER is smart, handsome, and funny.") == 0.8316
    assert sentiment("VADER is not smart, handsome, nor funny.") == -0.7424
    assert sentiment("The table is in the room.") == 0


def test_the_track_of_a_film():
    description = describe_speech_text(SubtitlesConfig())
    text = FilmText((Cue(1_000_000, 2_000_000, "I love it"), Cue(3_000_000, 3_500_000, "I hate you")), {"taken": {}})
    track = speech_text_track(text, range(1, 4), 5_000_000, description)
    assert description["columns"] == ["words_hz", "speech_share", "sentiment"]
    assert description["speech"] == RULES
    np.testing.assert_allclose(track.values[:, :2], [[3, 1], [0, 0], [3, 0.5]])
    assert track.values[0, 2] > 0.5
    assert track.values[2, 2] < -0.5
    assert track.values.dtype == np.float32
    np.testing.assert_array_equal(track.present, np.ones((3, 1), np.float32))
    np.testing.assert_array_equal(track.timestamps_us, [6_000_000, 7_000_000, 8_000_000])


def test_a_film_without_subtitles_is_absent():
    description = describe_speech_text(SubtitlesConfig())
    for quality in ({"found": 0}, {"taken": {"sidecar": "a.srt"}, "not_read": "it holds no cue"}):
        track = speech_text_track(FilmText((), quality), range(3), 0, description)
        assert not track.values.any()
        assert not track.present.any()


def test_other_languages_have_no_sentiment_and_the_choice_is_no_fingerprint():
    def described(**subtitles):
        return describe_speech_text(SubtitlesConfig(**subtitles))

    assert described(language="de")["columns"] == ["words_hz", "speech_share"]
    assert "sentiment" not in described(language="de")
    assert fingerprint(described(language="de")) == fingerprint(described(language="fr", encoding="cp1252"))
    assert fingerprint(described(language="de")) != fingerprint(described())
    assert not same_features(described(language="de"), described(language="fr"))


def test_an_encoding_must_exist():
    assert SubtitlesConfig(encoding="cp1251").encoding == "cp1251"
    for wrong in ("cp12510", "hex", "rot13"):
        with pytest.raises(ValidationError, match="no encoding of text"):
            SubtitlesConfig(encoding=wrong)
