"""From the cues of a film to the track of `speech_text`: words a second, speech present, sentiment.

seconds      t                t+1               t+2
cue      [---- "No, not now." ----)                        3 words over 1.5 s
         words a second: 2     |  1      |                 speech present: 1 | 0.5
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from beam_pipelines.contracts.records.feature_track import SUBTITLES, FeatureTrack
from beam_pipelines.extractors.weights import weight_files
from beam_pipelines.foundation.configuration import Section
from beam_pipelines.media.text.cues import RULES, Cue
from beam_pipelines.media.text.film_text import FilmText
from beam_pipelines.media.text.spoken_words import count_words
from beam_pipelines.media.text.wanted_subtitles import WantedSubtitles

MODALITY = "speech_text"
COLUMNS = ("words_hz", "speech_share", "sentiment")
"""What a second has: spoken words a second; the share of it in which a cue is on screen; VADER's compound score of what
is spoken, from -1 to 1, 0 if nothing is. The last one is there only for English."""

SPEECH = "speech"
"""Key of a description whose features come from subtitles: the number of the rules that make speech of them."""

CORE_S = 0.001
"""Core seconds for a second of film."""

_SECOND_US = 1_000_000


class SubtitlesConfig(Section):
    """Which subtitles are wanted. None of it is in a fingerprint, but of others features are extracted again.

    Attributes:
        language: their language: two letters, three, or the English word. Subtitles that state none count too.
        encoding: the encoding of subtitles that are neither UTF-8 nor UTF-16, for example cp1251; None takes them for
            cp1252, with a warning.
    """

    language: str = Field("en", min_length=2)
    encoding: str | None = None

    @field_validator("encoding")
    @classmethod
    def _of_text(cls, encoding: str | None) -> str | None:
        try:
            b"text".decode(encoding or "utf-8", "replace")
        except (LookupError, ValueError) as error:
            raise ValueError(f"no encoding of text: {encoding!r}; for example cp1251, iso8859-2, gb18030") from error
        return encoding


def describe_speech_text(config: SubtitlesConfig) -> dict[str, Any]:
    """The description of the track."""
    is_english = WantedSubtitles(config.language).is_english
    columns = COLUMNS if is_english else COLUMNS[:-1]
    described = {SPEECH: RULES, "rate_hz": 1, "columns": list(columns), SUBTITLES: config.model_dump()}
    if is_english:
        described["sentiment"] = {"name": "vader", "lexicon_sha256": _lexicon_sha256()}
    return described


def speech_text_track(text: FilmText, seconds: range, start_us: int, description: Mapping[str, Any]) -> FeatureTrack:
    """The track of some seconds of a film, float32 [T, columns]; all absent if nothing is said in the film.

    Args:
        text: what is said in the film.
        seconds: the seconds.
        start_us: the timestamp of second 0 on the container's clock.
        description: the track's description.
    """
    columns = len(description["columns"])
    score = sentiment if columns == len(COLUMNS) else None
    rows = rows_of_cues(text.cues, seconds, score)[:, :columns]
    return FeatureTrack(
        values=rows.astype(np.float32),
        present=np.full((len(seconds), 1), float(text.is_there), np.float32),
        timestamps_us=start_us + _SECOND_US * np.array(seconds, np.int64),
        description=description,
    )


def rows_of_cues(cues: Sequence[Cue], seconds: range, score: Callable[[str], float] | None = None) -> np.ndarray:
    """Words a second, speech present and sentiment of some seconds, float64 [T, 3].

    A cue's words are spread evenly over the time that it is on screen. Words of cues that are on screen together add
    up, and the time counts once. Sentiment is the mean of the cues' scores, by the time that each is on screen within
    the second.

    Args:
        cues: cues of speech, by their start; each ends after it starts.
        seconds: the seconds.
        score: the sentiment of a text; None leaves the column 0.
    """
    words, shown_us, scores, covered_us = (np.zeros(len(seconds)) for _ in range(4))
    until_us = 0
    for cue in cues:
        within = range(max(seconds.start, cue.start_us // _SECOND_US), min(seconds.stop, -(-cue.end_us // _SECOND_US)))
        spoken = count_words(cue.text) / (cue.end_us - cue.start_us) if within else 0.0
        compound = score(cue.text) if within and score else 0.0
        for second in within:
            row, end_us = second - seconds.start, min(cue.end_us, (second + 1) * _SECOND_US)
            overlap_us = end_us - max(cue.start_us, second * _SECOND_US)
            words[row] += spoken * overlap_us
            shown_us[row] += overlap_us
            scores[row] += compound * overlap_us
            covered_us[row] += max(0, end_us - max(cue.start_us, second * _SECOND_US, until_us))
        until_us = max(until_us, cue.end_us)
    return np.stack([words, covered_us / _SECOND_US, scores / np.maximum(shown_us, 1)], axis=1)


def sentiment(text: str) -> float:
    """VADER's compound score of an English text, from -1 (negative) to 1 (Hutto and Gilbert 2014)."""
    return float(_vader().polarity_scores(text)["compound"])


@cache
def _vader() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


def _lexicon_sha256() -> str:
    from vaderSentiment import vaderSentiment

    return weight_files.file_digest(Path(vaderSentiment.__file__).with_name("vader_lexicon.txt"))
