"""What the features of a model's training films were like, and the seconds of a film that are unlike all that.

Both are measured on the transformed features, whose values or whitened components have the mean 0 and the deviation 1
over the training films:

    distance   the root of the mean square of a second's values: a Mahalanobis distance that takes the dimensions as
               independent. Of several slots the largest counts.
    cut        the share of a second's values that `prepare.clip` has cut

A second is unlike the training films if one of them is beyond that of 99 % of the training films' seconds (each film
counts the same). So about 1 % of a modality's seconds are unlike in a film that is quite like them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from beam_pipelines.contracts.film_warnings import FilmWarning, film_warning
from beam_pipelines.foundation.configuration import Section

USUAL = 0.99
"""The share of the training films' seconds that count as usual (ours)."""

UNLIKE_BEYOND_PERCENT = 20.0
"""A film with a larger share of unlike seconds has a warning (ours)."""

_DECIMALS = 4
"""A distance is rounded: the last bits of a projection depend on the processor."""


class SeenFeatures(Section):
    """A modality's features over the training films.

    Attributes:
        distance, cut: the limits beyond which a second is unlike them.
        clip: the z-score at which values are cut; None if none are.
        present: the least share of a training film's seconds that have the modality.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    distance: float = Field(ge=0)
    cut: float = Field(0.0, ge=0, le=1)
    clip: float | None = Field(None, gt=0)
    present: float = Field(0.0, ge=0, le=1)


@dataclass(frozen=True)
class UnlikeSeconds:
    """How unlike the training films a film is.

    Attributes:
        percent: the share of its seconds that are unlike them in any modality.
        by_modality: modality -> the same of each.
        absent: the modalities that no second of the film has, and every training film had.
    """

    percent: float
    by_modality: Mapping[str, float] = field(default_factory=dict)
    absent: tuple[str, ...] = ()

    def warnings(self) -> Iterator[FilmWarning]:
        """What a reader of the film's curve must know of it."""
        if self.absent:
            yield film_warning("features_absent", len(self.absent), which=", ".join(self.absent))
        if self.percent > UNLIKE_BEYOND_PERCENT:
            parts = sorted(self.by_modality.items(), key=lambda item: -item[1])
            which = ", ".join(f"{modality} {percent:.0f} %" for modality, percent in parts if percent >= 1)
            yield film_warning("unlike_training", round(self.percent, 1), which=which)


def seen_features(
    films: Iterable[tuple[NDArray[np.float32], NDArray[np.float32]]], clip: float | None
) -> SeenFeatures | None:
    """What a modality is like over the training films; None if no second of them has it.

    Args:
        films: each film's transformed values float32 [T, D] and presence float32 [T, slots].
        clip: the largest z-score of the transform.
    """
    figures, weights, shares = [], [], []
    for values, present in films:
        found = _figures(values, present, clip)
        here = np.isfinite(found[:, 0])
        shares.append(float(here.mean()) if len(here) else 0.0)
        figures.append(found[here])
        weights.append(np.full(int(here.sum()), 1 / max(1, here.sum())))
    if not sum(map(len, figures)):
        return None
    distance, cut = (_quantile(np.concatenate(figures)[:, place], np.concatenate(weights), USUAL) for place in range(2))
    return SeenFeatures(distance=distance, cut=cut, clip=clip, present=round(min(shares), _DECIMALS))


def unlike_seconds(
    seen: Mapping[str, SeenFeatures],
    transformed: Mapping[str, NDArray[np.float32]],
    present: Mapping[str, NDArray[np.float32]],
) -> UnlikeSeconds:
    """How unlike the training films a film is.

    Args:
        seen: modality -> what the training films were like.
        transformed, present: modality -> the film's transformed values float32 [T, D], presence float32 [T, slots].
    """
    unlike, absent = {}, []
    for modality, usual in seen.items():
        found = _figures(transformed[modality], present[modality], usual.clip)
        here = np.isfinite(found[:, 0])
        unlike[modality] = here & ((found[:, 0] > usual.distance) | (found[:, 1] > usual.cut))
        if usual.present > 0 and len(here) and not here.any():
            absent.append(modality)
    if not unlike or not len(next(iter(unlike.values()))):
        return UnlikeSeconds(0.0)
    by_modality = {modality: round(100 * float(beyond.mean()), 2) for modality, beyond in unlike.items()}
    anywhere = np.logical_or.reduce(list(unlike.values()))
    return UnlikeSeconds(round(100 * float(anywhere.mean()), 2), by_modality, tuple(absent))


def _figures(values: NDArray[np.float32], present: NDArray[np.float32], clip: float | None) -> NDArray[np.float64]:
    """Distance and cut share of each second, float64 [T, 2]; NaN where the modality is absent."""
    slots = present.shape[1]
    parts = values.reshape(len(values), slots, values.shape[1] // slots)
    here = present > 0
    # Without an array of squares, which would be as large as a long film's features.
    distance = np.sqrt(np.einsum("tsd,tsd->ts", parts, parts, dtype=np.float64) / max(1, parts.shape[2]))
    # A hair below the limit: float32 rounds what it cuts.
    limit = np.inf if clip is None else clip * (1 - 1e-6)
    cut = np.mean((parts >= limit) | (parts <= -limit), axis=2)
    found = np.stack([np.where(here, figure, -np.inf).max(axis=1) for figure in (distance, cut)], axis=1)
    return np.where(np.isfinite(found), np.round(found, _DECIMALS), np.nan)


def _quantile(values: NDArray[np.float64], weights: NDArray[np.float64], share: float) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) >= share * weights.sum() * (1 - 1e-12)
    return float(values[order][int(np.argmax(reached))])
