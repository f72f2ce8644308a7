"""Cues on the film's clock: which of them are speech, how long each is on screen, and what was wrong with them.

file      [---- cue ----)      [-- no end --           [- begins in the film, ends beyond -
film  0   [---- cue ----)      [-- 5 s, or to the next cue)              [---D--)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from beam_pipelines.media.text.spoken_words import spoken_lines

RULES = 1
"""The number of the rules by which subtitles become speech, for fingerprints: raise it when words or times change."""

LONGEST_US = 30_000_000
"""A cue counts for at most so long (ours): longer ones are wrong ends, or a name that stays on screen."""

WITHOUT_END_US = 5_000_000
"""A cue whose end is missing, or not after its start, lasts to the next one, but at most so long (ours)."""

LONGEST_CHARACTERS = 2000
"""What a cue has beyond is cut (ours): two lines of subtitles have 84."""

_TOUCHING_US = 100_000


@dataclass(frozen=True)
class Cue:
    """Words that are on screen together.

    Attributes:
        start_us, end_us: from when to when, in microseconds on the film's clock (0 is its first picture).
        text: the words; before `cues_of_speech` as the file has them, behind it only what is spoken.
    """

    start_us: int
    end_us: int
    text: str


def cues_of_speech(found: Sequence[Cue], duration_us: int) -> tuple[tuple[Cue, ...], dict[str, Any]]:
    """The cues that somebody speaks during the film, by time, and counts of the others.

    Each of them has an end after its start. One that reaches beyond the film isn't cut, so that its words stay spread
    over all of its time. A line that was on screen directly before, as in captions that roll up and in effects of
    several layers, belongs to the cue before, which lasts longer.

    Args:
        found: all cues of a file, in any order.
        duration_us: the film's length.

    Returns:
        The cues, and: `cues` that are speech, `not_speech`, `mended` (a wrong time, or too long), `outside` the film.
    """
    counts = {"cues": 0, "not_speech": 0, "mended": 0, "outside": 0}
    ordered = sorted(found, key=lambda cue: (cue.start_us, cue.end_us, cue.text))
    following_us = _following(ordered)
    spoken: list[Cue] = []
    for cue, next_us in zip(ordered, following_us, strict=True):
        end_us, is_mended = _end(cue, next_us)
        if cue.start_us >= duration_us or end_us <= 0:
            counts["outside"] += 1
            continue
        counts["mended"] += is_mended or len(cue.text) > LONGEST_CHARACTERS
        lines = spoken_lines(cue.text[:LONGEST_CHARACTERS])
        if not lines:
            counts["not_speech"] += 1
            continue
        counts["cues"] += 1
        _add(spoken, lines, cue.start_us, end_us)
    spoken.sort(key=lambda cue: cue.start_us)
    return tuple(replace(cue, text=cue.text.replace("\n", " ")) for cue in spoken), counts


def _following(ordered: Sequence[Cue]) -> list[int | None]:
    """For each cue when the next one begins that begins later."""
    following: list[int | None] = []
    for place in range(len(ordered) - 1, -1, -1):
        next_us = ordered[place + 1].start_us if place + 1 < len(ordered) else None
        following.append(following[-1] if next_us == ordered[place].start_us else next_us)
    return following[::-1]


def _end(cue: Cue, next_us: int | None) -> tuple[int, bool]:
    """When a cue ends, and whether that had to be mended."""
    if cue.end_us <= cue.start_us:
        longest_us = cue.start_us + WITHOUT_END_US
        return longest_us if next_us is None else min(next_us, longest_us), True
    return min(cue.end_us, cue.start_us + LONGEST_US), cue.end_us - cue.start_us > LONGEST_US


def _add(spoken: list[Cue], lines: list[str], start_us: int, end_us: int) -> None:
    """Adds a cue without the lines of the cues that it touches; if it has no others, it prolongs the last of them."""
    before = [place for place in range(max(0, len(spoken) - 4), len(spoken)) if _touches(spoken[place], start_us)]
    shown = {line for place in before for line in spoken[place].text.split("\n")}
    new = [line for line in lines if line not in shown]
    if new:
        spoken.append(Cue(start_us, end_us, "\n".join(new)))
        return
    for place in before:
        if lines[-1] in spoken[place].text.split("\n"):
            spoken[place] = replace(spoken[place], end_us=max(spoken[place].end_us, end_us))
            return


def _touches(cue: Cue, start_us: int) -> bool:
    return start_us <= cue.end_us + _TOUCHING_US
