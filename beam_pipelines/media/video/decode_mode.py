"""Which frame represents a second, the one choice of decoding that changes pictures; and what decodes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

DecodeDevice = Literal["auto", "cpu", "gpu"]
"""What decodes pictures; `auto` is the GPU if one is visible, else the processor."""


@dataclass(frozen=True)
class DecodeMode:
    """Which frame represents a second.

    Attributes:
        name: `exact`: the frame on screen. `approximate`: of the frames that are at most `age_s` older than the second,
            the one that is cheapest to decode; if there is none, the frame on screen. `keyframes`: the last key frame
            up to the second; before the first key frame, that one. A film without a plan is decoded exactly.
        age_s: the bound for `approximate`, in seconds.
    """

    name: Literal["exact", "approximate", "keyframes"] = "exact"
    age_s: Fraction = Fraction(0)


EXACT = DecodeMode()
