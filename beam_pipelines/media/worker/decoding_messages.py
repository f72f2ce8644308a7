"""Messages between a worker and the process that decodes for it: a line of JSON, then raw bytes.

There is no pickle: whatever a hostile film makes the decoding process send is read as data and never run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np

from beam_pipelines.media.audio.sound_choice import SoundChoice, SoundTrack
from beam_pipelines.media.clock.joined_clock import jumps_from_rows, jumps_to_rows
from beam_pipelines.media.probe import FilmProbe
from beam_pipelines.media.video.picture_shape import BlackBars, PictureShape

_FRACTIONS = ("first_pts_s", "duration_s", "average_rate_hz", "file_start_s")
_LONGEST_LINE_BYTES = 1 << 20
EXIT_OUT_OF_MEMORY = 12
"""What the child ends with if it reaches its memory limit."""


def send(pipe: BinaryIO, message: Mapping[str, Any], content: Any = b"") -> None:
    """Writes one message: `message` as JSON, and a buffer of bytes."""
    size_bytes = memoryview(content).nbytes
    pipe.write(json.dumps({**message, "bytes": size_bytes}).encode("ascii") + b"\n")
    if size_bytes:
        pipe.write(content)
    pipe.flush()


def receive(pipe: BinaryIO) -> tuple[dict[str, Any], memoryview] | None:
    """Reads one message; None if the pipe has ended, even in the middle of a message."""
    line = pipe.readline(_LONGEST_LINE_BYTES)
    if not line.endswith(b"\n"):
        return None
    message = json.loads(line)
    # Not a bytearray, which would be filled with zeros first.
    content, read = np.empty(message.pop("bytes"), np.uint8).data, 0
    while read < len(content):
        count = pipe.readinto(content[read:])  # type: ignore[attr-defined]
        if not count:
            return None
        read += count
    return message, content


def probe_to_message(probe: FilmProbe) -> dict[str, Any]:
    """A probe as a JSON object, fractions as text."""
    message = asdict(probe)
    message.update({name: None if message[name] is None else str(message[name]) for name in _FRACTIONS})
    message["jumps"] = jumps_to_rows(probe.jumps)
    message["shape"]["pixel_aspect"] = str(probe.shape.pixel_aspect)
    return message


def probe_from_message(message: Mapping[str, Any]) -> FilmProbe:
    """The inverse of `probe_to_message`."""
    fractions = {name: None if message[name] is None else Fraction(message[name]) for name in _FRACTIONS}
    tracks = tuple(SoundTrack(**track) for track in message["sound"]["tracks"])
    sound = SoundChoice(**{**message["sound"], "tracks": tracks})
    jumps = jumps_from_rows(message["jumps"])
    shape = {**message["shape"], "pixel_aspect": Fraction(message["shape"]["pixel_aspect"])}
    shape["bars"] = BlackBars(**shape["bars"])
    return FilmProbe(**{**message, **fractions, "sound": sound, "jumps": jumps, "shape": PictureShape(**shape)})
