"""Decoding by a plan, under watch: as soon as anything differs from the plan, it fails and full decoding replaces it.

If the container has an index, the reader jumps to the first needed packet from where planning has ended: planning and
decoding share one open file, and a late part doesn't read the film up to its begin. The reader trusts the jump only
while the timestamps of the packets are those of the plan, one by one: then they are the packets that reading from the
beginning gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import av
import numpy as np
from av.container import InputContainer

from beam_pipelines.media.clock.joined_clock import ClockJump
from beam_pipelines.media.decode import DecodeQuality, RangeCounts, decode_packet, format_of, packets
from beam_pipelines.media.video.decode_plan import DecodePlan


class PlanFailed(Exception):
    """The decoder met damage, or did not return a wanted frame; all frames before are right."""


_INDEXED = frozenset({"mov", "matroska"})


def entered(container: InputContainer, stream: Any, plan: DecodePlan) -> int | None:
    """Jumps to the first packet that the plan needs, or a little before it.

    Args:
        container, stream: the film as planning has left it.
        plan: the film's plan.

    Returns:
        The place in the plan of the next packet; None if the jump led elsewhere, so that the film must be opened again.
    """
    first = plan.begin
    if format_of(container) not in _INDEXED:
        return None
    try:
        container.seek(int(plan.times[first]), stream=stream, backward=True)
        # Reading the packet consumes it; a second jump to the same place brings it back.
        packet = next(packets(container, stream, DecodeQuality()), None)
        container.seek(int(plan.times[first]), stream=stream, backward=True)
    except (av.FFmpegError, OverflowError):
        return None
    if packet is None or packet.pts is None:
        return None
    places = np.flatnonzero(plan.times == packet.pts)
    return int(places[0]) if len(places) == 1 and places[0] <= first else None


def planned_frames(
    container: InputContainer,
    stream: Any,
    plan: DecodePlan,
    counts: RangeCounts,
    entry: int = 0,
    jumps: Sequence[ClockJump] = (),
) -> Iterator[tuple[int, Any]]:
    """The frames to return with their timestamps in ticks, ascending.

    Args:
        container, stream: the film, just opened, or as `entered` has left it.
        plan: the film's plan.
        counts: counters for what is decoded, left out or jumped over.
        entry: the result of `entered`.
        jumps: jumps of the film's clock; a film that has any must stand at its beginning.

    Raises:
        PlanFailed: before it yields a frame that could differ from full decoding's, or take the place of another.
    """
    expected = iter(plan.returned.tolist())
    awaited = next(expected, None)
    last = None
    for frame in _decoded(stream, plan, counts, entry, packets(container, stream, counts.quality, jumps)):
        if frame.pts is None or (last is not None and frame.pts <= last):
            raise PlanFailed("frames come out in another order than planned")
        last = frame.pts
        if awaited is not None and last > awaited:
            break
        if last == awaited:
            awaited = next(expected, None)
            yield last, frame
    if awaited is not None:
        raise PlanFailed("a wanted frame did not come out of the decoder")


def _decoded(stream: Any, plan: DecodePlan, counts: RangeCounts, entry: int, items: Iterator[Any]) -> Iterator[Any]:
    given, end, has_given = plan.given.tolist(), plan.end, False
    damage = _damage(counts)
    for pts in plan.times[:entry].tolist():
        counts.at(pts).frames_skipped += 1
    for place, packet in enumerate(items, start=entry):
        if place >= end:
            break
        if packet.pts != plan.times[place]:
            raise PlanFailed("the file gives other packets than when it was planned")
        if not given[place]:
            counts.at(packet.pts).frames_skipped += 1
            continue
        if place in plan.emptied_before and has_given:
            yield from _undamaged(stream, None, counts, damage)
            stream.codec_context.flush_buffers()
        has_given = True
        yield from _undamaged(stream, packet, counts, damage)
    yield from _undamaged(stream, None, counts, damage)


def _undamaged(stream: Any, packet: Any | None, counts: RangeCounts, damage: tuple[int, int]) -> list[Any]:
    frames = decode_packet(stream, packet, counts)
    if _damage(counts) != damage:
        raise PlanFailed("the decoder met damage")
    return frames


def _damage(counts: RangeCounts) -> tuple[int, int]:
    return counts.damaged, counts.quality.read_errors
