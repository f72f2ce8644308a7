"""A model's prediction for a film before smoothing: of one model or the mean of several, at every second.

With a stride the model predicts only every few seconds; the others are interpolated:

    stride 4, 11 seconds      0 . . . 4 . . . 8 . 10      the last second is always predicted
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class RawPrediction:
    """A model's prediction for one film, before smoothing, in the labels' range.

    Attributes:
        valence, arousal: float32 [T]; None if the model doesn't predict it.
        members: for an ensemble, target -> each member's values, float32 [members, T]; else empty.
        shares: what explains the values, if that was asked for: column (`curves.shares`) -> float32 [T].
    """

    valence: NDArray[np.float32] | None = None
    arousal: NDArray[np.float32] | None = None
    members: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    shares: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, NDArray[np.float32]]:
        """Target -> float32 [T], for each target of the model."""
        given = {"valence": self.valence, "arousal": self.arousal}
        return {target: values for target, values in given.items() if values is not None}


def mean_of_members(
    members: Mapping[str, NDArray[np.float32]], weights: Sequence[float] | None = None
) -> RawPrediction:
    """A film's prediction from each member's values, target -> float32 [members, T].

    Without weights, all members count alike.
    """
    if all(len(values) == 1 for values in members.values()):
        valence, arousal = (members[target][0] if target in members else None for target in ("valence", "arousal"))
        return RawPrediction(valence, arousal)
    # In double precision, so that the mean doesn't depend on the order of the members.
    means = {
        target: np.average(values.astype(np.float64), axis=0, weights=weights).astype(np.float32)
        for target, values in members.items()
    }
    return RawPrediction(means.get("valence"), means.get("arousal"), members)


def seconds_to_predict(seconds: int, stride_s: int) -> NDArray[np.int64]:
    """The seconds to predict of a film of T `seconds`, rising: every `stride_s`-th, and the last."""
    chosen = np.arange(0, seconds, stride_s, dtype=np.int64)
    return chosen if seconds == 0 or chosen[-1] == seconds - 1 else np.append(chosen, seconds - 1)


def fill_between(values: ArrayLike, at: NDArray[np.int64], seconds: int) -> NDArray[np.float32]:
    """Values at some seconds, float [..., N], interpolated linearly to every second, float32 [..., T].

    A value that is not finite makes its neighbours, up to the next predicted second, NaN.

    Args:
        values: one value per predicted second.
        at: those seconds, int64 [N], from `seconds_to_predict`.
        seconds: T.
    """
    given = np.asarray(values, np.float32)
    if len(at) == seconds:
        return given
    rows = given.reshape(-1, len(at)).astype(np.float64)
    # A predicted second keeps its value, even if the next one has none.
    filled = np.stack([np.interp(np.arange(seconds), at, row) for row in rows])
    filled[:, at] = rows
    return filled.astype(np.float32).reshape(*given.shape[:-1], seconds)
