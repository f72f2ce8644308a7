"""Windows of any length, centred on each second and joined from pieces of one second.

    seconds      t-2     t-1      t      t+1     t+2
    pieces     [-------|-------|-------|-------|-------)     each as `audio_windows` gives it
    window         [------------- 4 s -------------)         its middle is that of the second [t, t + 1)

A piece is always the same, so a window doesn't depend on where reading started. Zeros fill the time before the film's
second 0 and after its last one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from beam_pipelines.extractors.network_inputs import SoundInput
from beam_pipelines.media.audio.audio_windows import AudioWindow
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import FilmProbe
from beam_pipelines.media.worker.decoding_process import DecodingProcess


def sound_windows(
    path: str | Path,
    probe: FilmProbe,
    decoder: DecodingProcess,
    seconds: range,
    quality: DecodeQuality,
    takes: SoundInput,
) -> Iterator[AudioWindow]:
    """A network's windows. `quality` counts only sound of `seconds`, not what is decoded around them."""
    if not takes.is_centred:
        return decoder.sound(path, probe, seconds, quality, takes.window_s, takes.rate_hz)
    before, after = seconds_around(seconds, _reach_s(takes), probe.seconds)
    pieces = chain.from_iterable(
        decoder.sound(path, probe, part, counts, 1.0, takes.rate_hz)
        for part, counts in ((before, DecodeQuality()), (seconds, quality), (after, DecodeQuality()))
        if part
    )
    return centred_windows(pieces, seconds, takes)


def seconds_around(seconds: range, reach_s: int, film_seconds: int) -> tuple[range, range]:
    """The seconds of the film up to `reach_s` before and after some seconds."""
    before = range(max(0, seconds.start - reach_s), seconds.start)
    return before, range(seconds.stop, min(film_seconds, seconds.stop + reach_s))


def centred_windows(pieces: Iterable[AudioWindow], seconds: range, takes: SoundInput) -> Iterator[AudioWindow]:
    """Joins pieces of one second to windows.

    Args:
        pieces: ascending; those of `seconds` and of the seconds around them that the film has.
        seconds: the seconds whose windows are wanted.
        takes: rate and length of the windows.

    Yields:
        For each second a window of float32 [takes.samples], present if any piece that it touches is.
    """
    silence, reach_s = np.zeros(takes.rate_hz, np.float32), _reach_s(takes)
    first = reach_s * takes.rate_hz + _start(takes)
    held: dict[int, AudioWindow] = {}
    upcoming = iter(pieces)
    for t in seconds:
        wanted = range(t - reach_s, t + reach_s + 1)
        while max(held, default=wanted.start - 1) < wanted[-1]:
            piece = next(upcoming, None)
            if piece is None:
                break
            held[piece.t] = piece
        held = {second: piece for second, piece in held.items() if second >= wanted.start}
        samples = np.concatenate([held[s].samples if s in held else silence for s in wanted])
        present = any(piece.present for s, piece in held.items() if s in wanted)
        yield AudioWindow(t, samples[first : first + takes.samples], present)


def _start(takes: SoundInput) -> int:
    """The first sample of a centred window, counted from the beginning of its second."""
    return (takes.rate_hz - takes.samples) // 2


def _reach_s(takes: SoundInput) -> int:
    """The whole seconds that a centred window touches before and after its own."""
    return max(0, math.ceil(-_start(takes) / takes.rate_hz))
