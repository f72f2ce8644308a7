"""Numbers of fewer bits: YouTube-8M's 8-bit form with its inverse, and float16, as records hold them.

A track says in its description (`stored`) in which form its values are held, so the fingerprint says it too. The values
of such a track are exactly those that the form can hold: writing and reading it again changes no bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from beam_pipelines.contracts.records.feature_track import FeatureTrack
from beam_pipelines.foundation.errors import FilmError

STORED = "stored"
"""The key of a description; without it values are float32."""

FLOAT16 = "float16"
UINT8 = "uint8_youtube8m"
LOWEST, HIGHEST, LEVELS = -2.0, 2.0, 255
STEP = (HIGHEST - LOWEST) / LEVELS
_HALF_BIN = (HIGHEST - LOWEST) / 512
_DTYPES: dict[str, np.dtype[Any]] = {FLOAT16: np.dtype("<f2"), UINT8: np.dtype("u1")}


def quantise(values: np.ndarray) -> np.ndarray:
    """float [...] -> uint8 [...]: clipped to [-2, 2], (v + 2) * 255 / 4, truncated, as AudioSet's code does it."""
    clipped = np.clip(np.asarray(values, np.float64), LOWEST, HIGHEST)
    return ((clipped - LOWEST) * (LEVELS / (HIGHEST - LOWEST))).astype(np.uint8)


def dequantise(levels: np.ndarray) -> np.ndarray:
    """uint8 [...] -> float32 [...]: q * 4 / 255 + 4 / 512 - 2, as YouTube-8M's reader does it.

    Of `quantise` it is the inverse: `quantise(dequantise(q)) == q`, and within [-2, 2] a value comes back at most
    `4 / 512` above or `4 / 255 - 4 / 512` below itself.
    """
    return (np.asarray(levels, np.float64) * STEP + _HALF_BIN + LOWEST).astype(np.float32)


def stored_form(description: Mapping[str, Any]) -> str | None:
    """The form in which a track so described is held: `float16`, `uint8_youtube8m`, or None for float32.

    Raises:
        ValueError: for a form that this version doesn't know.
    """
    form = description.get(STORED)
    if form is None:
        return None
    if not isinstance(form, str) or form not in _DTYPES:
        raise ValueError(f"values are stored as '{form}', which this version doesn't know; it knows {sorted(_DTYPES)}")
    return form


def as_stored(track: FeatureTrack, form: str, film_id: str = "") -> FeatureTrack:
    """A track with the values that a form can hold, and with the form in its description.

    Absent slots stay zero in either form; presence says that they are absent.

    Raises:
        FilmError: for a value that float16 can't hold (beyond 65,504); it names the second.
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
    """float32 [T, D] as bytes, uint8 [T, D or 2 D]: one a value, or two in little endian."""
    held = quantise(values) if form == UINT8 else values.astype(_DTYPES[form])
    return np.ascontiguousarray(held).view(np.uint8)


def from_bytes(held: np.ndarray, form: str, present: np.ndarray) -> np.ndarray:
    """The bytes of T seconds, uint8 [T, …], and their presence float32 [T, slots] -> float32 [T, D]; absent is zero.

    Raises:
        ValueError: for rows that aren't whole.
    """
    levels = held.view(_DTYPES[form])
    if form == FLOAT16:
        return levels.astype(np.float32)
    width = levels.shape[1] // present.shape[1]
    return np.where(np.repeat(present, width, axis=1) > 0, dequantise(levels), np.float32(0))
