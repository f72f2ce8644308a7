"""Roles of AV1 packets from their sequence and frame headers (AV1 bitstream specification, 5.5 and 5.9).

The rules: decoding starts at shown key frames. A packet is disposable that holds one inter frame and nothing else, if
that frame is shown at once and refreshes no reference slot (`refresh_frame_flags` 0): all that AV1 hands on,
probabilities, motion, segments and film grain included, lies in those slots (7.20). In a stream whose headers have
fields that are not read here (decoder model, frame numbers, layers) nothing is taken for disposable. A changed sequence
header or a still picture makes a stream unsafe: it is decoded entirely.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from beam_pipelines.media.bit_reader import BitReader
from beam_pipelines.media.packet_role import PacketRole, Start, UnsafeStream

_SEQUENCE, _DELIMITER, _FRAME_HEADER, _TILE_GROUP, _FRAME, _PADDING = 1, 2, 3, 4, 6, 15
_OF_ONE_FRAME = frozenset({_DELIMITER, _FRAME_HEADER, _TILE_GROUP, _FRAME, _PADDING})
_INTER = 1
# seq_force_screen_content_tools and seq_force_integer_mv: the frame says it.
_SELECT = 2
# The fields that are read take less.
_HEADER_BYTES = 16


@dataclass(frozen=True)
class _SequenceParameters:
    screen_content_tools: int
    integer_motion: int
    order_bits: int


class Av1Roles:
    """Reads the packets of one stream, in decoding order; a packet is a temporal unit, which shows one frame.

    Raises:
        UnsafeStream: from here and from `role`.
        ValueError, IndexError: likewise, where a header is damaged.
    """

    def __init__(self, extradata: bytes):
        self._frames = 0
        self._sequence = b""
        self._parameters: _SequenceParameters | None = None

    def role(self, packet: bytes, is_key: bool) -> PacketRole:
        """The role of the next packet: a start if its first frame is a shown key frame."""
        headers: list[bytes] = []
        of_one_frame = True
        for kind, has_extension, body in _units(packet):
            if kind == _SEQUENCE:
                self._learn(body)
            elif kind in (_FRAME_HEADER, _FRAME):
                headers.append(body[:_HEADER_BYTES])
            of_one_frame = of_one_frame and not has_extension and kind in _OF_ONE_FRAME
        if not headers:
            raise UnsafeStream("a packet holds no frame")
        self._frames += 1
        # show_existing_frame 0, frame_type 0 (key), show_frame 1
        starts = is_key and headers[0][0] >> 4 == 0b0001
        disposable = of_one_frame and len(headers) == 1 and self._refreshes_nothing(headers[0])
        return PacketRole(Start.CLOSED if starts else Start.NONE, disposable, self._frames)

    def _learn(self, body: bytes) -> None:
        if body[0] >> 3 & 1:
            raise UnsafeStream("a still picture")
        if self._sequence and body != self._sequence:
            raise UnsafeStream("the sequence header changes")
        if not self._sequence:
            self._sequence = body
            self._parameters = _sequence_parameters(BitReader(body))

    def _refreshes_nothing(self, header: bytes) -> bool:
        """Whether a frame header (5.9.2) is that of a frame that is shown and then forgotten."""
        sequence = self._parameters
        if sequence is None:
            return False
        reader = BitReader(header)
        if reader.flag():  # show_existing_frame
            return False
        kind, is_shown = reader.bits(2), reader.flag()
        if kind != _INTER or not is_shown:
            return False
        is_resilient = reader.flag()
        reader.flag()  # disable_cdf_update
        tools = reader.bits(1) if sequence.screen_content_tools == _SELECT else sequence.screen_content_tools
        if tools and sequence.integer_motion == _SELECT:
            reader.flag()
        reader.flag()  # frame_size_override_flag
        reader.bits(sequence.order_bits)
        if not is_resilient:
            reader.bits(3)  # primary_ref_frame
        return reader.bits(8) == 0


def _sequence_parameters(reader: BitReader) -> _SequenceParameters | None:
    """What a frame header's first fields depend on (5.5.1); None where that is more than is known here."""
    reader.bits(3 + 1)  # profile, still_picture
    if reader.flag():  # reduced_still_picture_header
        return None
    if reader.flag():  # timing_info_present_flag
        reader.bits(64)
        if reader.flag():  # equal_picture_interval
            reader.golomb()  # uvlc(), which is coded alike
        if reader.flag():  # decoder_model_info_present_flag
            return None
    has_delay = reader.flag()
    if reader.bits(5):  # operating_points_cnt_minus_1
        return None
    reader.bits(12)
    if reader.bits(5) > 7:  # seq_level_idx
        reader.flag()
    if has_delay and reader.flag():
        reader.bits(4)
    width_bits, height_bits = reader.bits(4) + 1, reader.bits(4) + 1
    reader.bits(width_bits + height_bits)
    if reader.flag():  # frame_id_numbers_present_flag
        return None
    reader.bits(3)  # 128 x 128 blocks, filter_intra, intra_edge_filter
    reader.bits(4)  # interintra, masked compound, warped motion, dual filter
    has_order = reader.flag()
    if has_order:
        reader.bits(2)  # jnt_comp, ref_frame_mvs
    tools = _SELECT if reader.flag() else reader.bits(1)
    motion = _SELECT
    if tools and not reader.flag():
        motion = reader.bits(1)
    return _SequenceParameters(tools, motion, reader.bits(3) + 1 if has_order else 0)


def _units(packet: bytes) -> Iterator[tuple[int, bool, bytes]]:
    """Kind, whether it has an extension, and content of each unit of a packet (5.3)."""
    position = 0
    while position < len(packet):
        header = packet[position]
        has_extension = bool(header >> 2 & 1)
        if not header >> 1 & 1:
            raise UnsafeStream("a unit without a size")
        size, begin = _leb128(packet, position + 1 + has_extension)
        position = begin + size
        yield header >> 3 & 15, has_extension, packet[begin:position]
    if position != len(packet):
        raise UnsafeStream("a unit is cut off")


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for place in range(8):
        byte = data[position + place]
        value |= (byte & 0x7F) << (7 * place)
        if not byte & 0x80:
            return value, position + place + 1
    raise UnsafeStream("a damaged size")
