"""From a film's picture packets to its first timestamp and its length."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from beam_pipelines.foundation.errors import FilmError

STEP = "probe"
# FFmpeg's own guess if a stream has one frame and doesn't say how long it lasts.
_DEFAULT_FRAME_S = Fraction(1, 25)


class PacketSpan:
    """The first timestamp and the end of the packets added so far.

    Attributes:
        name: the film, for errors.
        packets, packets_damaged: how many were added, and how many of these the demuxer marks as damaged.
    """

    def __init__(self, time_base: Fraction, rate_hz: Fraction | None, max_duration_s: int, name: str):
        self.name = name
        self.packets, self.packets_damaged = 0, 0
        self._time_base = time_base
        self._rate_hz = rate_hz
        self._max_duration_s = max_duration_s
        self._first: int | None = None
        # The two latest timestamps, and the latest end of a packet that has a duration.
        self._last: int | None = None
        self._before_last: int | None = None
        self._last_has_duration = False
        self._end: int | None = None
        self._previous_end = 0

    @property
    def is_empty(self) -> bool:
        """Whether no packet is shown."""
        return self._first is None

    def add(self, packet: Any) -> None:
        """Takes the next packet in file order; one that isn't shown only counts."""
        self.packets += 1
        self.packets_damaged += packet.is_corrupt
        if packet.is_discard:
            return
        pts = next((stamp for stamp in (packet.pts, packet.dts) if stamp is not None), self._previous_end)
        duration = max(packet.duration or 0, 0)
        self._previous_end = pts + duration
        self._first = pts if self._first is None else min(self._first, pts)
        if self._last is None or pts > self._last:
            self._before_last, self._last, self._last_has_duration = self._last, pts, duration > 0
        elif pts < self._last:
            self._before_last = pts if self._before_last is None else max(self._before_last, pts)
        if duration > 0:
            self._end = pts + duration if self._end is None else max(self._end, pts + duration)

    def empty(self) -> PacketSpan:
        """A span of the same stream, without packets."""
        return PacketSpan(self._time_base, self._rate_hz, self._max_duration_s, self.name)

    def result(self) -> tuple[Fraction, Fraction]:
        """First timestamp and duration, in seconds.

        Raises:
            FilmError: step `probe`, reason `too_long`.
        """
        assert self._first is not None
        assert self._last is not None
        ends_s = [] if self._end is None else [self._end * self._time_base]
        if not self._last_has_duration:
            ends_s.append(self._last * self._time_base + self._guessed_frame_s())
        first_s, end_s = self._first * self._time_base, max(ends_s)
        if end_s - first_s > self._max_duration_s:
            seconds = f"{float(end_s - first_s):.0f} s"
            raise FilmError(STEP, "too_long", f"{self.name}: its timestamps span {seconds}, beyond the limits")
        return first_s, end_s - first_s

    def _guessed_frame_s(self) -> Fraction:
        if self._rate_hz:
            return 1 / Fraction(self._rate_hz)
        if self._last is not None and self._before_last is not None:
            return (self._last - self._before_last) * self._time_base
        return _DEFAULT_FRAME_S
