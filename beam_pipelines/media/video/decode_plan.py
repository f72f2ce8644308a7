"""Which packets the decoder needs for the wanted pictures; the pictures are those of full decoding.

packets     I p b B b P b B b P ... | I p b B b P b B b P      (decoding order; b: nothing uses it)
wanted            ^                                 ^
given       I p b . . . . . . . ... | I p . B . P b . . .      wanted packets, and those that they may use

First all packets are read without decoding. There is a plan only if the headers leave no doubt

- at which packets decoding can start (closed or open: see `packet_role`), and which packets no other uses,
- that every packet has its own timestamp, and that frames are shown in the order of their timestamps,
- that the decoder holds back enough frames to return them in that order, whether some are left out or not.

Without a plan everything is decoded. The module of each codec says at its top what counts as certain: `h264_roles`,
`hevc_roles`, `other_roles`. A plan treats each stretch from one start to the next separately. From a stretch without a
wanted frame the decoder gets nothing. From another stretch it gets the start, the packets that others may use, up to
the last wanted one, and the wanted ones. It gets leading packets of an open start (shown before it) only if one of them
is wanted, and then with the whole stretch before; if they are left out, the decoder is emptied before the start.

The decoder never sees damage in packets that are left out. In rare cases full decoding would carry such damage silently
into later pictures (a frame that the decoder fills from its old buffer, a header that makes it drop references). Then
the planned picture differs from that of full decoding, and is the better one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from av.container import InputContainer

from beam_pipelines.media.decode import DecodeQuality, opened_film, packets
from beam_pipelines.media.probe import FilmProbe
from beam_pipelines.media.video.codecs.packet_role import Start, UnsafeStream
from beam_pipelines.media.video.decode_mode import EXACT, DecodeMode
from beam_pipelines.media.video.packet_table import ROLE_READERS, PacketTable

STEP = "decode"


@dataclass(frozen=True, eq=False)
class DecodePlan:
    """Which packets go to the decoder, by their places in decoding order.

    Attributes:
        times: int64 [packets]: presentation timestamps in ticks.
        given: bool [packets]: whether the packet goes to the decoder.
        wanted: int64 [pictures]: timestamps of the wanted frames, ascending.
        returned: int64 [frames]: these, and the timestamps of the frames after them, if those are asked for.
        keys: int64 [key frames]: timestamps of the key frames among these packets, ascending.
        emptied_before: packets before which the decoder returns all frames that it holds, and resets its state.
    """

    times: np.ndarray
    given: np.ndarray
    wanted: np.ndarray
    returned: np.ndarray
    keys: np.ndarray
    emptied_before: frozenset[int]

    @property
    def begin(self) -> int:
        """The place of the first packet that goes to the decoder."""
        places = np.flatnonzero(self.given)
        return int(places[0]) if len(places) else 0

    @property
    def end(self) -> int:
        """The place behind the last packet that goes to the decoder."""
        places = np.flatnonzero(self.given)
        return int(places[-1]) + 1 if len(places) else 0


def make_plan(path: str | Path, probe: FilmProbe, seconds: range, mode: DecodeMode = EXACT) -> DecodePlan | None:
    """The plan for the pictures of `seconds`, or None if only decoding everything is certain to be right.

    Raises:
        FilmError: step `decode`, reason `unreadable` or `empty_file`.
    """
    with opened_film(path, STEP) as container:
        if probe.video_index >= len(container.streams):
            return None
        return plan_of(container, container.streams[probe.video_index], probe, seconds, mode)


def plan_of(
    container: InputContainer,
    stream: Any,
    probe: FilmProbe,
    seconds: range,
    mode: DecodeMode = EXACT,
    within_s: Fraction | None = None,
) -> DecodePlan | None:
    """The plan as `make_plan` gives it, for an open film; its decoder is not used.

    The function reads the packets from the film's beginning, where the film must stand, to the end of the last stretch
    that matters. It keeps 17 bytes per packet. `within_s` asks for the frame after each wanted one too, where that is
    shown no more than so many seconds later.
    """
    context = stream.codec_context
    make_reader = ROLE_READERS.get(context.name) if context is not None else None
    if make_reader is None:
        return None
    # The last tick that is not later than the second: the latest time of a frame that is on screen then.
    ticks = [math.floor((probe.first_pts_s + second) / stream.time_base) for second in seconds]
    quality = DecodeQuality()
    try:
        reader = make_reader(bytes(context.extradata or b""))
        table = PacketTable(reader, packets(container, stream, quality, probe.jumps), ticks[-1])
        table.check_order(context.reorder_depth if context.name == "h264" else None)
    except (UnsafeStream, ValueError, IndexError, KeyError):
        return None
    if quality.read_errors:
        return None
    wanted = _wanted(table, np.array(ticks, np.int64), mode, math.floor(mode.age_s / stream.time_base))
    if wanted is None:
        return None
    after = wanted[:0] if within_s is None else _after(table, wanted, math.floor(within_s / stream.time_base))
    return _plan(table, wanted, after)


def _after(table: PacketTable, wanted: np.ndarray, within_ticks: int) -> np.ndarray:
    """The places of the packets that are shown next after the wanted ones, and soon enough."""
    places = np.flatnonzero(table.candidate)
    places = places[np.argsort(table.times[places], kind="stable")]
    shown_from = table.times[places]
    following = np.searchsorted(shown_from, table.times[wanted], side="right")
    there = following < len(places)
    wanted, following = wanted[there], following[there]
    soon = shown_from[following] - table.times[wanted] <= within_ticks
    after: np.ndarray = places[following[soon]]
    return after


def _wanted(table: PacketTable, ticks: np.ndarray, mode: DecodeMode, age_ticks: int) -> np.ndarray | None:
    """The places of the wanted packets, one for each second, or None if a second has none."""
    can_be_wanted = table.candidate
    if mode.name == "keyframes":
        can_be_wanted = can_be_wanted & table.key
    places = np.flatnonzero(can_be_wanted)
    places = places[np.argsort(table.times[places], kind="stable")]
    shown_from = table.times[places]
    found = np.searchsorted(shown_from, ticks, side="right") - 1
    if mode.name == "keyframes" and len(places):
        found = np.maximum(found, 0)
    if not len(places) or found.min() < 0:
        return None
    if mode.name == "approximate":
        begins = np.searchsorted(shown_from, ticks - age_ticks, side="left")
        return np.array([_cheapest(table, places, *span) for span in zip(begins, found, strict=True)])
    return places[found]


def _cheapest(table: PacketTable, places: np.ndarray, begin: int, last: int) -> int:
    """Of places[begin : last + 1] the latest start, else the reference decoded first, else the frame on screen."""
    choice = places[begin : last + 1]
    starts = choice[table.start[choice] != Start.NONE]
    if len(starts):
        return int(starts[-1])
    references = choice[~table.disposable[choice]]
    return int(references.min()) if len(references) else int(places[last])


def _plan(table: PacketTable, wanted: np.ndarray, after: np.ndarray) -> DecodePlan:
    given = np.zeros(len(table.times), bool)
    is_wanted = given.copy()
    is_wanted[wanted] = True
    is_wanted[after] = True
    starts = np.flatnonzero(table.start)
    edges = [*starts.tolist(), len(given)]
    used = ~table.disposable
    if is_wanted[: edges[0]].any() or not len(starts):
        # The stream begins in the middle of a stretch: nothing is certain before its first start.
        given[: edges[0]] = True
    leading = _leading(table, edges)
    complete_before = []
    for number, (begin, end) in enumerate(pairwise(edges)):
        stretch = slice(begin, end)
        places = begin + np.flatnonzero(is_wanted[stretch])
        if len(places):
            ahead = places[leading[places]]
            trailing = places[~leading[places]]
            if len(ahead):
                before = slice(edges[number - 1], begin) if number else slice(0, begin)
                given[before] |= (used & ~leading)[before] | (number == 0)
                given[begin : ahead[-1] + 1] |= (used & leading)[begin : ahead[-1] + 1]
            if len(trailing):
                given[begin : trailing[-1] + 1] |= (used & ~leading)[begin : trailing[-1] + 1]
            given[begin] = True
            given[places] = True
            if table.start[begin] == Start.OPEN:
                complete_before.append((begin, edges[number - 1] if number else 0))
    emptied = [begin for begin, before in complete_before if (~given & used & ~leading)[before:begin].any()]
    shown, returned, keys = (_different(table.times[places]) for places in (wanted, is_wanted, table.key))
    return DecodePlan(table.times, given, shown, returned, keys, frozenset(emptied))


def _different(times: np.ndarray) -> np.ndarray:
    """The different times, ascending. Not np.unique: it imports numpy.ma, which takes longer than a plan."""
    times = np.sort(times)
    different: np.ndarray = times[np.append(True, np.diff(times) > 0)]
    return different


def _leading(table: PacketTable, edges: list[int]) -> np.ndarray:
    """bool [packets]: behind an open start in decoding order, but shown before it."""
    leading = np.zeros(len(table.times), bool)
    for begin, end in pairwise(edges):
        if table.start[begin] == Start.OPEN:
            leading[begin:end] = table.times[begin:end] < table.times[begin]
    return leading
