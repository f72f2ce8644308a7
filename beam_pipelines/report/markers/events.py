"""Peaks and turning points of a curve: the seconds that are worth a look.

     peak                    A peak is a second where the curve is higher than on both sides by at least the
rise  /\\  fall              prominence; a low, where it is lower. Between a low and the next peak is a rise, between
    \\/  \\                   a peak and the next low a fall. A turning point is the steepest second of either. The
    low                      first and last second of a film may be such extremes too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Kind = Literal["peak", "low", "rise", "fall"]
EXTREMES: tuple[Kind, ...] = ("peak", "low")
PROMINENCE = 0.25
"""How far a peak must stand out, as a share of the film's own spread (5th to 95th percentile)."""
MINIMUM_PROMINENCE = 0.02
"""The same as a share of the labels' range, so that a flat film has no peaks."""
DISTANCE_S = 8
"""The least distance between two peaks, or two lows."""
MOST_EXTREMES = 60
"""The largest number of peaks and lows together per curve; the most prominent ones remain."""


@dataclass(frozen=True)
class Event:
    """One peak or turning point.

    Attributes:
        time_s: the second.
        target: `valence` or `arousal`.
        kind: `peak`, `low`, `rise` or `fall`.
        value: the curve's value at that second.
        prominence: how far a peak or low stands out; for a rise or fall, the size of the step from low to peak.
        reasons: what each modality gives there, largest first, if the curve is explained (`reasons`).
    """

    time_s: int
    target: str
    kind: Kind
    value: float
    prominence: float
    reasons: tuple[tuple[str, float], ...] = ()

    @property
    def is_turning_point(self) -> bool:
        """Whether it is a rise or a fall."""
        return self.kind not in EXTREMES


def find_events(values: ArrayLike, target: str, *, label_range: tuple[float, float] = (-1.0, 1.0)) -> list[Event]:
    """The peaks, lows, rises and falls of one smoothed curve, in the order of time.

    Args:
        values: float [T], one value per second; seconds without a finite value are interpolated.
        target: `valence` or `arousal`.
        label_range: lowest and highest label.

    Raises:
        ValueError: if the array is not one-dimensional.
    """
    curve = np.asarray(values, np.float64)
    if curve.ndim != 1:
        raise ValueError(f"a curve has one axis, [T]; this array has the shape {curve.shape}")
    finite = np.isfinite(curve)
    if finite.sum() < 3:
        return []
    seconds = np.arange(curve.size)
    curve = np.interp(seconds, seconds[finite], curve[finite])
    least = _least_prominence(curve, label_range)
    extremes = [*_extremes(curve, target, "peak", least), *_extremes(curve, target, "low", least)]
    # Of equally prominent ones the earlier remains, so that the choice doesn't depend on the order of a sort.
    extremes = sorted(extremes, key=lambda event: (-event.prominence, event.time_s, event.kind))[:MOST_EXTREMES]
    extremes.sort(key=lambda event: event.time_s)
    turns = (_steepest(curve, target, *pair) for pair in pairwise(_with_ends(curve, target, extremes, least)))
    # A filter bends a curve most at its ends: a steep end is no event of the film.
    inside = range(DISTANCE_S, curve.size - DISTANCE_S)
    return in_order([*extremes, *(turn for turn in turns if turn is not None and turn.time_s in inside)])


def in_order(events: Iterable[Event]) -> list[Event]:
    """Events by time; at one second valence before arousal, then by kind."""
    return sorted(events, key=lambda event: (event.time_s, event.target != "valence", event.target, event.kind))


def _least_prominence(curve: NDArray[np.float64], label_range: tuple[float, float]) -> float:
    low, high = np.percentile(curve, (5, 95))
    least = MINIMUM_PROMINENCE * (label_range[1] - label_range[0])
    # Never zero: otherwise every rounding error of a constant curve would be a peak.
    return max(float(PROMINENCE * (high - low)), least, 1e-6)


def _extremes(curve: NDArray[np.float64], target: str, kind: Kind, least: float) -> list[Event]:
    upright = curve if kind == "peak" else -curve
    from scipy import signal

    places, found = signal.find_peaks(upright, prominence=least, distance=DISTANCE_S)
    return [
        Event(int(place), target, kind, float(curve[place]), float(prominence))
        for place, prominence in zip(places, found["prominences"], strict=True)
    ]


def _with_ends(curve: NDArray[np.float64], target: str, extremes: list[Event], least: float) -> list[Event]:
    """The extremes, and the film's first and last second if the curve is far enough from the nearest extreme there."""
    if not extremes:
        return []
    opposite: dict[Kind, Kind] = {"peak": "low", "low": "peak"}
    ends = []
    for place, neighbour in ((0, extremes[0]), (curve.size - 1, extremes[-1])):
        step = neighbour.value - float(curve[place])
        if (step if neighbour.kind == "peak" else -step) >= least:
            ends.append(Event(place, target, opposite[neighbour.kind], float(curve[place]), abs(step)))
    return sorted([*extremes, *ends], key=lambda event: event.time_s)


def _steepest(curve: NDArray[np.float64], target: str, first: Event, second: Event) -> Event | None:
    """The turning point between two neighbouring extremes; None if they are of one kind or adjacent."""
    if first.kind == second.kind or second.time_s - first.time_s < 2:
        return None
    kind: Kind = "rise" if second.kind == "peak" else "fall"
    slope = np.gradient(curve)[first.time_s + 1 : second.time_s]
    place = first.time_s + 1 + int(np.argmax(slope if kind == "rise" else -slope))
    return Event(place, target, kind, float(curve[place]), abs(second.value - first.value))
