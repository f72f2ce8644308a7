"""Roles of packets of the codecs that need few bytes of a header or none: MPEG-1, -2 and -4, VP8, VP9, AV1, intra-only.

The rules. MPEG: decoding starts at I pictures (open: B pictures that are shown before them may use earlier pictures);
B pictures are disposable. VP8, VP9, AV1: decoding starts at packets that the container marks as key frames; nothing is
disposable. Intra-only codecs: every packet is a start. A stream is unsafe, and decoded entirely, if an MPEG packet does
not hold exactly one picture, if a sequence header changes, or if anything else is unusual.
"""

from __future__ import annotations

from beam_pipelines.media.video.codecs.packet_role import PacketRole, Start, UnsafeStream

_START_CODE = b"\0\0\1"
# The types of an MPEG picture, after its start code.
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
        """The role of the next packet, which must hold one whole frame.

        Raises:
            UnsafeStream: if the packet's role is not certain.
        """
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
        """The role of the next packet, which must hold one whole frame (no packed B-frames).

        Raises:
            UnsafeStream: if the packet's role is not certain.
        """
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
    """The video object layer's header, empty if there is none."""
    position = data.find(_START_CODE)
    while position >= 0:
        following = data.find(_START_CODE, position + 3)
        if data[position + 3] in Mpeg4Roles._LAYERS:
            return data[position : following if following >= 0 else None].rstrip(b"\0")
        position = following
    return b""


class KeyFlagRoles:
    """VP8, VP9 and AV1, by the container's key-frame flags alone: a plan leaves out only the ends of GOPs.

    FFmpeg's parsers correct wrong flags. A wrong flag that remains does no harm: flagged packets are open starts,
    before which the decoder is emptied, and an emptied decoder refuses to continue from a packet that is no key frame.
    """

    def __init__(self, extradata: bytes):
        self._frames = 0

    def role(self, packet: bytes, is_key: bool) -> PacketRole:
        """The role of the next packet; these codecs store frames in the order in which they are shown."""
        self._frames += 1
        return PacketRole(Start.OPEN if is_key else Start.NONE, False, self._frames)


class Vp8Roles(KeyFlagRoles):
    """VP8, whose alternate reference frames are separate packets that are never shown (RFC 6386, 9.1: one bit)."""

    def role(self, packet: bytes, is_key: bool) -> PacketRole:
        """The role of the next packet."""
        return super().role(packet, is_key)._replace(shown=bool(packet[0] >> 4 & 1))


class IntraRoles:
    """Codecs in which no packet ever uses another."""

    def __init__(self, extradata: bytes):
        self._frames = 0

    def role(self, packet: bytes, is_key: bool) -> PacketRole:
        """Every packet is a start."""
        self._frames += 1
        return PacketRole(Start.CLOSED, False, self._frames)
