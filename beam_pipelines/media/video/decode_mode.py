"""Which frame stands for a second: the one choice of decoding that changes pictures."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal


@dataclass(frozen=True)
class DecodeMode:
    """Which frame stands for a second.

    Attributes:
        name: `exact`: the frame on the screen. `approximate`: the one that is cheapest to decode among those whose
            timestamps are at most `age_s` earlier than the second, else the one on the screen. `keyframes`: the last
            key frame up to the second (the first one of all before that). A film without a plan is decoded exactly.
        age_s: bound for `approximate`.
    """

    name: Literal["exact", "approximate", "keyframes"] = "exact"
    age_s: Fraction = Fraction(0)


EXACT = DecodeMode()
