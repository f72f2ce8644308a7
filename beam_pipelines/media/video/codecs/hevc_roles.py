"""Roles of HEVC packets from their NAL and slice headers (ITU-T H.265, 7.3 and 8.3.1).

The rule: decoding starts at IDR pictures (closed) and at CRA pictures (open: their leading pictures may use earlier
pictures; trailing ones never do, 8.1.3). Sub-layer non-reference pictures are disposable if there is one temporal layer
(`packet_table` checks that). A stream is unsafe, and decoded entirely, if parameter sets change, frames are hidden,
layers are stacked (nuh_layer_id), or anything else appears that is not named here.
"""

from __future__ import annotations

from dataclasses import dataclass

from beam_pipelines.media.video.codecs.bit_reader import BitReader
from beam_pipelines.media.video.codecs.nal_roles import NalRoles
from beam_pipelines.media.video.codecs.nal_units import annex_b_units, hvcc_units
from beam_pipelines.media.video.codecs.packet_role import PacketRole, Start, UnsafeStream

_LAST_NON_REFERENCE, _RADL_N, _RASL_R = 14, 6, 9
_IDR, _CRA, _IRAP = (19, 20), 21, range(16, 24)
_TRAILING_AND_LEADING = range(10)
_PARAMETER_SETS, _SPS, _PPS = (32, 33, 34), 33, 34
_HARMLESS = frozenset({35, 38, 39, 40})  # delimiter, filler, SEI
_HEADER_BYTES = 48


@dataclass(frozen=True)
class _PictureParameters:
    output_flag: bool
    extra_bits: int


class HevcRoles(NalRoles):
    """Reads the packets of one stream; see `NalRoles`."""

    def __init__(self, extradata: bytes):
        self._order_bits = 0
        self._pictures: dict[int, _PictureParameters] = {}
        if extradata and extradata[:3] not in (b"\0\0\1", b"\0\0\0"):
            super().__init__(*hvcc_units(extradata))
        else:
            super().__init__(0, list(annex_b_units(extradata)) if extradata else [])

    def role(self, packet: bytes, is_key: bool) -> PacketRole:
        """The role of the next packet, which must hold one whole frame.

        Raises:
            UnsafeStream: if the packet's role is not certain.
        """
        first: memoryview | None = None
        pictures = 0
        for unit in self._units(packet):
            kind = unit[0] >> 1 & 0x3F
            if unit[0] & 1 or unit[1] >> 3:
                raise UnsafeStream("the stream has layers")
            if kind in _TRAILING_AND_LEADING or kind in (*_IDR, _CRA):
                pictures += unit[2] >> 7  # first_slice_segment_in_pic_flag
                first = unit if first is None else first
                if bytes(unit[:2]) != bytes(first[:2]):
                    raise UnsafeStream("a packet holds slices of different kinds")
            elif kind in _PARAMETER_SETS:
                self._learn(unit)
            elif kind not in _HARMLESS:
                raise UnsafeStream(f"a NAL unit of type {kind}")
        if first is None or pictures != 1 or not first[2] >> 7:
            raise UnsafeStream("a packet does not hold exactly one picture")
        self._packets += 1
        return self._picture_role(first)

    def _learn(self, unit: memoryview) -> None:
        kind, content = unit[0] >> 1 & 0x3F, bytes(unit)
        if kind not in _PARAMETER_SETS:
            return
        number = 0
        reader = BitReader(content[2:])
        if kind == _SPS:
            order_bits = _order_bits(reader)
        elif kind == _PPS:
            number, picture = _picture_parameters(reader)
        if not self._is_new(kind, number, content):
            return
        if kind == _SPS:
            self._order_bits = order_bits
        elif kind == _PPS:
            self._pictures[number] = picture

    def _picture_role(self, unit: memoryview) -> PacketRole:
        kind, layer = unit[0] >> 1 & 0x3F, (unit[1] & 7) - 1
        is_idr = kind in _IDR
        reader = BitReader(bytes(unit[2:_HEADER_BYTES]))
        reader.flag()  # first_slice_segment_in_pic_flag
        if kind in _IRAP and reader.flag():
            raise UnsafeStream("a key picture discards frames that were not shown yet")
        number = reader.golomb()
        if number not in self._pictures or not self._order_bits:
            raise UnsafeStream("no parameter sets")
        picture = self._pictures[number]
        reader.bits(picture.extra_bits)
        reader.golomb()  # slice_type
        if picture.output_flag and not reader.flag():
            raise UnsafeStream("a frame is hidden")
        low = 0 if is_idr else reader.bits(self._order_bits)
        disposable = kind <= _LAST_NON_REFERENCE and kind % 2 == 0
        # Leading and disposable pictures, and those of higher layers, don't anchor the order count (8.3.1).
        is_anchor = layer == 0 and not disposable and not _RADL_N <= kind <= _RASL_R
        start = Start.CLOSED if is_idr else Start.OPEN if kind == _CRA else Start.NONE
        return PacketRole(start, disposable, self._order(low, self._order_bits, is_idr, is_anchor), layer)


def _order_bits(reader: BitReader) -> int:
    """log2_max_pic_order_cnt_lsb of a sequence parameter set."""
    reader.bits(4)
    sub_layers = reader.bits(3)  # after the first
    reader.bits(1)
    reader.bits(96)  # the general profile and level
    present = [(reader.flag(), reader.flag()) for _ in range(sub_layers)]
    if sub_layers:
        reader.bits(2 * (8 - sub_layers))
    for has_profile, has_level in present:
        reader.bits(88 * has_profile + 8 * has_level)
    if reader.golomb():
        raise UnsafeStream("several sequence parameter sets")
    if reader.golomb() == 3 and reader.flag():
        raise UnsafeStream("colour planes are coded separately")
    reader.golomb(), reader.golomb()  # size
    if reader.flag():
        for _ in range(4):
            reader.golomb()
    reader.golomb(), reader.golomb()  # bit depths
    bits = reader.golomb() + 4
    if bits > 16:
        raise UnsafeStream("a damaged sequence parameter set")
    return bits


def _picture_parameters(reader: BitReader) -> tuple[int, _PictureParameters]:
    number = reader.golomb()
    if reader.golomb():
        raise UnsafeStream("several sequence parameter sets")
    reader.flag()
    return number, _PictureParameters(output_flag=reader.flag(), extra_bits=reader.bits(3))
