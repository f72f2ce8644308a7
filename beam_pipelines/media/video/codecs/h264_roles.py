"""Roles of H.264 packets from their NAL and slice headers (ITU-T H.264, 7.3 and 8.2.1).

The rule: decoding starts at IDR pictures only. A picture with nal_ref_idc 0 is disposable. An I picture that is no IDR
(open GOP, recovery point) is treated like any other picture. A stream is unsafe, and decoded entirely, if frame numbers
leave a gap, parameter sets change, fields are coded separately, or anything else appears that is not named here.
"""

from __future__ import annotations

from dataclasses import dataclass

from beam_pipelines.media.video.codecs.bit_reader import BitReader
from beam_pipelines.media.video.codecs.nal_roles import NalRoles
from beam_pipelines.media.video.codecs.nal_units import annex_b_units, avcc_units
from beam_pipelines.media.video.codecs.packet_role import PacketRole, Start, UnsafeStream

_SLICE, _IDR_SLICE, _SEI, _SPS, _PPS, _DELIMITER, _FILLER = 1, 5, 6, 7, 8, 9, 12
_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
# So much of a slice header is read; the needed fields take less.
_HEADER_BYTES = 48


@dataclass(frozen=True)
class _SequenceParameters:
    frame_number_bits: int
    order_bits: int  # 0: pictures are shown as they are decoded
    frames_only: bool


@dataclass(frozen=True)
class _PictureParameters:
    bottom_field_order: bool
    redundant_pictures: bool


class H264Roles(NalRoles):
    """Reads the packets of one stream; see `NalRoles`."""

    def __init__(self, extradata: bytes):
        self._sequence: _SequenceParameters | None = None
        self._pictures: dict[int, _PictureParameters] = {}
        self._previous_frame_number = 0
        if extradata[:1] == b"\1":
            super().__init__(*avcc_units(extradata))
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
            kind = unit[0] & 0x1F
            if kind in (_SLICE, _IDR_SLICE):
                pictures += unit[1] >> 7  # first_mb_in_slice is 0
                first = unit if first is None else first
                if (unit[0] & 0x1F, bool(unit[0] & 0x60)) != (first[0] & 0x1F, bool(first[0] & 0x60)):
                    raise UnsafeStream("a packet holds slices of different kinds")
            elif kind in (_SPS, _PPS):
                self._learn(unit)
            elif kind not in (_SEI, _DELIMITER, _FILLER):
                raise UnsafeStream(f"a NAL unit of type {kind}")
        if first is None or pictures != 1 or not first[1] >> 7:
            raise UnsafeStream("a packet does not hold exactly one picture")
        self._packets += 1
        return self._picture_role(first)

    def _learn(self, unit: memoryview) -> None:
        kind, content = unit[0] & 0x1F, bytes(unit)
        if kind not in (_SPS, _PPS):
            return
        reader = BitReader(content[1:])
        if kind == _SPS:
            number, sequence = _sequence_parameters(reader)
        else:
            number, picture = _picture_parameters(reader)
        if not self._is_new(kind, number, content):
            return
        if kind == _PPS:
            self._pictures[number] = picture
        elif self._sequence is None:
            self._sequence = sequence
        else:
            raise UnsafeStream("several sequence parameter sets")

    def _picture_role(self, unit: memoryview) -> PacketRole:
        sequence = self._sequence
        if sequence is None:
            raise UnsafeStream("no sequence parameter set")
        is_idr, is_reference = unit[0] & 0x1F == _IDR_SLICE, bool(unit[0] & 0x60)
        reader = BitReader(bytes(unit[1:_HEADER_BYTES]))
        reader.golomb()  # first_mb_in_slice
        slice_type = reader.golomb() % 5
        picture = self._pictures[reader.golomb()] if self._pictures else None
        if picture is None:
            raise UnsafeStream("no picture parameter set")
        frame_number = reader.bits(sequence.frame_number_bits)
        if not sequence.frames_only and reader.flag():
            raise UnsafeStream("fields are coded alone")
        if is_idr:
            reader.golomb()  # idr_pic_id
        order = reader.bits(sequence.order_bits) if sequence.order_bits else 0
        if is_idr:
            self._check_idr(reader, picture, sequence, slice_type, is_reference, frame_number)
        elif self._packets == 1:
            self._previous_frame_number = frame_number  # a stream that begins in the middle
        elif frame_number != (self._previous_frame_number + 1) % (1 << sequence.frame_number_bits):
            raise UnsafeStream("frame numbers leave a gap")
        if is_reference:
            self._previous_frame_number = frame_number
        shown_at = self._order(order, sequence.order_bits, is_idr, is_reference)
        return PacketRole(Start.CLOSED if is_idr else Start.NONE, not is_reference, shown_at)

    def _check_idr(
        self,
        reader: BitReader,
        picture: _PictureParameters,
        sequence: _SequenceParameters,
        slice_type: int,
        is_reference: bool,
        frame_number: int,
    ) -> None:
        if slice_type != 2 or not is_reference or frame_number:
            raise UnsafeStream("an IDR picture that is none")
        if sequence.order_bits and picture.bottom_field_order:
            reader.signed_golomb()
        if picture.redundant_pictures:
            reader.golomb()
        if reader.flag():  # no_output_of_prior_pics_flag
            raise UnsafeStream("an IDR picture discards frames that were not shown yet")


def _sequence_parameters(reader: BitReader) -> tuple[int, _SequenceParameters]:
    profile = reader.bits(8)
    reader.bits(16)  # constraints and level
    number = reader.golomb()
    if profile in _HIGH_PROFILES:
        chroma_format = reader.golomb()
        if chroma_format == 3 and reader.flag():
            raise UnsafeStream("colour planes are coded separately")
        reader.golomb(), reader.golomb()  # bit depths
        reader.flag()
        if reader.flag():
            for index in range(8 if chroma_format != 3 else 12):
                if reader.flag():
                    _skip_scaling_list(reader, 16 if index < 6 else 64)
    frame_number_bits = reader.golomb() + 4
    order_type = reader.golomb()
    if order_type == 1:
        raise UnsafeStream("picture order count of type 1")
    order_bits = reader.golomb() + 4 if order_type == 0 else 0
    reader.golomb()  # max_num_ref_frames
    if reader.flag():
        raise UnsafeStream("gaps in frame numbers are allowed")
    reader.golomb(), reader.golomb()  # size
    if frame_number_bits > 16 or order_bits > 16:
        raise UnsafeStream("a damaged sequence parameter set")
    return number, _SequenceParameters(frame_number_bits, order_bits, frames_only=reader.flag())


def _skip_scaling_list(reader: BitReader, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + reader.signed_golomb()) % 256
        last = following or last


def _picture_parameters(reader: BitReader) -> tuple[int, _PictureParameters]:
    number = reader.golomb()
    reader.golomb()  # seq_parameter_set_id: there is only one
    reader.flag()
    bottom_field_order = reader.flag()
    if reader.golomb():
        raise UnsafeStream("macroblocks are ordered flexibly")
    reader.golomb(), reader.golomb()  # number of references
    reader.bits(3)
    for _ in range(3):
        reader.signed_golomb()
    reader.bits(2)
    return number, _PictureParameters(bottom_field_order, redundant_pictures=reader.flag())
