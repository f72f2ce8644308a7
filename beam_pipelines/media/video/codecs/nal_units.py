"""The NAL units of an H.264 or HEVC packet or decoder configuration, in either of the two packagings.

Annex B (transport streams, raw streams) has start codes 00 00 01 between units. MP4 and Matroska (`avcC`, `hvcC`) put
its length before each unit.
"""

from __future__ import annotations

from collections.abc import Iterator

from beam_pipelines.media.video.codecs.packet_role import UnsafeStream

_START_CODE = b"\0\0\1"


def annex_b_units(data: bytes) -> Iterator[memoryview]:
    """The units between start codes; zeros before a start code belong to no unit.

    Raises:
        UnsafeStream: if the data does not begin with a start code.
    """
    view = memoryview(data)
    begin = data.find(_START_CODE)
    if data[: max(begin, 0)].strip(b"\0") or begin < 0:
        raise UnsafeStream("a packet does not begin with a start code")
    while begin >= 0:
        following = data.find(_START_CODE, begin + 3)
        end = len(data) if following < 0 else following
        while end > begin + 3 and data[end - 1] == 0:
            end -= 1
        if end > begin + 3:
            yield view[begin + 3 : end]
        begin = following


def length_prefixed_units(data: bytes, length_bytes: int) -> Iterator[memoryview]:
    """The units of a packet in which each follows its length of `length_bytes` bytes.

    Raises:
        UnsafeStream: if the lengths don't add up to that of the packet.
    """
    view, position = memoryview(data), 0
    while position < len(data):
        begin = position + length_bytes
        position = begin + int.from_bytes(view[position:begin], "big")
        if begin >= position or position > len(data):
            raise UnsafeStream("the lengths of a packet's units don't add up")
        yield view[begin:position]


def avcc_units(extradata: bytes) -> tuple[int, list[memoryview]]:
    """Length size and parameter sets of an `avcC` box (ISO/IEC 14496-15, 5.3.3)."""
    view = memoryview(extradata)
    units: list[memoryview] = []
    position = 5
    for mask in (0x1F, 0xFF):
        position = _sized_units(view, position + 1, view[position] & mask, units)
    return (view[4] & 3) + 1, units


def hvcc_units(extradata: bytes) -> tuple[int, list[memoryview]]:
    """Length size and parameter sets of an `hvcC` box (ISO/IEC 14496-15, 8.3.3)."""
    view = memoryview(extradata)
    units: list[memoryview] = []
    position = 23
    for _ in range(view[22]):
        count = int.from_bytes(view[position + 1 : position + 3], "big")
        position = _sized_units(view, position + 3, count, units)
    return (view[21] & 3) + 1, units


def _sized_units(view: memoryview, position: int, count: int, units: list[memoryview]) -> int:
    """Appends units that follow their 16-bit sizes; returns where they end."""
    for _ in range(count):
        size = int.from_bytes(view[position : position + 2], "big")
        units.append(view[position + 2 : position + 2 + size])
        position += 2 + size
    return position
