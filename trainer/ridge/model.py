"""A fitted ridge regression, and its prediction for whole films.

Means are linear: the mean of a product is the product of the mean. So each second is multiplied by the weights first,
and the causal means are taken of two values a width, not of all features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from beam_pipelines.contracts.targets import TARGETS
from trainer.data.film_protocols import FilmRows
from trainer.ridge.causal_means import causal_mean, input_rows, running_sums


@dataclass(frozen=True, eq=False)
class RidgeModel:
    """A fitted model.

    Attributes:
        dimensions: modality -> values per second after the transform, in the order of the weights.
        presence_input: whether each modality's presence flags follow its values.
        widths_s: the causal means; 1 is the present second, None all so far.
        weights: float32 [widths, D, targets].
        offset: float32 [targets].
        label_range: predictions are clipped to it.
        targets: what it predicts.
    """

    dimensions: Mapping[str, int]
    presence_input: bool
    widths_s: tuple[int | None, ...]
    weights: np.ndarray
    offset: np.ndarray
    label_range: tuple[float, float]
    targets: tuple[str, ...] = TARGETS

    def predict(self, film: FilmRows) -> np.ndarray:
        """The targets in every second, float32 [T, targets], in the labels' range."""
        products = np.tensordot(input_rows(film, tuple(self.dimensions), self.presence_input), self.weights, (1, 1))
        sums, seconds = running_sums(products), np.arange(len(products))
        parts = [causal_mean(sums[:, index], seconds, width_s) for index, width_s in enumerate(self.widths_s)]
        return np.clip(np.sum(parts, axis=0) + self.offset, *self.label_range).astype(np.float32)

    def predict_films(self, films: Sequence[FilmRows]) -> dict[str, np.ndarray]:
        """Film id -> `predict` of it."""
        return {film.film_id: self.predict(film) for film in films}

    def sha256(self) -> str:
        """The digest of weights and offset."""
        return hashlib.sha256(self.weights.tobytes() + self.offset.tobytes()).hexdigest()
