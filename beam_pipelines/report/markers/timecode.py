"""Times in seconds as editors write them: SMPTE timecode, hh:mm:ss:ff.

At 23.976 and 29.97 frames a second timecode counts whole frames at 24 and 30, so it runs slower than the clock. At
29.97 and 59.94 there is drop-frame timecode (written with `;`) too: it leaves out frame *numbers*, the first two (four)
of every minute but each tenth, and so keeps within a frame or two of the clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

_NTSC = Fraction(1000, 1001)
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
        ValueError: for drop-frame counting at any other rate, or a rate no timeline has.
    """

    rate_hz: Fraction
    drop: bool = False

    def __post_init__(self) -> None:
        if self.rate_hz not in STANDARD_RATES_HZ:
            known = ", ".join(f"{float(rate):.5g}" for rate in STANDARD_RATES_HZ)
            raise ValueError(f"no timeline has {float(self.rate_hz):.5g} frames a second (there are {known})")
        if self.drop and self.rate_hz not in (30 * _NTSC, 60 * _NTSC):
            raise ValueError(f"{float(self.rate_hz):.5g} frames a second have no drop-frame timecode")

    @property
    def nominal(self) -> int:
        """Frames that timecode counts to a second."""
        return math.ceil(self.rate_hz)

    def frame_at(self, time_s: float | Fraction) -> int:
        """The number of the frame on screen at a time, from 0 on."""
        return math.floor(Fraction(time_s) * self.rate_hz)

    def timecode(self, frame: int) -> str:
        """The timecode of a frame; after 24 hours it begins again, as on tape."""
        number = self._skip_dropped(frame) if self.drop else frame
        seconds, frames = divmod(number, self.nominal)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours % 24:02d}:{minutes:02d}:{seconds:02d}{';' if self.drop else ':'}{frames:02d}"

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


def nearest_rate(rate_hz: Fraction | float | None, otherwise: Fraction = Fraction(25)) -> FrameRate:
    """The timeline rate nearest to a film's own; 29.97 and 59.94 count drop-frame, as television does.

    Args:
        rate_hz: from the film's header, or None where it is unknown.
        otherwise: the rate then.
    """
    wanted = Fraction(rate_hz) if rate_hz else otherwise
    nearest = min(STANDARD_RATES_HZ, key=lambda rate: abs(rate - wanted))
    return FrameRate(nearest, drop=nearest in (30 * _NTSC, 60 * _NTSC))
