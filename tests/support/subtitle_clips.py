"""Maker of small films with subtitle tracks: packets as they are given, so that they may be wrong in any way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.stream import Disposition

from tests.support.several_tracks import NO_FLAGS
from tests.support.synthetic_clips import HEIGHT_PX, WIDTH_PX, numbered_picture

_ASS_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname
Style: Default,Arial

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


@dataclass(frozen=True)
class SubtitleTrack:
    """A track: `cues` are start and end in milliseconds on the file's clock, and text (or its bytes).

    The codec may be `wvtt`: WebVTT as MP4 has it, which FFmpeg doesn't write.
    """

    cues: Sequence[tuple[int, int, str | bytes]]
    codec: str = "srt"
    language: str = "eng"
    title: str = ""
    flags: Disposition = NO_FLAGS


def write_subtitled(path: Path, seconds: int, tracks: Sequence[SubtitleTrack], begin_s: int = 0) -> Path:
    """Writes a film of one picture a second, the first at `begin_s`, with subtitle tracks."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("mpeg4", rate=1)
        video.width, video.height, video.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        streams = [_add(container, track) for track in tracks]
        packets = []
        for number in range(seconds):
            frame = av.VideoFrame.from_ndarray(numbered_picture(number), format="rgb24")
            frame.pts, frame.time_base = number + begin_s, Fraction(1)
            packets += video.encode(frame)
        packets += video.encode(None)
        for stream, track in zip(streams, tracks, strict=True):
            packets += [_packet(stream, track.codec, *cue) for cue in track.cues]
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    if any(track.codec == "wvtt" for track in tracks):
        path.write_bytes(path.read_bytes().replace(b"tx3g", b"wvtt"))
    return path


def srt(*cues: tuple[int, int, str]) -> str:
    """The text of a SubRip file."""
    return "\n".join(f"{n}\n{_stamp(a)} --> {_stamp(b)}\n{text}\n" for n, (a, b, text) in enumerate(cues, 1))


def _stamp(time_ms: int) -> str:
    seconds, milliseconds = divmod(time_ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},{milliseconds:03}"


def _add(container: Any, track: SubtitleTrack) -> Any:
    stream = container.add_stream("mov_text" if track.codec == "wvtt" else track.codec)
    if track.codec in ("ass", "srt", "webvtt", "mov_text", "wvtt"):
        stream.codec_context.subtitle_header = _ASS_HEADER
    stream.time_base = Fraction(1, 1000)
    stream.metadata.update({"language": track.language} | ({"title": track.title} if track.title else {}))
    stream.disposition = track.flags
    return stream


def _box(kind: bytes, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4, "big") + kind + content


def _packet(stream: Any, codec: str, start_ms: int, end_ms: int, text: str | bytes) -> Any:
    content = text if isinstance(text, bytes) else text.encode()
    if codec == "mov_text":
        content = len(content).to_bytes(2, "big") + content
    if codec == "wvtt":
        content = _box(b"vttc", _box(b"iden", b"1") + _box(b"payl", content))
    if codec == "ass":
        content = b"0,0,Default,,0,0,0,," + content
    packet = av.Packet(content)
    packet.stream, packet.time_base = stream, Fraction(1, 1000)
    packet.pts = packet.dts = start_ms
    packet.duration = end_ms - start_ms
    return packet
