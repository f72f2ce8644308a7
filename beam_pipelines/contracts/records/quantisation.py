"""Values of fewer bits in records: YouTube-8M's 8-bit form with its inverse, and float16.

A track's description names the form of its values (`stored`), so the fingerprint covers it too. The values of such a
track are exactly those that the form can hold: writing and reading changes no bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from beam_pipelines.contracts.records.feature_track import FeatureTrack
from beam_pipelines.foundation.errors import FilmError

STORED = "stored"
"""The key of the form in a description; without it values are float32."""

FLOAT16 = "float16"
UINT8 = "uint8_youtube8m"
LOWEST, HIGHEST, LEVELS = -2.0, 2.0, 255
STEP = (HIGHEST - LOWEST) / LEVELS
_HALF_BIN = (HIGHEST - LOWEST) / 512
_DTYPES: dict[str, np.dtype[Any]] = {FLOAT16: np.dtype("<f2"), UINT8: np.dtype("u1")}


def quantise(values: np.ndarray) -> np.ndarray:
    """Quantises float [...] to uint8 [...]: clipped to [-2, 2], (v + 2) * 255 / 4, truncated, as in AudioSet's code."""
    clipped = np.clip(np.asarray(values, np.float64), LOWEST, HIGHEST)
    return ((clipped - LOWEST) * (LEVELS / (HIGHEST - LOWEST))).astype(np.uint8)


def dequantise(levels: np.ndarray) -> np.ndarray:
    """Converts uint8 [...] to float32 [...]: q * 4 / 255 + 4 / 512 - 2, as in YouTube-8M's reader.

    It is the inverse of `quantise`: `quantise(dequantise(q)) == q`. Within [-2, 2] the result is at most `4 / 512`
    above or `4 / 255 - 4 / 512` below the original value.
    """
    return (np.asarray(levels, np.float64) * STEP + _HALF_BIN + LOWEST).astype(np.float32)


def stored_form(description: Mapping[str, Any]) -> str | None:
    """The form of a track with this description: `float16`, `uint8_youtube8m`, or None for float32.

    Raises:
        ValueError: if this version doesn't know the form.
    """
    form = description.get(STORED)
    if form is None:
        return None
    if not isinstance(form, str) or form not in _DTYPES:
        raise ValueError(f"values are stored as '{form}', which this version doesn't know; it knows {sorted(_DTYPES)}")
    return form


def as_stored(track: FeatureTrack, form: str, film_id: str = "") -> FeatureTrack:
    """A track rounded to the values that a form can hold, with the form in its description.

    Absent slots stay zero in both forms; presence marks them as absent.

    Raises:
        FilmError: if float16 can't hold a value (beyond 65,504); the error names the second.
    """
    if form == UINT8:
        values = dequantise(quantise(track.values))
        width = track.values.shape[1] // track.present.shape[1]
        values = np.where(np.repeat(track.present, width, axis=1) > 0, values, np.float32(0))
    else:
        with np.errstate(over="ignore"):
            values = track.values.astype(_DTYPES[form]).astype(np.float32)
        lost = np.isfinite(track.values) & ~np.isfinite(values)
        if lost.any():
            second, column = np.argwhere(lost)[0]
            raise FilmError(
                "store",
                "beyond_float16",
                f"{film_id}: second {second}, value {column} is {track.values[second, column]}, float16 ends at "
                "65504; store this modality as float32",
            )
    return replace(track, values=values, description={**track.description, STORED: form})


def to_bytes(values: np.ndarray, form: str) -> np.ndarray:
    """Packs float32 [T, D] into bytes, uint8 [T, D or 2 D]: one per value, or two in little endian."""
    held = quantise(values) if form == UINT8 else values.astype(_DTYPES[form])
    return np.ascontiguousarray(held).view(np.uint8)


def from_bytes(held: np.ndarray, form: str, present: np.ndarray) -> np.ndarray:
    """Unpacks the bytes of T seconds, uint8 [T, …], to float32 [T, D]; slots absent by float32 [T, slots] are zero.

    Raises:
        ValueError: if rows are incomplete.
    """
    levels = held.view(_DTYPES[form])
    if form == FLOAT16:
        return levels.astype(np.float32)
    width = levels.shape[1] // present.shape[1]
    return np.where(np.repeat(present, width, axis=1) > 0, dequantise(levels), np.float32(0))
