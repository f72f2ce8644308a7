"""Presence of a modality's slots: the names of the flags, and zeros where nothing is present."""

from __future__ import annotations

from typing import Any

from keras import ops

from beam_pipelines.contracts.records.feature_track import PRESENT_SUFFIX


def presence_key(modality: str) -> str:
    """The name of a modality's presence flags."""
    return modality + PRESENT_SUFFIX


def present_values(values: Any, present: Any) -> Any:
    """The values [..., D] with zeros in absent slots; present is [..., slots], and slots divide D evenly."""
    slots, size = present.shape[-1], values.shape[-1]
    if slots == 1:
        return ops.where(present > 0, values, ops.zeros_like(values))
    # A selection, not a product, since NaN * 0 is NaN.
    return ops.where(ops.repeat(present > 0, size // slots, axis=-1), values, ops.zeros_like(values))
