"""Rows of random films for tests of the network, and the windows on them."""

from __future__ import annotations

import numpy as np

from beam_pipelines.contracts.records.records import slots_of
from tests.support import numpy_reference as reference

DIMENSIONS = {"image": 5, "audio": 3, "face": 4}


def film_rows(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Random rows of all modalities; about a third of the slots are absent, and hold random values nevertheless."""
    generator = np.random.default_rng(seed)
    inputs = {}
    for modality, size in DIMENSIONS.items():
        inputs[modality] = generator.normal(size=(rows, size)).astype(np.float32)
        present = generator.uniform(size=(rows, slots_of(modality))) < 0.7
        inputs[f"{modality}_present"] = present.astype(np.float32)
    return inputs


def starts_of(lengths: list[int]) -> np.ndarray:
    return np.repeat(np.cumsum([0, *lengths[:-1]]), lengths).astype(np.int32)


def explicit_windows(inputs: dict[str, np.ndarray], starts: np.ndarray, length: int) -> dict[str, np.ndarray]:
    return {
        key: np.stack([reference.window_of(rows, row, start, length) for row, start in enumerate(starts)])
        for key, rows in inputs.items()
    }
