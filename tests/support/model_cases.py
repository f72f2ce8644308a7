"""Rows of random films for tests of the network, and the windows on them."""

from __future__ import annotations

import numpy as np

from beam_pipelines.contracts.records.records import slots_of

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
    """The window that ends at each row, [R, length, D]: `numpy_reference.window_of` for all rows at once."""
    position = np.arange(len(starts))[:, None] - (length - 1) + np.arange(length)
    inside = (position >= starts[:, None])[:, :, None]
    return {
        key: np.where(inside, rows[np.maximum(position, 0)].astype(np.float64), 0.0) for key, rows in inputs.items()
    }
