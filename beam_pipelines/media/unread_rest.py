"""What lies in a file behind the film that FFmpeg reads: MP4 or FLV files joined by `cat` show the first one only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

_FLV_TAG_HEADER, _FLV_LENGTH_BEFORE = 11, 4


def unread_mb(path: str | Path, container: str) -> float:
    """The size of the further films in a file, in MB (10^6 bytes), rounded up to a kilobyte; 0 without any.

    Args:
        path: the film.
        container: FFmpeg's first name of its format. Other formats than MP4 (`mov`) and FLV are read to their end.
    """
    find = _SECOND_FILE.get(container)
    if find is None:
        return 0.0
    with open(path, "rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        second = find(file, size_bytes)
    return 0.0 if second is None else -(-(size_bytes - second) // 1000) / 1000


def _second_mp4(file: BinaryIO, size_bytes: int) -> int | None:
    """Where a second movie begins. In a file of fragments FFmpeg goes on behind a second header, so there is none."""
    headers, begins = 0, 0
    for place, kind in _boxes(file, size_bytes):
        if kind == b"moof":
            return None
        if kind == b"ftyp":
            begins = place
        headers += kind == b"moov"
        if headers == 2:
            return begins or place
    return None


def _boxes(file: BinaryIO, size_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Place and type of each box at the top of an MP4 file (ISO/IEC 14496-12, 4.2), as far as they fit."""
    place = 0
    while place + 8 <= size_bytes:
        file.seek(place)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:], "big")
        yield place, header[4:8]
        if length < 8:  # 0 is the last box, and another number none
            return
        place += length


def _second_flv(file: BinaryIO, size_bytes: int) -> int | None:
    """Where a second FLV file begins, behind a tag of the first (Adobe's FLV specification 10.1, annex E)."""
    file.seek(5)
    place = int.from_bytes(file.read(4), "big") + _FLV_LENGTH_BEFORE
    while place + _FLV_TAG_HEADER <= size_bytes:
        file.seek(place)
        header = file.read(4)
        if header[:3] == b"FLV":
            return place
        place += _FLV_TAG_HEADER + int.from_bytes(header[1:4], "big") + _FLV_LENGTH_BEFORE
    return None


_SECOND_FILE: Mapping[str, Callable[[BinaryIO, int], int | None]] = {"mov": _second_mp4, "flv": _second_flv}
