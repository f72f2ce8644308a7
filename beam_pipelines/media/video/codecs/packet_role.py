"""What a packet is to the others of its stream, as far as its headers say it for certain."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class UnsafeStream(Exception):
    """The headers give no certainty about which packets can be left out; the text says why."""


class Start(IntEnum):
    """Whether decoding can start at a packet.

    CLOSED: nothing after it, in decoding order, uses anything before it.
    OPEN: the same, but for the packets after it that are shown before it (leading ones); those may use the packets
    from the previous start on.
    """

    NONE = 0
    OPEN = 1
    CLOSED = 2


class PacketRole(NamedTuple):
    """What a packet is to the others; a tuple, for one is made for every packet of a film.

    Attributes:
        start: whether decoding can start here.
        disposable: no other packet of its layer uses it.
        order: number that grows in the order in which the frames are shown, or None where that follows from the rest.
        layer: temporal layer; what is disposable within its layer may be used by a higher one.
        shown: whether the decoder gives a frame for it.
    """

    start: Start
    disposable: bool
    order: int | None = None
    layer: int = 0
    shown: bool = True
