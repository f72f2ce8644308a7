"""Windows of several seconds of sound, centred on each second and joined from pieces of one second.

    seconds      t-2     t-1      t      t+1     t+2
    pieces     [-------|-------|-------|-------|-------)     16 kHz, each as `audio_windows` gives it
    window     [---------------- 5 s ------------------)     centred on the second [t, t + 1)

A piece is always the same, so a window doesn't depend on where reading started. Zeros fill the time before the film's
second 0 and after its last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from beam_pipelines.media.audio.audio_windows import AUDIO_RATE_HZ, AudioWindow


def seconds_around(seconds: range, reach_s: int, film_seconds: int) -> tuple[range, range]:
    """The seconds of the film up to `reach_s` before and after some seconds."""
    before = range(max(0, seconds.start - reach_s), seconds.start)
    return before, range(seconds.stop, min(film_seconds, seconds.stop + reach_s))


def centred_windows(pieces: Iterable[AudioWindow], seconds: range, reach_s: int) -> Iterator[AudioWindow]:
    """Joins pieces of one second to windows of `2 * reach_s + 1` seconds.

    Args:
        pieces: ascending; those of `seconds` and of the seconds around them that the film has.
        seconds: the seconds whose windows are wanted.
        reach_s: whole seconds of a window before and after its own second.

    Yields:
        For each second a window of float32 [(2 * reach_s + 1) * 16000], present if any of its pieces is.
    """
    silence = np.zeros(AUDIO_RATE_HZ, np.float32)
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
        yield AudioWindow(t, samples, any(piece.present for s, piece in held.items() if s in wanted))
