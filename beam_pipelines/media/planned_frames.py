"""Decoding by a plan, watched: the moment anything is not as the plan says, it is given up for full decoding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from av.container import InputContainer

from beam_pipelines.media.decode import RangeCounts, decode_packet, packets
from beam_pipelines.media.decode_plan import DecodePlan


class PlanFailed(Exception):
    """The decoder met damage, or did not give a wanted frame; what came before is right."""


def planned_frames(
    container: InputContainer, stream: Any, plan: DecodePlan, counts: RangeCounts
) -> Iterator[tuple[int, Any]]:
    """The wanted frames with their timestamps in ticks, ascending.

    Raises:
        PlanFailed: before a frame is given that could differ from full decoding's, or be in the place of another.
    """
    expected = iter(plan.wanted.tolist())
    awaited = next(expected, None)
    last = None
    for frame in _decoded(container, stream, plan, counts):
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


def _decoded(container: InputContainer, stream: Any, plan: DecodePlan, counts: RangeCounts) -> Iterator[Any]:
    given, end, has_given = plan.given.tolist(), plan.end, False
    damage = _damage(counts)
    for place, packet in enumerate(packets(container, stream, counts.quality)):
        if place >= end:
            break
        if not given[place]:
            counts.at(packet.pts).frames_skipped += 1
            continue
        if packet.pts != plan.times[place]:
            raise PlanFailed("the file gives other packets than when it was planned")
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
