"""The joined clock: a film's timestamps without the jumps that joined recordings leave.

timestamps    1.5 2.5 3.5 4.5 5.5 | 1.5 2.5 3.5      two recordings in one file; the second clock starts anew
joined clock  1.5 2.5 3.5 4.5 5.5   6.5 7.5 8.5      one film of eight seconds

`clock_jumps` finds the jumps once, when a film is probed. Whoever reads packets gets them on the joined clock
(`decode.packets`), so nothing behind it knows of jumps. A jump is told by the number of the first packet behind it:
that is the same in every reading from the film's beginning. So a film with jumps is never read from the middle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any


@dataclass(frozen=True)
class ClockJump:
    """A jump of a film's timestamps that was closed.

    Attributes:
        time_s: the first timestamp of the pictures behind it, on the joined clock.
        step_s: by how much the timestamps jump: what is taken from all later ones. Negative if they jump back.
        first_packets: index of a stream -> number of its first packet behind the jump, counted from 0; a stream whose
            packets all lie before the jump is left out.
    """

    time_s: Fraction
    step_s: Fraction
    first_packets: Mapping[int, int]


def on_joined_clock(items: Iterable[Any], stream: Any, jumps: Sequence[ClockJump]) -> Iterator[Any]:
    """The packets of a stream, read from the film's beginning, with timestamps on the joined clock.

    A packet that lies in the file before the last jump but comes behind it is left out: FFmpeg holds it back until the
    film's end, where no decoder can use it.
    """
    index = stream.index
    steps = sorted((jump.first_packets[index], jump.step_s) for jump in jumps if index in jump.first_packets)
    steps_ticks = deque((first, round(step_s / stream.time_base)) for first, step_s in steps)
    taken, begin = 0, -1
    for number, packet in enumerate(items):
        while steps_ticks and steps_ticks[0][0] <= number:
            taken += steps_ticks.popleft()[1]
            begin = begin if packet.pos is None else packet.pos
        if packet.pos is not None and packet.pos < begin:
            continue
        if packet.dts is not None:
            if packet.pts is not None:
                ahead = steps_ticks and number >= steps_ticks[0][0] - BORROWED
                step = steps_ticks[0][1] if ahead else 0
                borrowed = ahead and is_borrowed(packet.pts - packet.dts, step)
                packet.pts = _within(packet.pts - taken - (step if borrowed else 0))
            packet.dts = _within(packet.dts - taken)
        elif packet.pts is not None:
            packet.pts = _within(packet.pts - taken)
        yield packet


def _within(ticks: int) -> int:
    # Damaged timestamps may lie at the very end of what FFmpeg can hold.
    return max(-_MOST_TICKS, min(ticks, _MOST_TICKS))


_MOST_TICKS = 2**62

BORROWED = 2
"""So many packets before a jump may have a presentation timestamp of the clock behind it: FFmpeg takes that of a
picture which others are shown before from a later packet, where the format doesn't store it (MPEG-PS)."""


def is_borrowed(shown_after_decoding: Any, step: Any) -> Any:
    """Whether the time from decoding a picture to showing it holds a step of the clock; numbers or arrays, one unit."""
    return abs(shown_after_decoding - step) < abs(step) / 4


def jumps_to_rows(jumps: Iterable[ClockJump]) -> list[list[Any]]:
    """Jumps as JSON: time and step as text, and pairs of stream and packet."""
    return [[str(jump.time_s), str(jump.step_s), sorted(jump.first_packets.items())] for jump in jumps]


def jumps_from_rows(rows: Iterable[Sequence[Any]]) -> tuple[ClockJump, ...]:
    """The inverse of `jumps_to_rows`."""
    return tuple(ClockJump(Fraction(time), Fraction(step), dict(map(tuple, packets))) for time, step, packets in rows)
