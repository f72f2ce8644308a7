"""Bands around a curve: a random second of a new film lies within with a chance of at least 80 or 95 %.

The width comes from films with labels that neither trained nor chose the model (`cineaffect calibrate`). Seconds of one
film are alike, so films are what is counted, and a film's seconds share its weight:

    film 1 of 3   |label - curve| at its 4 seconds   1/4 of 1/(3+1) each
    film 2 of 3                   at its 2 seconds   1/2 of 1/(3+1) each
    film 3 of 3                   at its 5 seconds   1/5 of 1/(3+1) each
    the new film                  unknown            1/(3+1), as if it were infinitely far

The half width is the quantile of this distribution: hierarchical conformal prediction (Lee, Barber and Willett,
"Distribution-free inference with hierarchical data", 2023; the problem and other answers: Dunn, Wasserman and Ramdas,
"Distribution-Free Prediction Sets for Two-Layer Hierarchical Models", 2022). It assumes that the new film and the
calibration films are exchangeable, and nothing of the model. With too few films the quantile is infinite, and there is
no band: 80 % needs 4 films, 95 % needs 19.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ConfigDict, Field, field_validator

from beam_pipelines.foundation.configuration import Section

LEVELS = (80, 95)
"""The promised shares in percent, narrowest band first."""

HalfWidth = Annotated[float, Field(ge=0, allow_inf_nan=False)]

_DECIMALS = 6
_ROUNDING = 1e-12
"""Sums of weights lie this near to the share that they make up in exact arithmetic."""


class Calibration(Section):
    """What a model's card says of its bands; `cineaffect calibrate` writes it.

    Attributes:
        films: the calibration films, whose number is what the promise rests on.
        half_widths: target -> level in percent -> half the width of its band, in the labels' unit. A level that needs
            more films is absent.
        measured: target -> level -> `coverage`, `width` and `films` of films that had no part in the model or its
            bands; empty if there were none.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    films: tuple[str, ...] = ()
    half_widths: dict[str, dict[int, HalfWidth]] = Field(default_factory=dict)
    measured: dict[str, dict[int, dict[str, Any]]] = Field(default_factory=dict)

    @field_validator("half_widths")
    @classmethod
    def _same_levels(cls, half_widths: dict[str, dict[int, float]]) -> dict[str, dict[int, float]]:
        found = {frozenset(of_levels) for of_levels in half_widths.values()}
        if len(found) > 1 or not all(levels <= set(LEVELS) for levels in found):
            known = " and ".join(map(str, LEVELS))
            raise ValueError(f"the levels are {known}, the same for each target; calibrate the model again")
        # In the order of the columns, whatever the card's.
        return {target: {n: of[n] for n in LEVELS if n in of} for target, of in half_widths.items()}


def films_needed(level: int) -> int:
    """The least number of calibration films for a level in percent: n with n / (n + 1) >= level / 100."""
    return math.ceil(level / (100 - level))


def half_width(errors: Sequence[ArrayLike], level: int) -> float | None:
    """Half the width of a band, from absolute errors of calibration films; None if there are too few films.

    Args:
        errors: one array per film, float [T]: the distance of label and curve at each labelled second.
        level: the promised share in percent.

    Raises:
        ValueError: if a film has no error, or one that isn't finite: it would count as a film that never misses.
    """
    films = [np.asarray(film, np.float64).ravel() for film in errors]
    if any(not film.size or not np.isfinite(film).all() for film in films):
        raise ValueError("a calibration film needs labelled seconds, and finite errors at them")
    if len(films) < films_needed(level):
        return None
    values = np.concatenate(films)
    weights = np.concatenate([np.full(film.size, 1 / ((len(films) + 1) * film.size)) for film in films])
    order = np.argsort(values, kind="stable")
    reached = np.flatnonzero(np.cumsum(weights[order]) >= level / 100 - _ROUNDING)
    # Rounded up, so that the printed number keeps the promise.
    place = min(int(reached[0]) if reached.size else values.size - 1, values.size - 1)
    scale = 10.0**_DECIMALS
    return math.ceil(float(values[order][place]) * scale - _ROUNDING) / scale


def edges(
    curve: NDArray[np.float64], half_width: float, label_range: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lower and upper edge of a curve's band, float64 [T] each, cut at the labels' range, where all labels lie."""
    low, high = label_range
    return np.clip(curve - half_width, low, high), np.clip(curve + half_width, low, high)


def measure(
    films: Sequence[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]],
) -> dict[str, float | int]:
    """How well a band holds: `coverage`, `width` and `films`.

    Both figures are means over films of a film's mean over its seconds, as the promise is of a random second of a
    random film.

    Args:
        films: each film's labels and its band's lower and upper edge at the labelled seconds, float64 [N] each.
    """
    inside = [float(np.mean((low <= labels) & (labels <= high))) for labels, low, high in films]
    widths = [float(np.mean(high - low)) for _, low, high in films]
    return {"coverage": float(np.mean(inside)), "width": float(np.mean(widths)), "films": len(films)}


def lines(measured: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> list[str]:
    """Sentences for people: how well each target's bands hold on some films."""
    return [
        f"{level} % band of {target}: holds {found['coverage']:.1%} of a film's seconds, is {found['width']:.3f} wide "
        f"(means of {found['films']} {'film' if found['films'] == 1 else 'films'})"
        for target, levels in measured.items()
        for level, found in levels.items()
    ]
