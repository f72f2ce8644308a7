"""Why a curve peaks or turns: what each modality gives there, from the shares of an explained curve, smoothed like it.

arousal peak    sound +0.31, picture +0.12, faces 0                  base and all of them together are the curve
arousal rise    sound +0.20, faces +0.03, picture −0.01 in 8 s       what each gains around the steepest second
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.contracts.curves.shares import BASE, WITHIN, shares_of, smoothed_share
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.report.markers.events import Event

Shares = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""Target -> `base` and each modality -> its share of the smoothed curve, float64 [T]."""

AROUND_S = 4
"""A turning point is explained by what changes from so many seconds before it to so many after."""
_WORDS = {"image": "picture", "audio": "sound", "face": "faces"}


def smoothed_shares(curve: AffectCurve, smoothing: SmoothingConfig) -> dict[str, dict[str, NDArray[np.float64]]]:
    """The shares of a curve, smoothed as the curve is; empty if it isn't explained (`Shares`)."""
    found = {}
    for target in curve.targets:
        parts = {part: v for part, v in shares_of(curve.shares, target).items() if WITHIN not in part}
        if parts:
            parts = {BASE.strip("_"): curve.of(target + BASE), **parts}
            found[target] = {part: smoothed_share(values, smoothing) for part, values in parts.items()}
    return found


def with_reasons(event: Event, shares: Shares) -> Event:
    """The event with what each modality gives there, largest first; the same event if its curve isn't explained."""
    reasons = []
    for part, values in list(shares.get(event.target, {}).items())[1:]:
        value = values[event.time_s]
        if event.is_turning_point:
            value = values[min(event.time_s + AROUND_S, len(values) - 1)] - values[max(event.time_s - AROUND_S, 0)]
        if np.isfinite(value):
            reasons.append((part_name(part), float(value)))
    return replace(event, reasons=tuple(sorted(reasons, key=lambda reason: (-abs(reason[1]), reason[0]))))


def part_name(modality: str) -> str:
    """A modality as a reader calls it: `picture`, `sound`, `faces`, `sound signals`."""
    return _WORDS.get(modality, modality.replace("_", " "))


def because(event: Event) -> str:
    """An event's reasons as a sentence in ASCII; empty if its curve isn't explained."""
    given = ", ".join(f"{name} {value:+.2f}" if abs(value) >= 0.005 else f"{name} 0" for name, value in event.reasons)
    return f"{given} in {2 * AROUND_S} s" if given and event.is_turning_point else given
