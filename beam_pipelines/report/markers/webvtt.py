"""WebVTT tracks of a film: chapters for a player's menu, and the curve as a metadata track for scripts.

A chapter is the stretch between two turning points. Its name is its place on the valence-arousal plane:

    tense       excited   joyful
    unpleasant  neutral   pleasant
    sad         calm      serene

A curve of one target is a line through the middle of the plane. Where each film has a range of its own, a level says
nothing, so a name says on which side of the film's mean the values lie.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from beam_pipelines.report.markers.events import Event
from beam_pipelines.report.markers.file_times import FROM_FIRST_PICTURE, FileTimes
from beam_pipelines.report.markers.reasons import Shares

SHORTEST_CHAPTER_S = 20
MOST_CHAPTERS = 24
"""The largest number of chapters, so that the menu stays readable."""
NEUTRAL_SHARE = 0.1
"""Values nearer to the middle than this share of half the range are neutral; drawing.js has the same number."""
_MOODS = {
    (-1, 1): "tense",
    (0, 1): "excited",
    (1, 1): "joyful",
    (-1, 0): "unpleasant",
    (0, 0): "neutral",
    (1, 0): "pleasant",
    (-1, -1): "sad",
    (0, -1): "calm",
    (1, -1): "serene",
}
"""The word for each pair of sides (below, at or above the middle) of valence and arousal."""
_BESIDE_THE_MEAN = {-1: "below", 0: "near", 1: "above"}


@dataclass(frozen=True)
class Chapter:
    """A stretch of a film, [start_s, end_s), and its name."""

    start_s: float
    end_s: float
    name: str


def chapters(
    curves: Mapping[str, ArrayLike],
    events: Sequence[Event],
    duration_s: float,
    *,
    label_range: tuple[float, float] = (-1.0, 1.0),
    own_range: bool = False,
) -> list[Chapter]:
    """Divides a film at its turning points, the largest steps first.

    Every chapter is at least `SHORTEST_CHAPTER_S` long, and there are at most `MOST_CHAPTERS`.

    Args:
        curves: target -> float [T], smoothed, for each target of the model.
        events: events of these curves.
        duration_s: D, the film's length; the last chapter ends there.
        label_range: lowest and highest label; its middle is neutral.
        own_range: whether each film has a range of its own, whose middle is the film's mean.
    """
    cuts = [0.0, float(duration_s)]
    turns = sorted(
        (event for event in events if event.is_turning_point),
        key=lambda event: (-event.prominence, event.time_s, event.target),
    )
    for turn in turns:
        if len(cuts) > MOST_CHAPTERS:
            break
        if all(abs(turn.time_s - cut) >= SHORTEST_CHAPTER_S for cut in cuts) and turn.time_s < duration_s:
            cuts.append(float(turn.time_s))
    cuts.sort()
    values = {target: np.asarray(curve, np.float64) for target, curve in curves.items()}
    stretches = ((start, end) for start, end in pairwise(cuts) if end > start)
    return [Chapter(start, end, _name(values, start, end, label_range, own_range)) for start, end in stretches]


def mood(
    valence: float | None,
    arousal: float | None,
    label_range: tuple[float, float] = (-1.0, 1.0),
    own_range: bool = False,
) -> str:
    """The word for a place on the valence-arousal plane; values near the middle of an axis are on neither side.

    None stands for a target that the model doesn't predict. Where each film has a range of its own, the text says on
    which side of the film's mean the values lie.
    """
    low, high = label_range
    middle, near = (low + high) / 2, NEUTRAL_SHARE * (high - low) / 2

    def side(value: float | None) -> int:
        return 0 if value is None or abs(value - middle) < near else 1 if value > middle else -1

    if own_range:
        values = {"valence": valence, "arousal": arousal}
        sides = {target: _BESIDE_THE_MEAN[side(value)] for target, value in values.items() if value is not None}
        named = sides.values() if len(sides) == 1 else (" ".join(item) for item in sides.items())
        return f"{', '.join(named)} the film's mean"
    return _MOODS[side(valence), side(arousal)]


def signed(value: float) -> str:
    """A value to two decimals with its sign as the page writes it: `+0.25`, `−0.07`, and never `−0.00`."""
    return f"{round(value, 2) + 0.0:+.2f}".replace("-", "−")


def chapters_vtt(film: str, parts: Iterable[Chapter], times: FileTimes = FROM_FIRST_PICTURE) -> str:
    """A WebVTT chapter track.

    Args:
        film: the film's name, untrusted; it stands in a comment.
        parts: the chapters, in order, without overlap.
        times: where the film lies on its file's clock, by which cues count.
    """
    cues = [f"{_span(part.start_s, part.end_s, times)}\n{_text(part.name)}" for part in parts]
    return _document(film, "chapters", cues, times)


def metadata_vtt(
    film: str,
    curves: Mapping[str, ArrayLike],
    duration_s: float,
    times: FileTimes = FROM_FIRST_PICTURE,
    shares: Shares | None = None,
) -> str:
    """A WebVTT metadata track: one cue per second, whose text is a JSON object with the second's value of each target.

    Args:
        film: the film's name, untrusted; it stands in a comment.
        curves: target -> float [T], smoothed; a value that is not finite is null.
        duration_s: D; the last cue ends there.
        times: where the film lies on its file's clock, by which cues count.
        shares: what the values are made of, if it is explained: `"shares": {"arousal": {"base": …, "audio": …}}`.
    """
    cues = []
    columns = _numbers(curves)
    parts = {target: _numbers(each) for target, each in (shares or {}).items()}
    for second in range(len(next(iter(columns.values()), ()))):
        end_s = min(second + 1.0, duration_s)
        if end_s > second:
            row: dict[str, Any] = {target: values[second] for target, values in columns.items()}
            if parts:
                row["shares"] = {t: {part: v[second] for part, v in each.items()} for t, each in parts.items()}
            cues.append(f"{_span(second, end_s, times)}\n{json.dumps(row)}")
    return _document(film, "metadata", cues, times)


def timestamp(time_s: float) -> str:
    """A WebVTT timestamp, hh:mm:ss.ttt; hours may have more than two digits."""
    milliseconds = round(time_s * 1000)
    seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{milliseconds:03d}"


def _numbers(curves: Mapping[str, ArrayLike]) -> dict[str, list[float | None]]:
    """Each curve's values for JSON, to four decimals, and null for what is not finite."""
    return {
        name: [round(value, 4) if math.isfinite(value) else None for value in np.asarray(curve).tolist()]
        for name, curve in curves.items()
    }


def _span(start_s: float, end_s: float, times: FileTimes) -> str:
    offset_s = float(times.offset_s)
    return f"{timestamp(start_s + offset_s)} --> {timestamp(end_s + offset_s)}"


def _document(film: str, kind: str, cues: list[str], times: FileTimes) -> str:
    note = f"NOTE {kind} of {_text(film)}, predicted by CineAffect" + (f"; {times.note}" if times.note else "")
    return "\n\n".join(["WEBVTT", note, *cues]) + "\n"


def _text(text: str) -> str:
    """Untrusted text as one line of cue text, in which nothing can end a cue, open a tag or look like an arrow."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _name(
    curves: Mapping[str, np.ndarray], start_s: float, end_s: float, label_range: tuple[float, float], own_range: bool
) -> str:
    part = slice(int(start_s), max(int(start_s) + 1, math.ceil(end_s)))
    means = {target: mean for target, curve in curves.items() if (mean := _mean(curve[part])) is not None}
    if len(means) < len(curves):
        return "no values"
    named = ", ".join(f"{target} {signed(mean)}" for target, mean in means.items())
    return f"{mood(means.get('valence'), means.get('arousal'), label_range, own_range)} ({named})"


def _mean(values: np.ndarray) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else None
