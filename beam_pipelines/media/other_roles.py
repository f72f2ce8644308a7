"""Roles of packets of the codecs whose headers say it in a few bytes: MPEG-1, -2 and -4, VP8, VP9, intra-only.

The rules. MPEG: decoding starts at I pictures (open: B pictures shown before them may use what was before), B pictures
are disposable. VP8, VP9: decoding starts at shown key frames; nothing is disposable, for a frame's probabilities and
motion live on in the next. Intra-only codecs: every packet is a start. A packet that does not hold exactly one
picture, a changed sequence header, or anything else that is not as usual makes a stream unsafe: it is decoded entirely.
"""

from __future__ import annotations

from beam_pipelines.media.bit_reader import BitReader
from beam_pipelines.media.packet_role import PacketRole, Start, UnsafeStream

_START_CODE = b"\0\0\1"
_VP8_START_CODE = b"\x9d\x01\x2a"
_VP9_SYNC = 0x498342
# Of an MPEG picture, after its start code.
_INTRA, _PREDICTED, _BIDIRECTIONAL = 1, 2, 3


class MpegVideoRoles:
    """MPEG-1 and MPEG-2 video (ITU-T H.262, 6.2)."""

    _PICTURE, _USER_DATA, _SEQUENCE, _EXTENSION, _SEQUENCE_END, _GROUP = 0x00, 0xB2, 0xB3, 0xB5, 0xB7, 0xB8
    _FIRST_SLICE, _LAST_SLICE = 0x01, 0xAF
    _SEQUENCE_EXTENSION, _DISPLAY_EXTENSION, _PICTURE_EXTENSION = 1, 2, 8
    _FRAME_STRUCTURE = 3

    def __init__(self, extradata: bytes):
        self._sequence: bytes | None = None

    def role(self, packet: bytes, is_key: bool) -> PacketRole:
        """The role of the next packet, which must hold one whole frame."""
        kind, sequence = 0, b""
        position = packet.find(_START_CODE)
        while position >= 0:
            following = packet.find(_START_CODE, position + 3)
            code, body = packet[position + 3], packet[position + 4 : following if following >= 0 else None]
            if code == self._PICTURE:
                if kind:
                    raise UnsafeStream("a packet holds several pictures")
                kind = body[1] >> 3 & 7
            elif code == self._SEQUENCE:
                sequence += body
            elif code == self._EXTENSION:
                extension = body[0] >> 4
                if extension in (self._SEQUENCE_EXTENSION, self._DISPLAY_EXTENSION):
                    sequence += body
                elif extension != self._PICTURE_EXTENSION or body[2] & 3 != self._FRAME_STRUCTURE:
                    raise UnsafeStream("field pictures, or an extension that changes the decoder")
            elif code == self._SEQUENCE_END:
                raise UnsafeStream("the stream ends and begins again")
            elif not self._FIRST_SLICE <= code <= self._LAST_SLICE and code not in (self._USER_DATA, self._GROUP):
                raise UnsafeStream(f"start code {code:#x}")
            position = following
        return self._picture_role(kind, sequence)

    def _picture_role(self, kind: int, sequence: bytes) -> PacketRole:
        if sequence:
            self._sequence = sequence if self._sequence is None else self._sequence
            if sequence != self._sequence:
                raise UnsafeStream("the sequence header changes")
        if kind not in (_INTRA, _PREDICTED, _BIDIRECTIONAL):
            raise UnsafeStream("a packet holds no picture")
        return PacketRole(Start.OPEN if kind == _INTRA else Start.NONE, kind == _BIDIRECTIONAL)


class Mpeg4Roles:
    """MPEG-4 Part 2 (ISO/IEC 14496-2, 6.2)."""

    _VOP, _GROUP, _USER_DATA = 0xB6, 0xB3, 0xB2
    _LAYERS = range(0x20, 0x30)
    _SPRITE = 3

    def __init__(self, extradata: bytes):
        self._layer = _mpeg4_layer(extradata)

    def role(self, packet: bytes, is_key: bool) -> PacketRole:
        """The role of the next packet, which must hold one whole frame (no packed B-frames)."""
        if packet.count(_START_CODE + bytes([self._VOP])) != 1:
            raise UnsafeStream("a packet does not hold exactly one picture")
        layer = _mpeg4_layer(packet)
        if layer and self._layer and layer != self._layer:
            raise UnsafeStream("the layer's header changes")
        self._layer = self._layer or layer
        kind = packet[packet.find(_START_CODE + bytes([self._VOP])) + 4] >> 6
        if kind == self._SPRITE:
            raise UnsafeStream("sprites")
        return PacketRole(Start.OPEN if kind == 0 else Start.NONE, kind == 2)


def _mpeg4_layer(data: bytes) -> bytes:
    """The video object layer's header, empty where there is none."""
    position = data.find(_START_CODE)
    while position >= 0:
        following = data.find(_START_CODE, position + 3)
        if data[position + 3] in Mpeg4Roles._LAYERS:
            return data[position : following if following >= 0 else None].rstrip(b"\0")
        position = following
    return b""


class Vp8Roles:
    """VP8 (RFC 6386, 9.1)."""

    def __init__(self, extradata: bytes):
        self._frames = 0

    def role(self, packet: bytes, is_key: bool) -> PacketRole:
        """The role of the next packet; alternate reference frames are packets of their own and not shown."""
        starts, shown = not packet[0] & 1, bool(packet[0] >> 4 & 1)
        if starts and (packet[3:6] != _VP8_START_CODE or not shown):
            raise UnsafeStream("a key frame that is none")
        self._frames += 1
        return PacketRole(Start.CLOSED if starts else Start.NONE, False, self._frames, shown=shown)


class Vp9Roles:
    """VP9 (bitstream specification, 6.2 and annex B)."""

    def __init__(self, extradata: bytes):
        self._frames = 0

    def role(self, packet: bytes, is_key: bool) -> PacketRole:
        """The role of the next packet, a frame or a superframe with one shown frame."""
        reader = BitReader(packet[:8])
        if reader.bits(2) != 2:
            raise UnsafeStream("not a VP9 frame")
        profile = reader.bits(1) | reader.bits(1) << 1
        if profile == 3:
            reader.bits(1)
        starts = False
        is_superframe = packet[-1] & 0xE0 == 0xC0
        if not reader.flag():  # show_existing_frame
            is_key_frame, shown = not reader.flag(), reader.flag()
            reader.flag()
            if not shown and not is_superframe:
                raise UnsafeStream("a frame that is not shown is a packet of its own")
            if is_key_frame and reader.bits(24) != _VP9_SYNC:
                raise UnsafeStream("a key frame that is none")
            starts = is_key_frame and shown
        self._frames += 1
        return PacketRole(Start.CLOSED if starts else Start.NONE, False, self._frames)


class IntraRoles:
    """Codecs in which no packet ever uses another."""

    def __init__(self, extradata: bytes):
        self._frames = 0

    def role(self, packet: bytes, is_key: bool) -> PacketRole:
        """Every packet is a start."""
        self._frames += 1
        return PacketRole(Start.CLOSED, False, self._frames)
