"""Messages between a worker and the process that decodes for it: a line of JSON, then raw bytes.

There is no pickle: whatever a hostile film makes the decoding process send is read as data and never run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from fractions import Fraction
from typing import Any, BinaryIO

from beam_pipelines.media.probe import FilmProbe

_FRACTIONS = ("first_pts_s", "duration_s", "average_rate_hz")
_LONGEST_LINE_BYTES = 1 << 20


def send(pipe: BinaryIO, words: Mapping[str, Any], content: Any = b"") -> None:
    """Writes one message: `words` as JSON, and a buffer of bytes."""
    size_bytes = memoryview(content).nbytes
    pipe.write(json.dumps({**words, "bytes": size_bytes}).encode("ascii") + b"\n")
    if size_bytes:
        pipe.write(content)
    pipe.flush()


def receive(pipe: BinaryIO) -> tuple[dict[str, Any], bytearray] | None:
    """Reads one message; None if the pipe has ended, even in the middle of a message."""
    line = pipe.readline(_LONGEST_LINE_BYTES)
    if not line.endswith(b"\n"):
        return None
    words = json.loads(line)
    content = bytearray(words.pop("bytes"))
    view, read = memoryview(content), 0
    while read < len(content):
        count = pipe.readinto(view[read:])  # type: ignore[attr-defined]
        if not count:
            return None
        read += count
    return words, content


def probe_to_words(probe: FilmProbe) -> dict[str, Any]:
    """A probe as a JSON object, fractions as text."""
    words = asdict(probe)
    words.update({name: None if words[name] is None else str(words[name]) for name in _FRACTIONS})
    return words


def probe_from_words(words: Mapping[str, Any]) -> FilmProbe:
    """The inverse of `probe_to_words`."""
    fractions = {name: None if words[name] is None else Fraction(words[name]) for name in _FRACTIONS}
    return FilmProbe(**{**words, **fractions})
