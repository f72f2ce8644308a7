"""The file's own clock, as players and editing programs count it: from the file's start, or from its timecode.

file      |sound        |sound ...                 players count from the file's start
pictures       |0       |1       |2                time 0 of the film is the first picture
          offset
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer

from beam_pipelines.contracts.records.file_clock import is_timecode

_KEY = "timecode"


def file_start_s(container: InputContainer, first_pts_s: Fraction) -> Fraction:
    """The timestamp that players show as time 0: the first of any stream, not later than that of the pictures."""
    if container.start_time is None:
        return first_pts_s
    return min(first_pts_s, Fraction(container.start_time, av.time_base))


def start_timecode(container: InputContainer, video: Any) -> str:
    """The timecode of the file's start, hh:mm:ss:ff or hh:mm:ss;ff, from a timecode track or a tag; else empty."""
    for source in (video, *container.streams, container):
        for key, value in source.metadata.items():
            if key.lower() == _KEY and is_timecode(value):
                return str(value)
    return ""
