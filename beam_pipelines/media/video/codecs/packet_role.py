"""The role of a packet in its stream: whether decoding can start there, and whether others need it."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class UnsafeStream(Exception):
    """The headers don't say for certain which packets can be left out; the text says why."""


class Start(IntEnum):
    """Whether decoding can start at a packet.

    CLOSED: no packet after it, in decoding order, uses a packet before it.
    OPEN: the same, except for the packets after it that are shown before it (leading ones). Those may use the packets
    from the previous start on.
    """

    NONE = 0
    OPEN = 1
    CLOSED = 2


class PacketRole(NamedTuple):
    """The role of a packet in its stream. It is a tuple because every packet of a film has one.

    Attributes:
        start: whether decoding can start here.
        disposable: whether no other packet of its layer uses it.
        order: a number that grows in the order in which frames are shown, or None if that follows from the rest.
        layer: temporal layer; a higher layer may use a packet that is disposable within its own.
        shown: whether the decoder returns a frame for it.
    """

    start: Start
    disposable: bool
    order: int | None = None
    layer: int = 0
    shown: bool = True
