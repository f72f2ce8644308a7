"""The beginning of a feature record: what it says of its film, read without its features."""

from __future__ import annotations

from pathlib import Path

from beam_pipelines.contracts.records import tfrecord

# A context is a few kilobytes: addresses, fingerprints, descriptions.
_MOST_BYTES = 1 << 18
_CONTEXT_TAG = 0x0A


def read_context(path: Path) -> tuple[bytes, int]:
    """A SequenceExample that holds the first segment's context and nothing else, and the number of segments.

    The beginning of a message up to the end of a field is a message too; a SequenceExample begins with its context.

    Raises:
        DamagedError: for a file without segments or one that is cut off.
        ValueError: where the first segment doesn't begin with its context.
    """
    begin, segments = tfrecord.read_beginning(path, _MOST_BYTES)
    if not begin or begin[0] != _CONTEXT_TAG:
        raise ValueError("its context is not its first field")
    place, size = 1, 0
    # The field's length: seven bits a byte, the lowest first.
    while True:
        size |= (begin[place] & 0x7F) << 7 * (place - 1)
        place += 1
        if begin[place - 1] < 0x80:
            break
    if place + size > len(begin):
        raise ValueError("its context is cut off")
    return begin[: place + size], segments
