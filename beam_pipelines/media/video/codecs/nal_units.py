"""The NAL units of an H.264 or HEVC packet or decoder configuration, in either of the two packagings.

Annex B (transport streams, raw streams) has start codes 00 00 01 between units. MP4 and Matroska (`avcC`, `hvcC`) put
its length before each unit.
"""

from __future__ import annotations

from collections.abc import Iterator

from beam_pipelines.media.video.codecs.packet_role import UnsafeStream

_START_CODE = b"\0\0\1"


def annex_b_units(data: bytes) -> Iterator[memoryview]:
    """The units between start codes; zeros before a start code belong to no unit."""
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
    """The units of a packet in which each follows its length of `length_bytes` bytes."""
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
    length_bytes, position = (view[4] & 3) + 1, 5
    units = []
    for mask in (0x1F, 0xFF):
        count = view[position] & mask
        position += 1
        for _ in range(count):
            size = int.from_bytes(view[position : position + 2], "big")
            units.append(view[position + 2 : position + 2 + size])
            position += 2 + size
    return length_bytes, units


def hvcc_units(extradata: bytes) -> tuple[int, list[memoryview]]:
    """Length size and parameter sets of an `hvcC` box (ISO/IEC 14496-15, 8.3.3)."""
    view = memoryview(extradata)
    length_bytes, position = (view[21] & 3) + 1, 23
    units = []
    for _ in range(view[22]):
        count = int.from_bytes(view[position + 1 : position + 3], "big")
        position += 3
        for _ in range(count):
            size = int.from_bytes(view[position : position + 2], "big")
            units.append(view[position + 2 : position + 2 + size])
            position += 2 + size
    return length_bytes, units
