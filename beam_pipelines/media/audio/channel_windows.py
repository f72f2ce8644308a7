"""One window of sound per second with the film's own channels and rate, on the clock of the film's pictures.

film         0         1         2     D
windows    --[-------)-- --[-------)--         each with what lies around its second

Whatever channels a film has, a window has some of these rows, always in this order: the mono mix (`downmix`), and the
loudspeakers of 7.1. Channels above or between loudspeakers count to the nearest; the effects channel is left out. Sound
in channels that have no place in a room (Ambisonics, discrete ones) is its mono mix from the centre.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from beam_pipelines.media.audio.audio_windows import timelines_by_second
from beam_pipelines.media.audio.downmix import channel_names, channel_samples, channel_weights, mixed
from beam_pipelines.media.audio.resample import conversion, resample_piece
from beam_pipelines.media.audio.sound_timeline import SoundTimeline
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import FilmProbe

MONO = "MONO"
CENTRE = "FC"
LOUDSPEAKERS = ("FL", "FR", CENTRE, "SL", "SR", "BL", "BR", "BC")
ROWS = (MONO, *LOUDSPEAKERS)
_FRONT_ROWS = 4
"""Tracks of one or two channels need no more rows."""
# Lossy codecs overshoot full scale, but not by so much: the rest is damage, whose square might not be a number.
_LOUDEST = 8.0
_EFFECTS = frozenset(("LFE", "LFE2"))
_NEAREST = {
    **{name: name for name in LOUDSPEAKERS},
    **dict.fromkeys(("FLC", "WL", "DL", "TFL"), "FL"),
    **dict.fromkeys(("FRC", "WR", "DR", "TFR"), "FR"),
    **dict.fromkeys(("TFC", "BFC", "TC"), CENTRE),
    "SDL": "SL",
    "SDR": "SR",
    "TBL": "BL",
    "TBR": "BR",
    "TBC": "BC",
}


@dataclass(frozen=True, eq=False)
class ChannelWindow:
    """The sound of one second and around it.

    Attributes:
        t: the second, counted from the film's first video timestamp.
        rate_hz: the sampling rate.
        names: names of the rows, in the order of `ROWS`; rows that would be zero are left out.
        samples: float32 [rows, samples]; full scale is 1, and nothing is beyond 8.
        present: whether any sample of the second itself is the film's own sound; if not, there is no row.
    """

    t: int
    rate_hz: int
    names: tuple[str, ...]
    samples: np.ndarray
    present: bool


def channel_windows(
    path: str | Path,
    probe: FilmProbe,
    *,
    before_s: Fraction,
    after_s: Fraction,
    start: int = 0,
    stop: int | None = None,
    quality: DecodeQuality | None = None,
) -> Iterator[ChannelWindow]:
    """Decodes a film's sound and yields exactly one window for every second in [start, stop).

    A window doesn't depend on where reading started, as those of `audio_windows`; `quality` counts as there. Mono
    tracks that are channels of one sound become its rows, those of another rate than the first one's converted to it.

    Args:
        path: the film; may be another copy of the probed file.
        probe: what `probe_film` found.
        before_s, after_s: how much of the sound before and after its second a window has, at most 1 s.
        start: first second.
        stop: end of the seconds, exclusive; None for the film's T.
        quality: counters that the iterator increases.

    Raises:
        FilmError: step `decode`, reason `unreadable`.
        ValueError: if [start, stop) is not within the film.
    """
    stop = probe.seconds if stop is None else stop
    if not 0 <= start <= stop <= probe.seconds:
        raise ValueError(f"{path}: seconds [{start}, {stop}) are not within the film's [0, {probe.seconds})")
    counted = DecodeQuality() if quality is None else quality
    tracks = probe.sound.tracks
    names = tuple(track.channel for track in tracks)
    weights = channel_weights(names) if len(tracks) > 1 else (1.0,)
    count = len(ROWS) if any(track.channels > 2 or track.channel for track in tracks) else _FRONT_ROWS
    samples_of = partial(_rows_of_frame, count=count)
    for t, timelines in timelines_by_second(path, probe, range(start, stop), counted, samples_of):
        found = [(weights[number], names[number], timeline) for number, timeline in timelines.items()]
        yield _window(t, found, before_s, after_s, count)


def _rows_of_frame(frame: Any, count: int) -> np.ndarray:
    """float32 [count, samples]: the first rows of a decoded audio frame."""
    samples, names = channel_samples(frame), channel_names(frame.layout)
    if not np.abs(samples).max(initial=0.0) <= _LOUDEST:
        samples = np.clip(np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0), -_LOUDEST, _LOUDEST)
    rows: np.ndarray = np.zeros((count, samples.shape[1]), np.float32)
    rows[0] = mixed(samples, names)
    places = [ROWS.index(_NEAREST[name]) if name in _NEAREST else -1 for name in names]
    if not set(names) <= _NEAREST.keys() | _EFFECTS or max(places) >= count:
        # Channels without a place, or more of them than the file's header says.
        rows[ROWS.index(CENTRE)] = rows[0]
        return rows
    for place, channel in zip(places, samples, strict=True):
        if place > 0:
            rows[place] += channel
    return rows


def _window(
    t: int, found: list[tuple[float, str, SoundTimeline]], before_s: Fraction, after_s: Fraction, count: int
) -> ChannelWindow:
    rate_hz = found[0][2].rate_hz if found else 0
    rows: np.ndarray = np.zeros((count, int((1 + before_s + after_s) * rate_hz)), np.float32)
    present = False
    for weight, channel, timeline in found:
        own = _own_rows(timeline, t, rate_hz, before_s, rows.shape[1])
        if own is None:
            continue
        present = True
        if len(found) == 1:
            rows = own
        else:
            rows[0] += np.float32(weight) * own[0]
            if channel not in _EFFECTS:
                rows[ROWS.index(_NEAREST.get(channel, CENTRE))] += own[0]
    heard = np.flatnonzero(rows.any(axis=1)) if present else np.arange(0)
    return ChannelWindow(t, rate_hz, tuple(ROWS[row] for row in heard), rows[heard], present)


def _own_rows(timeline: SoundTimeline, t: int, rate_hz: int, before_s: Fraction, count: int) -> np.ndarray | None:
    """float32 [rows, count]: a track's sound at `rate_hz` around second t; None if it has none in the second."""
    own_hz = timeline.rate_hz
    ratio, margin = conversion(own_hz, rate_hz)
    if ratio == 1:
        margin = 0
    begin = t * own_hz - int(before_s * own_hz)
    source = timeline.read(begin - margin, begin + math.ceil(count / ratio) + margin)
    if not timeline.covers(t * own_hz, (t + 1) * own_hz):
        return None
    lead = int(margin * ratio)
    return resample_piece(source, own_hz, rate_hz)[:, lead : lead + count]
