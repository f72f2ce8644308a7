"""One window of sound per second: mono, at 16 kHz or another rate, on the clock of the film's pictures.

Time 0 is the first timestamp of the chosen video stream. Window t holds the samples of [t, t + 0.96 s) by the sound's
own timestamps. Sound before time 0 is cut. Zeros fill the time before a late start, gaps, and the time after the
sound's end. If the sound is longer than the picture, the last window holds it.

    film         0         1         2     D
    windows      [-------) [-------) [-------)        T = ceil(D) windows, 1 s apart

Reading a part of a film gives the same samples as reading the whole, bit for bit. Some decoders keep their state for
good (AAC's noise generator, Opus), so a decoder that starts after a seek can't match one that decoded the film in one
go. Therefore the whole film isn't decoded in one go either: see `sound_entry`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from beam_pipelines.media.audio.downmix import channel_weights, mono_samples
from beam_pipelines.media.audio.resample import conversion, resample_piece
from beam_pipelines.media.audio.sound_entry import begins_with_priming, entry_seconds, sound_from
from beam_pipelines.media.audio.sound_timeline import SoundTimeline
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import FilmProbe

AUDIO_RATE_HZ = 16_000
# Reading goes on for 1 / this of a second after a part: sound may lie that much earlier than its timestamp says.
_BEYOND = 10


@dataclass(frozen=True, eq=False)
class AudioWindow:
    """The sound of one second.

    Attributes:
        t: the second, counted from the film's first video timestamp.
        samples: float32 [window_s * rate_hz] in [-1, 1], mono; sample n is n / rate_hz s after t.
        present: whether any sample is the film's own sound; if not, all are zero.
    """

    t: int
    samples: np.ndarray
    present: bool


def audio_windows(
    path: str | Path,
    probe: FilmProbe,
    *,
    window_s: float = 0.96,
    rate_hz: int = AUDIO_RATE_HZ,
    start: int = 0,
    stop: int | None = None,
    quality: DecodeQuality | None = None,
) -> Iterator[AudioWindow]:
    """Decodes a film's sound and yields exactly one window for every second in [start, stop).

    Each window is converted to `rate_hz` separately, together with the sound on either side of it, from source samples
    that are counted from time 0. So a window doesn't depend on where reading started, and nothing drifts over hours.
    `downmix` mixes the channels, and mono tracks that are channels of one sound with the same weights. Sound packets
    that can't be decoded leave zeros.

    `quality` counts the packets and frames whose timestamps lie within [start, stop). The counts of a film's parts add
    up to those of the whole, with two exceptions: `read_errors`, since every part counts the broken places that it
    reads over, and packets without a timestamp, which every part counts that reads them. A part is cheapest if `start`
    is a multiple of `sound_entry.ENTRY_EVERY_S`.

    Args:
        path: the film; may be another copy of the probed file.
        probe: what `probe_film` found.
        window_s: length of a window in seconds, rounded to whole samples.
        rate_hz: sampling rate of the windows.
        start: first second.
        stop: end of the seconds, exclusive; None for the film's T.
        quality: counters that the iterator increases.

    Raises:
        FilmError: step `decode`, reason `unreadable`.
        ValueError: if [start, stop) is not within the film, or a window is shorter than a sample.
    """
    stop = probe.seconds if stop is None else stop
    if not 0 <= start <= stop <= probe.seconds:
        raise ValueError(f"{path}: seconds [{start}, {stop}) are not within the film's [0, {probe.seconds})")
    window_samples = round(window_s * rate_hz)
    if window_samples < 1:
        raise ValueError(f"a window of {window_s} s holds no sample at {rate_hz} Hz")
    counted = DecodeQuality() if quality is None else quality
    if probe.audio_index is None:
        return _silence(range(start, stop), window_samples)
    return _windows(path, probe, range(start, stop), window_samples, rate_hz, counted)


def _silence(seconds: range, window_samples: int) -> Iterator[AudioWindow]:
    for t in seconds:
        yield AudioWindow(t, np.zeros(window_samples, dtype=np.float32), present=False)


def _windows(
    path: str | Path, probe: FilmProbe, seconds: range, window_samples: int, rate_hz: int, quality: DecodeQuality
) -> Iterator[AudioWindow]:
    tracks = probe.sound.tracks
    weights = channel_weights(tuple(track.channel for track in tracks)) if len(tracks) > 1 else (1.0,)
    for t, timelines in timelines_by_second(path, probe, seconds, quality):
        mixed = [(timeline, weights[number]) for number, timeline in timelines.items()]
        yield _mixed_window(mixed, t, window_samples, rate_hz)


def timelines_by_second(
    path: str | Path,
    probe: FilmProbe,
    seconds: range,
    quality: DecodeQuality,
    samples_of: Callable[[Any], np.ndarray] = mono_samples,
) -> Iterator[tuple[int, dict[int, SoundTimeline]]]:
    """Yields each second with the timelines of the film's sound tracks, by the place of the track among the chosen.

    A track without a frame that can be decoded has none. The arguments are those of `audio_windows`, and `samples_of`
    of `SoundTimeline`.

    Raises:
        FilmError: step `decode`, reason `unreadable`.
    """
    while seconds:
        entry_s, until_s = entry_seconds(probe, seconds.start)
        part = range(seconds.start, min(seconds.stop, until_s))
        with ExitStack() as opened:
            timelines = {}
            for number, track in enumerate(probe.sound.tracks):
                frames, time_base, counts = opened.enter_context(
                    sound_from(path, probe, track.index, entry_s, part, quality)
                )
                priming = begins_with_priming(probe.container, track.codec)
                timeline = SoundTimeline(frames, time_base, probe.first_pts_s, counts, priming, samples_of)
                if not timeline.is_silent:
                    timelines[number] = timeline
            for t in part:
                yield t, timelines
            for timeline in timelines.values():
                # Sound between the last window and the part's end counts here: the next part will skip it.
                end = part.stop * timeline.rate_hz
                timeline.read(end - 1, end + timeline.rate_hz // _BEYOND)
        seconds = range(part.stop, seconds.stop)


def _mixed_window(mixed: list[tuple[SoundTimeline, float]], t: int, window_samples: int, rate_hz: int) -> AudioWindow:
    """The window of second t from tracks with their weights; each is converted by itself, since rates may differ."""
    samples: np.ndarray = np.zeros(window_samples, dtype=np.float32)
    present = False
    for timeline, weight in mixed:
        own = _own_samples(timeline, t, window_samples, rate_hz)
        if own is not None:
            present, samples = True, samples + np.float32(weight) * own
    # Filters, lossy codecs and mixes overshoot full scale.
    return AudioWindow(t, np.clip(samples, -1.0, 1.0), present)


def _own_samples(timeline: SoundTimeline, t: int, window_samples: int, target_hz: int) -> np.ndarray | None:
    """float32 [window_samples]: a track's sound from second t on, or None if it has none there."""
    rate_hz = timeline.rate_hz
    ratio, margin = conversion(rate_hz, target_hz)
    begin, end = t * rate_hz, t * rate_hz + math.ceil(window_samples / ratio)
    source = timeline.read(begin - margin, end + margin)
    if not timeline.covers(begin, end):
        return None
    lead = int(margin * ratio)
    converted = resample_piece(source, rate_hz, target_hz)[lead : lead + window_samples]
    return converted.astype(np.float32, copy=False)
