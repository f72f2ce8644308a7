"""Key frames: how far apart they are, and single ones decoded alone, a look at a film here and there at little cost."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from beam_pipelines.media.decode import DecodeQuality, RangeCounts, decode_packet

LOOK_EVERY_S = 300
"""How far apart the key frames are that tell whether a film is interlaced (ours)."""


def key_gap_s(keys_s: Sequence[float], t: int) -> float:
    """The shortest time from a key frame in (t - 1, t] back to the key frame before it; 0 if there is none.

    Args:
        keys_s: the times of the film's key frames from its beginning at least to second t, ascending.
        t: the second.
    """
    begin, end = bisect_right(keys_s, t - 1), bisect_right(keys_s, t)
    return min((key - before for before, key in pairwise(keys_s[max(0, begin - 1) : end])), default=0.0)


def frame_of_one(video: Any, packet: Any) -> Any | None:
    """The intact frame of a single packet, or None; leaves the decoder empty, since it would wait for later packets."""
    counts = RangeCounts(DecodeQuality())
    frames = [*decode_packet(video, packet, counts), *decode_packet(video, None, counts)]
    video.codec_context.flush_buffers()
    return next((frame for frame in frames if not frame.is_corrupt), None)


class Looks:
    """Takes a stream's packets, and gives the frames of key packets that are at least `every_s` apart."""

    def __init__(self, video: Any, every_s: int):
        self._video = video
        self._distance = every_s / video.time_base
        self._last: int | None = None

    def pass_over(self, packet: Any) -> None:
        """Counts a packet as looked at: the next frame will be `every_s` away from it."""
        self._last = packet.pts

    def at(self, packet: Any) -> Any | None:
        """The frame of the packet, if it is time for the next one and it can be decoded alone."""
        if not packet.is_keyframe or packet.is_discard or packet.pts is None or not packet.size:
            return None
        if self._last is not None and abs(packet.pts - self._last) < self._distance:
            return None
        frame = frame_of_one(self._video, packet)
        if frame is not None:
            self._last = packet.pts
        return frame


def look_through(video: Any, items: Iterator[Any], quality: DecodeQuality) -> tuple[Any | None, bool]:
    """A film's first frame, and whether most of its frames are interlaced, by those looked at.

    Args:
        video: the stream.
        items: all its packets; they are read to the end.
        quality: counts what is decoded until the first frame.

    Returns:
        The first intact frame, else the first one, None without any; and whether at least half of the frames looked at
        hold two fields.
    """
    counts, looks = RangeCounts(quality), Looks(video, LOOK_EVERY_S)
    frame: Any = None
    tried_alone = False
    later: list[bool] = []
    for packet in _with_end(items):
        if (frame is None or frame.is_corrupt) and (packet is None or packet.size > 0):
            if packet is not None and not tried_alone:
                tried_alone = True
                looks.pass_over(packet)
                frame = frame_of_one(video, packet)
                if frame is not None:
                    continue
            for candidate in decode_packet(video, packet, counts):
                if frame is None or (frame.is_corrupt and not candidate.is_corrupt):
                    frame = candidate
        elif packet is not None and (look := looks.at(packet)) is not None:
            later.append(look.interlaced_frame)
    interlaced = [] if frame is None else [frame.interlaced_frame, *later]
    return frame, 2 * sum(interlaced) >= len(interlaced)


def _with_end(items: Iterator[Any]) -> Iterator[Any | None]:
    yield from items
    yield None
