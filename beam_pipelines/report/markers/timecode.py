"""Times in seconds as editors write them: SMPTE timecode, hh:mm:ss:ff.

At 23.976 and 29.97 frames per second timecode counts whole frames at 24 and 30, so it runs slower than the clock. At
29.97 and 59.94 there is also drop-frame timecode (written with `;`). It leaves out frame *numbers*, the first two
(four) of every minute except each tenth, and so stays within a frame or two of the clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

_NTSC = Fraction(1000, 1001)
_DROPPING_HZ = (30 * _NTSC, 60 * _NTSC)
# In frames: a microsecond is less at any rate.
_ROUNDING = Fraction(1, 1000)
STANDARD_RATES_HZ = tuple(
    sorted([Fraction(n) for n in (24, 25, 30, 48, 50, 60)] + [n * _NTSC for n in (24, 30, 48, 60)])
)
"""The frame rates that editing programs have timelines for."""


@dataclass(frozen=True)
class FrameRate:
    """A frame rate and how its frames are counted.

    Attributes:
        rate_hz: exact; one of `STANDARD_RATES_HZ`.
        drop: drop-frame counting; only 29.97 and 59.94 have it.

    Raises:
        ValueError: if drop-frame counting is set for another rate, or no timeline has the rate.
    """

    rate_hz: Fraction
    drop: bool = False

    def __post_init__(self) -> None:
        if self.rate_hz not in STANDARD_RATES_HZ:
            known = ", ".join(f"{float(rate):.5g}" for rate in STANDARD_RATES_HZ)
            raise ValueError(f"no timeline has {float(self.rate_hz):.5g} frames a second (there are {known})")
        if self.drop and self.rate_hz not in _DROPPING_HZ:
            raise ValueError(f"{float(self.rate_hz):.5g} frames a second have no drop-frame timecode")

    @property
    def nominal(self) -> int:
        """The number of frames that timecode counts per second."""
        return math.ceil(self.rate_hz)

    def frame_at(self, time_s: float | Fraction) -> int:
        """The number of the frame on screen at a time, counted from 0; times may be rounded to microseconds."""
        return math.floor(Fraction(time_s) * self.rate_hz + _ROUNDING)

    def timecode(self, frame: int) -> str:
        """The timecode of a frame; after 24 hours it restarts, as on tape."""
        number = self._skip_dropped(frame) if self.drop else frame
        seconds, frames = divmod(number, self.nominal)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours % 24:02d}:{minutes:02d}:{seconds:02d}{';' if self.drop else ':'}{frames:02d}"

    def has(self, timecode: str) -> bool:
        """Whether the rate has this frame of a second, and drop-frame counting if the timecode is written with it."""
        counts = ";" not in timecode or self.rate_hz in _DROPPING_HZ
        return counts and int(timecode[-2:]) < self.nominal

    def counting_as(self, timecode: str) -> FrameRate:
        """The same rate, counted as a timecode is: with `;` in drop-frame."""
        return replace(self, drop=";" in timecode)

    def frame_of(self, timecode: str) -> int:
        """The frame that a timecode names: the inverse of `timecode`."""
        hours, minutes, seconds, frames = (int(part) for part in timecode.replace(";", ":").split(":"))
        total_minutes = 60 * hours + minutes
        frame = (60 * total_minutes + seconds) * self.nominal + frames
        if self.drop:
            frame -= self._dropped_a_minute * (total_minutes - total_minutes // 10)
        return frame

    @property
    def _dropped_a_minute(self) -> int:
        return self.nominal // 15

    def _skip_dropped(self, frame: int) -> int:
        dropped = self._dropped_a_minute
        minute = 60 * self.nominal - dropped
        ten_minutes = 10 * minute + dropped
        tens, rest = divmod(frame, ten_minutes)
        # The first minute of each ten drops nothing, so it is longer by `dropped` frames.
        minutes = max(0, rest - dropped) // minute
        return frame + dropped * (9 * tens + minutes)


def nearest_rate(rate_hz: Fraction | float | None) -> FrameRate:
    """The timeline rate nearest to a film's own; 29.97 and 59.94 count drop-frame, as television does.

    Args:
        rate_hz: the rate in the film's header, or None if it is unknown: then 25.
    """
    wanted = Fraction(rate_hz) if rate_hz else Fraction(25)
    nearest = min(STANDARD_RATES_HZ, key=lambda rate: abs(rate - wanted))
    return FrameRate(nearest, drop=nearest in _DROPPING_HZ)
