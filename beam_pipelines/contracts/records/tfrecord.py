"""TFRecord files: only the framing, since a tf.data pipeline per file costs more than a short film's features.

A TFRecord file is a sequence of: length (8 bytes, little endian), masked CRC-32C of the length (4), content, masked
CRC-32C of the content (4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import google_crc32c

FRAMING_BYTES = 16
"""The bytes of a frame besides its content."""

_MASK_DELTA = 0xA282EAD8


class DamagedError(ValueError):
    """A TFRecord file is incomplete, or its sums don't match its content."""


def write_frames(path: Path, contents: Iterable[bytes]) -> None:
    """Writes a file with a frame for each content, with the same bytes as `tf.io.TFRecordWriter`."""
    with path.open("wb") as file:
        for content in contents:
            length = len(content).to_bytes(8, "little")
            file.write(length + _sum(length))
            file.write(content)
            file.write(_sum(content))


def read_frames(path: Path) -> Iterator[bytes]:
    """The contents of a file's frames in order, each checked against its sum.

    Raises:
        DamagedError: if the file is incomplete or damaged; the text names the byte.
    """
    with path.open("rb") as file:
        for start, length, _ in _heads(file, path.stat().st_size):
            content = file.read(length)
            if file.read(4) != _sum(content):
                raise DamagedError(f"the content at byte {start} doesn't fit its sum")
            yield content


def read_sums(path: Path) -> Iterator[bytes]:
    """The length and sum of each frame (16 bytes), as the file states them; the contents are not read.

    Raises:
        DamagedError: if the file is incomplete.
    """
    with path.open("rb") as file:
        for start, length, head in _heads(file, path.stat().st_size):
            file.seek(start + len(head) + length)
            yield head + file.read(4)


def read_beginning(path: Path, at_most_bytes: int) -> tuple[bytes, int]:
    """The first bytes of the first frame's content, not checked against its sum, and the number of frames.

    Raises:
        DamagedError: if the file has no frames or is incomplete.
    """
    beginning, frames = b"", 0
    with path.open("rb") as file:
        for start, length, head in _heads(file, path.stat().st_size):
            if not frames:
                beginning = file.read(min(length, at_most_bytes))
            frames += 1
            file.seek(start + len(head) + length + 4)
    if not frames:
        raise DamagedError("the file holds no frame")
    return beginning, frames


def _heads(file: BinaryIO, size_bytes: int) -> Iterator[tuple[int, int, bytes]]:
    while True:
        start = file.tell()
        head = file.read(12)
        if not head:
            return
        length = int.from_bytes(head[:8], "little")
        if len(head) < 12 or start + 12 + length + 4 > size_bytes:
            raise DamagedError(f"the frame at byte {start} is cut off")
        if head[8:] != _sum(head[:8]):
            raise DamagedError(f"the length at byte {start} doesn't fit its sum")
        yield start, length, head


def _sum(content: bytes) -> bytes:
    """The masked CRC-32C of a content, as the file stores it."""
    crc: int = google_crc32c.value(content)
    return (((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF).to_bytes(4, "little")
