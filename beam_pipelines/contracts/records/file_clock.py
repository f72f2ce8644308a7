"""The clock of a film's file, by which players and editing programs count; the film's begins at its first picture."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TIMECODE = re.compile(r"\d\d:[0-5]\d:[0-5]\d[:;]\d\d", re.ASCII)


def is_timecode(text: str) -> bool:
    """Whether a text is a timecode, hh:mm:ss:ff, or hh:mm:ss;ff with drop-frame counting."""
    return _TIMECODE.fullmatch(text) is not None


@dataclass(frozen=True)
class FileClock:
    """The clock of a film's file.

    Attributes:
        start_us: the timestamp that players show as time 0, on the container's clock.
        timecode: what editing programs show there, from a timecode track or tag; empty if the film has none.
        jumps_us: places where the file's timestamps jump and were closed, each with its time, counted from the first
            picture, and its size (negative: back). Behind them players may show other times.
    """

    start_us: int = 0
    timecode: str = ""
    jumps_us: tuple[tuple[int, int], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The clock as a JSON object."""
        jumps = [list(jump) for jump in self.jumps_us]
        return {"start_us": self.start_us, "timecode": self.timecode, "jumps_us": jumps}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> FileClock:
        """The inverse of `to_json`; other keys are ignored, since a newer version may have them.

        Raises:
            ValueError, KeyError: if the object is no clock.
        """
        start_us, timecode, jumps = found["start_us"], found["timecode"], found["jumps_us"]
        if not isinstance(start_us, int) or not isinstance(timecode, str) or not isinstance(jumps, list):
            raise ValueError("the file's clock has values of other types")
        try:
            return cls(start_us, timecode, tuple((int(time_us), int(size_us)) for time_us, size_us in jumps))
        except TypeError as error:
            raise ValueError("the file's clock has a jump without time and size") from error
