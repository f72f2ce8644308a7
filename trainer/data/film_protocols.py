"""What whoever computes with a film's rows needs of it: `dataset.TrainingFilm` has it, and so have made-up films.

They are protocols, so that nothing here needs TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np


class FilmRows(Protocol):
    """A film to predict: modality -> transformed values float [T, D] and presence float [T, slots]."""

    @property
    def film_id(self) -> str: ...
    @property
    def features(self) -> Mapping[str, np.ndarray]: ...
    @property
    def present(self) -> Mapping[str, np.ndarray]: ...


class LabelledRows(FilmRows, Protocol):
    """A film to learn from: its rows, labels float [T, 2] and known bool [T]."""

    @property
    def labels(self) -> np.ndarray: ...
    @property
    def known(self) -> np.ndarray: ...
