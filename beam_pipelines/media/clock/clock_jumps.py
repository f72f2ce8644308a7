"""Where the timestamps of joined recordings jump; `joined_clock` closes these jumps.

pictures   decoding timestamps run on within a recording, and step back or far ahead where the next one begins
sound      steps as well, a few packets earlier or later in the file

Timestamps that step back are closed in every format, because time doesn't run backwards. Timestamps that step ahead are
closed only where the format allows a clock to start anew (MPEG-TS, MPEG-PS, VOB), and only if no sound fills the gap:
elsewhere the gap is the film's own, as in slide shows and screen recordings. In either case pictures and sound must
step together; a film whose sound runs on keeps its timestamps. Pictures continue without a gap, and the sound is moved
by the same amount, so that both stay together as they were recorded.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media.clock.joined_clock import BORROWED, ClockJump, is_borrowed
from beam_pipelines.media.decode import MPEG_STREAMS, DecodeQuality, format_of, opened_film, packets

STEP = "probe"
BACK_S = 0.5
"""A step back is more than this (ours); decoding timestamps of one recording never step back."""

AHEAD_S, AHEAD_ANYWHERE_S = 1.0, 10.0
"""A step ahead is more than the first of these if a key frame follows, as recordings begin with one (ours), else more
than the second, from which on FFmpeg's own command takes a step for a new clock (`-dts_delta_threshold`)."""

MOST_JUMPS = 4000
"""With more jumps than this a film is refused: its timestamps are damaged."""

# A part of fewer packets than this is no recording: single packets may have damaged timestamps.
_LEAST_PACKETS = 5
# How many packets of sound tell on either side of a step where the sound is, and how far from it the sound may step.
_NEAR = 60


class StepWatch:
    """Sees a film's picture packets one by one, and whether any steps as at a jump: only then jumps are looked for."""

    def __init__(self, container: Any, stream: Any):
        self._time_base = stream.time_base
        self._starts_anew = format_of(container) in MPEG_STREAMS
        self._last: int | None = None
        self.steps = False

    def see(self, packet: Any) -> None:
        """Takes the next packet."""
        if packet.dts is None or packet.is_discard:
            return
        if self._last is not None:
            step_s = (packet.dts - self._last) * self._time_base
            self.steps = self.steps or step_s < -BACK_S or (self._starts_anew and step_s > AHEAD_S)
        self._last = packet.dts


def find_jumps(name: str, picture_index: int, search_mb: int = 0) -> tuple[ClockJump, ...]:
    """The jumps of a film's clock, in order. All packets of pictures and sound are read; 56 bytes of each are kept.

    Args:
        name: the film's path.
        picture_index: index of the chosen video stream.
        search_mb: how much of the file is searched for sound (see `opened_film`).

    Raises:
        FilmError: step `probe`, reason `unreadable`, or `too_many_jumps`.
    """
    with opened_film(name, STEP, search_mb) as container:
        streams: list[Any] = [container.streams[picture_index], *container.streams.audio]
        rows, counts = {stream.index: array("q") for stream in streams}, dict.fromkeys([s.index for s in streams], 0)
        for place, packet in enumerate(packets(container, streams, DecodeQuality())):
            index = packet.stream.index
            if packet.dts is not None and not packet.is_discard:
                pts = packet.dts if packet.pts is None else packet.pts
                duration = max(packet.duration or 0, 0)
                position = -1 if packet.pos is None else packet.pos
                rows[index].extend((counts[index], place, position, packet.dts, pts, duration, packet.is_keyframe))
            counts[index] += 1
        found = {stream.index: PacketTimes.of(rows[stream.index], stream.time_base) for stream in streams}
        starts_anew = format_of(container) in MPEG_STREAMS
    picture = found.pop(picture_index)
    jumps = jumps_between(picture_index, picture, found, starts_anew)
    if len(jumps) > MOST_JUMPS:
        raise FilmError(STEP, "too_many_jumps", f"{name}: its timestamps jump more than {MOST_JUMPS} times")
    return jumps


@dataclass(frozen=True, eq=False)
class PacketTimes:
    """The packets of a stream that have a timestamp and are shown, in file order.

    Attributes:
        number: int64 [packets], each packet's number in its stream.
        place: int64 [packets], its place among the packets of all streams that were read.
        position: int64 [packets], where it begins in the file; -1 where FFmpeg doesn't say.
        dts_s: float64 [packets], decoding timestamps in seconds.
        pts, duration: int64 [packets], in ticks; duration is 0 where it is unknown.
        key: bool [packets], key frames.
        time_base: seconds per tick.
    """

    number: np.ndarray
    place: np.ndarray
    position: np.ndarray
    dts_s: np.ndarray
    pts: np.ndarray
    duration: np.ndarray
    key: np.ndarray
    time_base: Fraction

    @classmethod
    def of(cls, rows: array[int], time_base: Fraction) -> PacketTimes:
        """From rows of number, place, position, decoding and presentation timestamp, duration, key frame."""
        number, place, position, dts, pts, duration, key = np.array(rows, np.int64).reshape(-1, 7).T
        return cls(number, place, position, dts * float(time_base), pts, duration, key > 0, time_base)


def jumps_between(
    picture_index: int, picture: PacketTimes, sounds: Mapping[int, PacketTimes], starts_anew: bool
) -> tuple[ClockJump, ...]:
    """The jumps at which pictures and sound step together; not many more than `MOST_JUMPS`.

    Args:
        picture_index: index of the picture stream.
        picture: its packets.
        sounds: index of a sound stream -> its packets.
        starts_anew: whether the format allows a clock to start anew, so that steps ahead may be jumps.
    """
    steps = [step for step in _steps(picture) if step.step_s < 0 or (starts_anew and _may_be_ahead(picture, step))]
    jumps: list[ClockJump] = []
    taken, begin = 0, 0
    for number, step in enumerate(steps):
        edge = steps[number + 1].first if number + 1 < len(steps) else len(picture.place)
        sides = [_SoundAt.step(picture, sound, step, begin, edge) for sound in sounds.values()]
        if not _is_jump(step, sides):
            continue
        end, first = _edges(picture, step, begin, edge)
        taken += first - end
        first_packets = {picture_index: int(picture.number[step.first])}
        for index, side in zip(sounds, sides, strict=True):
            if side.first is not None:
                first_packets[index] = side.first
        time_s, step_s = (first - taken) * picture.time_base, (first - end) * picture.time_base
        jumps.append(ClockJump(time_s, step_s, first_packets))
        if len(jumps) > MOST_JUMPS:
            break
        begin = step.first
    return tuple(jumps)


@dataclass(frozen=True)
class _Step:
    """A step of the decoding timestamps from the picture packet `last` to `first`; damaged ones may lie between."""

    last: int
    first: int
    step_s: float


def _steps(picture: PacketTimes) -> list[_Step]:
    differences = np.diff(picture.dts_s)
    places = deque((np.flatnonzero((differences < -BACK_S) | (differences > AHEAD_S)) + 1).tolist())
    steps = []
    while places:
        first = places.popleft()
        last = first - 1
        while places and places[0] - first < _LEAST_PACKETS:
            first = places.popleft()
        step_s = float(picture.dts_s[first] - picture.dts_s[last])
        if len(picture.place) - first >= _LEAST_PACKETS and not -BACK_S <= step_s <= AHEAD_S:
            steps.append(_Step(last, first, step_s))
    return steps


def _may_be_ahead(picture: PacketTimes, step: _Step) -> bool:
    return bool(picture.key[step.first]) or step.step_s > AHEAD_ANYWHERE_S


def _edges(picture: PacketTimes, step: _Step, begin: int, edge: int) -> tuple[int, int]:
    """The tick at which the pictures before a step end, and that of the first picture behind it."""
    before = slice(max(begin, step.last + 1 - _NEAR), step.last + 1)
    pts, duration = picture.pts[before], picture.duration[before]
    borrowed = is_borrowed(pts * float(picture.time_base) - picture.dts_s[before], step.step_s)
    borrowed[:-BORROWED] = False
    near = slice(step.first, min(edge, step.first + _NEAR))
    late = (picture.position[near] >= 0) & (picture.position[near] < picture.position[step.first])
    behind = [*picture.pts[near][~late], *pts[borrowed]]
    pts, duration = (pts[~borrowed], duration[~borrowed]) if not borrowed.all() else (pts, duration)
    gaps = np.diff(np.sort(pts))
    usual = int(np.median(gaps[gaps > 0])) if (gaps > 0).any() else 0
    # A picture whose time is borrowed follows the others before the step. So does one that comes only at the end.
    left = _is_left_over(picture, step)
    pts, duration = np.append(pts, picture.pts[left]), np.append(duration, picture.duration[left])
    return int((pts + np.where(duration > 0, duration, usual)).max()), int(min(behind))


def _is_left_over(picture: PacketTimes, step: _Step) -> np.ndarray:
    """bool [packets]: packets of the recording before a step that FFmpeg gives only at the end of the file.

    It holds back a transport stream's last packet of a recording until the next one of the same number begins.
    """
    before, behind = picture.position[[step.last, step.first]]
    is_between: np.ndarray = (picture.position > before) & (picture.position < behind) & (before >= 0)
    is_between[: step.first] = False
    return is_between


@dataclass(frozen=True)
class _SoundAt:
    """What one stream of sound does where the pictures step.

    Attributes:
        first: number of its first packet behind the step; None if there is none, or if the sound runs on.
        tells: whether it has packets on both sides, so that it can be seen to step or to run on.
        fills: whether it has packets within a gap that the pictures leave.
    """

    first: int | None = None
    tells: bool = False
    fills: bool = False

    @classmethod
    def step(cls, picture: PacketTimes, sound: PacketTimes, step: _Step, begin: int, edge: int) -> _SoundAt:
        """Looks at the sound around a step, between the pictures `begin` and `edge`.

        Containers put sound beside the pictures that are shown with it. So the packets of sound show by their place
        whether they are on the clock before the step or on that behind it.
        """
        pictures = picture.place[[begin, step.last, step.first]]
        low, last, at = np.searchsorted(sound.place, pictures)
        high = np.searchsorted(sound.place, picture.place[edge]) if edge < len(picture.place) else len(sound.place)
        earliest = low if begin else 0
        low, high = max(earliest, last - _NEAR), min(high, at + _NEAR)
        if high <= at:
            # The sound goes on in a later recording, if at all.
            return cls(int(sound.number[at]) if at < len(sound.number) else None)
        beside = np.searchsorted(picture.place, sound.place[low:high]) - 1
        beside = np.where(beside >= step.first, beside, np.clip(beside, 0, step.last))
        # How far the sound is ahead of the pictures beside it.
        ahead_s = sound.dts_s[low:high] - picture.dts_s[beside]
        usual_s = float(np.median(ahead_s[: at - low])) if at > low else 0.0
        tells = bool(at > low)
        # A recording's sound may lie a little before its pictures: here the one before the step has none.
        is_late = low == earliest and 2 * (step.last - int(beside[0])) < step.last - begin
        if tells and is_late and abs(usual_s - step.step_s) < abs(usual_s):
            usual_s, tells = usual_s - step.step_s, False
        # By how much each packet would be off on the clock behind the step, and on the one before it.
        if_behind = ahead_s - usual_s - np.where(np.arange(low, high) < at, step.step_s, 0.0)
        is_behind = np.abs(if_behind) < np.abs(if_behind + step.step_s)
        if not np.median(is_behind[at - low :]):
            return cls(tells=tells)
        within = (sound.dts_s[low:high] - picture.dts_s[step.last]) / step.step_s
        fills = step.step_s > 0 and bool(((within > 0.25) & (within < 0.75)).any())
        before = np.flatnonzero(~is_behind)
        first = low + (int(before[-1]) + 1 if len(before) else 0)
        return cls(int(sound.number[first]) if first < high else None, tells, fills)


def _is_jump(step: _Step, sides: list[_SoundAt]) -> bool:
    """Whether sound steps with the pictures; if no sound tells, only steps back are jumps."""
    moves = any(side.tells and side.first is not None for side in sides)
    if step.step_s < 0:
        return moves or not any(side.tells for side in sides)
    return moves and not any(side.fills for side in sides)
