"""Highlights: the stretches of a film around its strongest peaks and turns, not overlapping, in whole seconds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from beam_pipelines.report.markers.events import Event, Kind

KINDS: tuple[Kind, ...] = ("peak", "rise", "fall")
"""What counts by default: a low is seldom what a trailer wants."""


@dataclass(frozen=True)
class Highlight:
    """A stretch of a film, [start_s, end_s), and what happens in its middle.

    Attributes:
        start_s, end_s: whole seconds, counted as the curves count.
        event: the peak or turn that it shows.
    """

    start_s: int
    end_s: int
    event: Event

    @property
    def seconds(self) -> int:
        """Its length."""
        return self.end_s - self.start_s

    @property
    def strength(self) -> float:
        """How strong its event is (`strength_of`)."""
        return strength_of(self.event)


def strength_of(event: Event) -> float:
    """How far the curve goes from its value at the event, before it and after it; the lesser of the two.

    Of a peak or low that is how far it stands out. A turn lies in the middle of its step, and has half of it.
    """
    return event.prominence / 2 if event.is_turning_point else event.prominence


def choose_highlights(
    events: Sequence[Event], film_s: int, total_s: int, each_s: int, kinds: Collection[Kind] = KINDS
) -> list[Highlight]:
    """The strongest events' stretches in the order of time; equally strong ones: the earlier.

    A stretch that would overlap a stronger one (`strength_of`) is left out, so there may be fewer than fit.

    Args:
        events: the events of a film's curves.
        film_s: T, the film's seconds.
        total_s: how long all stretches may be together.
        each_s: how long each is; the film's length or `total_s` if that is less.
        kinds: which events count.
    """
    each_s = min(each_s, film_s, total_s)
    chosen: list[Highlight] = []
    counted = (event for event in events if event.kind in kinds)
    for event in sorted(counted, key=lambda e: (-strength_of(e), e.time_s, e.target != "valence", e.kind)):
        if len(chosen) == total_s // each_s:
            break
        start_s = min(max(0, event.time_s - each_s // 2), film_s - each_s)
        if all(start_s + each_s <= other.start_s or other.end_s <= start_s for other in chosen):
            chosen.append(Highlight(start_s, start_s + each_s, event))
    return sorted(chosen, key=lambda highlight: highlight.start_s)
