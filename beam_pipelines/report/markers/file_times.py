"""A film's seconds on the clock of its file, by which players and editing programs count.

file      0s      1s      2s      3s      4s      players; editing programs add the start timecode
film                              0s      1s      curves: from the first picture, here 3 s later
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

USUAL_START = "01:00:00:00"
"""Where most programs begin."""


@dataclass(frozen=True)
class FileTimes:
    """How the seconds of a film's curves become times of its file.

    Attributes:
        offset_s: the time of the first picture in the file: what is added to every time that leaves for other programs.
        start_timecode: what editing programs show at the file's start.
        note: what a reader of the files must know about these times; may be empty.
    """

    offset_s: Fraction = Fraction(0)
    start_timecode: str = USUAL_START
    note: str = ""


FROM_FIRST_PICTURE = FileTimes()
"""The times of a film whose file begins with its first picture."""
