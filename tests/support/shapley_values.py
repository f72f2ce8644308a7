"""Shapley values by their definition, independent of the package: a sum over all subsets of the others."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np


def by_definition(value: Callable[[tuple[bool, ...]], Any], count: int) -> np.ndarray:
    """Each player's value, [count, …]; `value` takes which players are there."""
    shares = []
    for player in range(count):
        total: Any = 0.0
        for chosen in itertools.product((False, True), repeat=count):
            if chosen[player]:
                continue
            size = sum(chosen)
            weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            joined = tuple(here or n == player for n, here in enumerate(chosen))
            total = total + weight * (np.asarray(value(joined), np.float64) - np.asarray(value(chosen), np.float64))
        shares.append(total)
    return np.stack(shares)


def without(features: dict[str, np.ndarray], modalities: list[str], chosen: tuple[bool, ...]) -> dict[str, np.ndarray]:
    """The features with only the chosen modalities present; the others' values stay, and must not matter."""
    absent = {f"{m}_present" for m, here in zip(modalities, chosen, strict=True) if not here}
    return {key: np.zeros_like(values) if key in absent else values for key, values in features.items()}
