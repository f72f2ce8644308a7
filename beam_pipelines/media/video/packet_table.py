"""All packets of a stream, read without decoding: when each is shown, and its role (`packet_role`)."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from beam_pipelines.media.video.codecs.h264_roles import H264Roles
from beam_pipelines.media.video.codecs.hevc_roles import HevcRoles
from beam_pipelines.media.video.codecs.other_roles import IntraRoles, KeyFlagRoles, Mpeg4Roles, MpegVideoRoles, Vp8Roles
from beam_pipelines.media.video.codecs.packet_role import PacketRole, Start, UnsafeStream

# No codec reorders more frames than this (H.264 and HEVC: a decoded picture buffer of 16).
_MAX_REORDERING = 16


class RoleReader(Protocol):
    """Reads the packets of one stream, in decoding order."""

    def role(self, packet: bytes, is_key: bool) -> PacketRole:
        """The role of the next packet; raises UnsafeStream, ValueError or IndexError if it is not certain."""


ROLE_READERS: dict[str, Callable[[bytes], RoleReader]] = {
    "h264": H264Roles,
    "hevc": HevcRoles,
    "mpeg1video": MpegVideoRoles,
    "mpeg2video": MpegVideoRoles,
    "mpeg4": Mpeg4Roles,
    "vp8": Vp8Roles,
    "vp9": KeyFlagRoles,
    "libdav1d": KeyFlagRoles,
    "prores": IntraRoles,
    "dnxhd": IntraRoles,
}
"""The readers by FFmpeg's name of the decoder. Streams of other codecs are decoded entirely."""


class PacketTable:
    """All packets up to the last that can hold a wanted frame, as arrays in decoding order.

    Raises:
        UnsafeStream, ValueError, IndexError, KeyError: if anything is not certain.
    """

    def __init__(self, reader: RoleReader, items: Iterator[Any], last_tick: int):
        times, orders, bits = array("q"), array("q"), array("B")
        has_orders, beyond, layer = True, 0, 0
        for packet in items:
            if packet.pts is None or packet.is_corrupt or not packet.size:
                raise UnsafeStream("a packet without a timestamp, without content, or damaged")
            role = reader.role(bytes(packet), packet.is_keyframe)
            # Leading packets of the first start after the last second may still be shown in time.
            beyond += role.start != Start.NONE and packet.pts > last_tick
            if beyond > 1:
                break
            if role.layer != layer and times:
                # A higher layer may use a packet that no packet of its own layer uses.
                raise UnsafeStream("the stream has temporal layers")
            layer = role.layer
            has_orders = has_orders and role.order is not None
            times.append(packet.pts)
            orders.append(role.order or 0)
            key = packet.is_keyframe or role.start != Start.NONE
            can_be_wanted = role.shown and not packet.is_discard
            bits.append(role.start | role.disposable << 2 | key << 3 | can_be_wanted << 4 | role.shown << 5)
        self.times = np.array(times, np.int64)
        flags = np.array(bits, np.uint8)
        self.start = flags & 3
        self.disposable, self.key, self.candidate, self._shown = (flags >> place & 1 == 1 for place in (2, 3, 4, 5))
        self._order = np.array(orders, np.int64) if has_orders else _mpeg_order(self.disposable)

    def check_order(self, held_back: int | None) -> None:
        """Checks that frames are shown in the order of their timestamps, and that the decoder waits long enough.

        Args:
            held_back: frames that the decoder holds back; None if it follows the headers alone.

        Raises:
            UnsafeStream: if they are not, or it doesn't.
        """
        shown = np.flatnonzero(self._shown)
        if not len(shown):
            raise UnsafeStream("no frame is shown")
        places = shown[np.argsort(self._order[shown], kind="stable")]
        if (np.diff(self.times[places]) <= 0).any():
            raise UnsafeStream("frames are not shown in the order of their timestamps, or two have the same")
        rank = np.argsort(np.argsort(self.times[shown], kind="stable"), kind="stable")
        # For each frame, how many of those decoded before it are shown after it.
        later = np.zeros(len(rank), np.int64)
        for lag in range(1, 2 * _MAX_REORDERING):
            later[lag:] += rank[:-lag] > rank[lag:]
        limit = _MAX_REORDERING if held_back is None else min(held_back, _MAX_REORDERING)
        if later.max() > limit:
            raise UnsafeStream("frames are reordered over more frames than the decoder holds back")


def _mpeg_order(is_bidirectional: np.ndarray) -> np.ndarray:
    """MPEG's order: a B picture is shown at once, any other picture when the next one that is no B picture arrives."""
    references = np.flatnonzero(~is_bidirectional)
    order = 2 * np.arange(len(is_bidirectional), dtype=np.int64)
    order[references] = 2 * np.append(references[1:], len(is_bidirectional)) - 1
    return order
