"""Arcs: curves of one length, so that films of any length can be compared; level and range are kept apart.

A film's arc has `POINTS` points for each target: the means of equal parts of the film. Its shape is the arc less its
mean, divided by its spread. `mean + spread * shape` is the arc again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.report.markers.events import find_events

POINTS = 100
FLAT = 0.01
"""The least spread that a shape is divided by, as a share of the labels' range: a flat curve's noise is no shape."""
DECIMALS = 6

Range = tuple[float, float]
_ARRAYS = ("seconds", "shape", "mean", "spread", "range", "peaks")
"""The attributes of `Arcs` with an entry for every film."""


@dataclass(frozen=True, eq=False)
class Arcs:
    """The arcs of a catalogue, or of a single film. N films, D targets.

    Attributes:
        film_ids: the films, sorted.
        targets: what their model predicts, in the order of `TARGETS`.
        label_range: lowest and highest label.
        seconds: int32 [N], the films' lengths.
        shape: float32 [N, POINTS, D], without unit: mean 0, standard deviation 1 (less for a flat curve).
        mean, spread: float64 [N, D], of the arc, in the labels' unit; the spread is the population standard deviation.
        range: float64 [N, D], the highest less the lowest second of the smoothed curve, in the labels' unit.
        peaks: int32 [N, D], the number of the curve's peaks (`find_events`).
        family: int32 [N], each film's family, from 1; None before `cineaffect families`.
    """

    film_ids: tuple[str, ...]
    targets: tuple[str, ...]
    label_range: Range
    seconds: NDArray[np.int32]
    shape: NDArray[np.float32]
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    range: NDArray[np.float64]
    peaks: NDArray[np.int32]
    family: NDArray[np.int32] | None = field(default=None)

    def __len__(self) -> int:
        return len(self.film_ids)

    @property
    def values(self) -> NDArray[np.float64]:
        """The arcs in the labels' unit, float64 [N, POINTS, D]."""
        return self.mean[:, None] + self._divisor[:, None] * self.shape

    @property
    def _divisor(self) -> NDArray[np.float64]:
        return np.maximum(self.spread, FLAT * (self.label_range[1] - self.label_range[0]))

    def of(self, targets: Sequence[str]) -> Arcs:
        """The same arcs of some of their targets."""
        if tuple(targets) == self.targets:
            return self
        places = [self.targets.index(target) for target in targets]
        parts = {name: getattr(self, name)[..., places] for name in _ARRAYS if name != "seconds"}
        return replace(self, targets=tuple(targets), **parts)

    def take(self, places: Sequence[int] | NDArray[np.intp]) -> Arcs:
        """Some of the films, in the order of their places."""
        chosen = np.asarray(places, np.intp)
        parts = {name: getattr(self, name)[chosen] for name in _ARRAYS}
        family = None if self.family is None else self.family[chosen]
        return replace(self, film_ids=tuple(self.film_ids[place] for place in chosen), family=family, **parts)


def resample(values: ArrayLike) -> NDArray[np.float64]:
    """The means of `POINTS` equal parts of a curve, float [T] -> float64 [POINTS]; second t fills [t, t + 1).

    Seconds without a finite value are interpolated.

    Raises:
        ValueError: if no value is finite.
    """
    curve = np.asarray(values, np.float64)
    finite = np.isfinite(curve)
    if not finite.any():
        raise ValueError("a curve without a finite value has no arc")
    seconds = np.arange(curve.size)
    curve = np.interp(seconds, seconds[finite], curve[finite])
    # The integral is linear within a second, so its differences are exact for films of any length.
    integral = np.concatenate([[0.0], np.cumsum(curve)])
    edges = np.linspace(0, curve.size, POINTS + 1)
    means: NDArray[np.float64] = np.diff(np.interp(edges, np.arange(curve.size + 1), integral)) * (POINTS / curve.size)
    return means


def arcs_of(curves: Iterable[AffectCurve], label_range: Range) -> Arcs:
    """The arcs of films with the same targets.

    Raises:
        ConfigurationError: if there is no film, or the films differ in their targets.
    """
    films = [(curve.film_id, _arc_of_film(curve, label_range)) for curve in curves]
    if not films:
        raise ConfigurationError("the scores hold no film; score some with cineaffect score")
    films.sort(key=lambda film: film[0])
    targets = films[0][1].targets
    other = next((film_id for film_id, arc in films if arc.targets != targets), None)
    if other is not None:
        raise ConfigurationError(f"{other} has other targets than {films[0][0]}; score both with one model")
    parts = [arc for _, arc in films]
    return Arcs(
        film_ids=tuple(film_id for film_id, _ in films),
        targets=targets,
        label_range=label_range,
        **{name: np.concatenate([getattr(arc, name) for arc in parts]) for name in _ARRAYS},
    )


def arc_from_points(name: str, points: Mapping[str, NDArray[np.float64]], label_range: Range) -> Arcs:
    """The arc of given points, target -> float64 [POINTS], in the labels' unit."""
    targets = tuple(target for target in TARGETS if target in points)
    arc = np.stack([points[target] for target in targets], axis=1)
    mean, spread = arc.mean(axis=0), arc.std(axis=0)
    # Rounded before the shape is made: what is read from a file then equals what was made.
    mean, spread = np.round(mean, DECIMALS) + 0.0, np.round(spread, DECIMALS)
    divisor = np.maximum(spread, FLAT * (label_range[1] - label_range[0]))
    return Arcs(
        film_ids=(name,),
        targets=targets,
        label_range=label_range,
        seconds=np.zeros(1, np.int32),
        shape=((arc - mean) / divisor).astype(np.float32)[None],
        mean=mean[None],
        spread=spread[None],
        range=np.round(np.ptp(arc, axis=0), DECIMALS)[None],
        peaks=np.zeros((1, len(targets)), np.int32),
    )


def _arc_of_film(curve: AffectCurve, label_range: Range) -> Arcs:
    values = curve.smoothed
    try:
        points = {target: resample(of_target) for target, of_target in values.items()}
    except ValueError as error:
        raise ConfigurationError(f"{curve.film_id}: {error}; score the film again") from error
    ranges = [float(np.nanmax(of_target) - np.nanmin(of_target)) for of_target in values.values()]
    peaks = [
        sum(event.kind == "peak" for event in find_events(of_target, target, label_range=label_range))
        for target, of_target in values.items()
    ]
    return replace(
        arc_from_points(curve.film_id, points, label_range),
        seconds=np.array([curve.seconds], np.int32),
        range=np.array([[round(value, DECIMALS) for value in ranges]], np.float64),
        peaks=np.array([peaks], np.int32),
    )
