"""Columns that say why a curve is as it is: a base, what each modality adds to it, and what single columns do.

    arousal_base                                        the model's value without any modality
    arousal_by_image, arousal_by_audio                  what each adds; base and all of them together are arousal_raw
    arousal_by_picture_signals/motion_difference        what arousal_raw loses if it stands still; not in the sum

All are in the labels' unit and belong to the raw curve. They are what a model does, not what viewers feel.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.contracts.curves.smoothing import SmoothingConfig, smooth
from beam_pipelines.contracts.targets import TARGETS

Explain = Literal["nothing", "modalities", "columns"]
"""What a run explains its curves by."""

BASE = "_base"
BY = "_by_"
WITHIN = "/"
"""Between a modality and one of its columns: `picture_signals/motion_difference`."""

_SHARE = re.compile(rf"(?:{'|'.join(TARGETS)})(?:{BASE}|{BY}.+)")


def share_columns(targets: Iterable[str], parts: Sequence[str]) -> tuple[str, ...]:
    """The columns of a curve in the order of the files, explained by some parts: modalities or `modality/column`."""
    given = set(targets)
    return tuple(t + name for t in TARGETS if t in given for name in (BASE, *(BY + part for part in parts)))


def is_share(column: str) -> bool:
    """Whether a column has such a name."""
    return _SHARE.fullmatch(column) is not None


def shares_of(columns: Mapping[str, NDArray[np.float64]], target: str) -> dict[str, NDArray[np.float64]]:
    """Modality -> what it adds to the raw curve of a target, of a curve's columns; empty if they aren't explained."""
    prefix = target + BY
    return {name.removeprefix(prefix): values for name, values in columns.items() if name.startswith(prefix)}


def smoothed_share(values: NDArray[np.float64], smoothing: SmoothingConfig) -> NDArray[np.float64]:
    """A share of the raw curve as a share of the smoothed one, float64 [T]; all NaN if it has no value.

    The filters are linear, and so is the interpolation of seconds without a value. So base and shares add up to the
    smoothed curve, wherever that isn't clipped to the labels' range.
    """
    everything = float(np.nanmax(np.abs(values), initial=0.0)) * 100 + 1  # nothing is clipped
    return smooth(values, smoothing, label_range=(-everything, everything))
