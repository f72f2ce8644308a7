"""Shapley values of a model's modalities: which sets of them are computed, and how their curves become shares.

v(S) is the curve with the modalities S; the others are absent (presence 0). A modality's share is what it adds to v,
averaged over all orders in which modalities can come in (Shapley 1953; for models: Lundberg and Lee 2017, with absence
in the place of a background sample). What all of them add to v(nothing), the base, is v(all), the model's curve.

Both are linear in v: shares = weights @ v. So weights are computed once, and a model computes the curves of the sets.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EXACT_UP_TO = 6
"""With more modalities than these, orders are sampled: the number of sets doubles with each.

The orders drawn for five or six would visit nearly all sets (30 of 32, 50 of 64): they would save nothing, and err."""
SAMPLED_ORDERS = 16
_SEED = 18


@dataclass(frozen=True, eq=False)
class Coalitions:
    """The sets of M modalities to compute.

    Attributes:
        sets: bool [S, M]; the first is empty, the last holds all.
        weights: float64 [1 + M, S]; the first row gives the base, the others each modality's share.
    """

    sets: NDArray[np.bool_]
    weights: NDArray[np.float64]


def coalitions(modalities: int) -> Coalitions:
    """The sets and weights for a number of modalities: exact up to `EXACT_UP_TO`, else over sampled orders.

    Half of the sampled orders are the other half reversed, which cancels much of the error (Mitchell et al. 2022).
    The shares of every single order add up, so their mean does, too.
    """
    if modalities <= EXACT_UP_TO:
        orders = list(itertools.permutations(range(modalities)))
    else:
        generator = np.random.default_rng(_SEED)
        drawn = [tuple(map(int, generator.permutation(modalities))) for _ in range(SAMPLED_ORDERS // 2)]
        orders = [order for one in drawn for order in (one, one[::-1])]
    numbers = {0: 0}
    steps = []
    for order in orders:
        before = 0
        for modality in order:
            after = before | 1 << modality
            numbers.setdefault(after, 0)
            steps.append((modality, before, after))
            before = after
    numbers = {chosen: index for index, chosen in enumerate(sorted(numbers))}
    sets = np.array([[bool(chosen >> m & 1) for m in range(modalities)] for chosen in numbers])
    counts = np.zeros((1 + modalities, len(sets)))
    for modality, before, after in steps:
        counts[1 + modality, [numbers[before], numbers[after]]] += -1, 1
    weights = counts / len(orders)
    weights[0, 0] = 1
    return Coalitions(sets, weights)


def describe(modalities: int, rough: bool = False) -> str:
    """How the shares of so many modalities are computed, for a model's card.

    Args:
        modalities: their number.
        rough: whether training never left out a modality.
    """
    how = "exact"
    if modalities > EXACT_UP_TO:
        how = f"the mean over {SAMPLED_ORDERS} of {math.factorial(modalities)} orders, drawn with a seed"
    note = "; rough, for training (modality_dropout 0) never showed the network a film that lacks a modality"
    return f"Shapley values of the modalities, {how}{note if rough else ''}"


def together(described: Sequence[str]) -> str:
    """The sentence for a mean of models, from theirs (`describe`): each caveat once, even if only some have it."""
    distinct = dict.fromkeys(filter(None, described))
    return "; ".join(one for one in distinct if not any(other.startswith(one + ";") for other in distinct))
