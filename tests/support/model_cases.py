"""Rows of random films for tests of the network, and the windows on them."""

from __future__ import annotations

import numpy as np

from beam_pipelines.contracts.records.records import slots_of
from trainer.network.encoders import TCNEncoder
from trainer.network.model import AffectModel

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


def explicit_windows(
    inputs: dict[str, np.ndarray], starts: np.ndarray, length: int, after: int = 0
) -> dict[str, np.ndarray]:
    """The window that ends at each row, and rows after it, [R, length + after, D]: `numpy_reference.window_of`."""
    position = np.arange(len(starts))[:, None] - (length - 1) + np.arange(length + after)
    stops = np.searchsorted(starts, starts, side="right")
    inside = ((position >= starts[:, None]) & (position < stops[:, None]))[:, :, None]
    place = np.clip(position, 0, max(len(starts) - 1, 0))
    return {key: np.where(inside, rows[place].astype(np.float64), 0.0) for key, rows in inputs.items()}


def windows_of(
    model: AffectModel, inputs: dict[str, np.ndarray], starts: np.ndarray, sequence: bool = False
) -> dict[str, np.ndarray]:
    """The explicit window of each row, as long as the model takes it."""
    before, after = model.window_rows(sequence)
    return explicit_windows(inputs, starts, before + 1, after)


def comparable(model: AffectModel, starts: np.ndarray) -> np.ndarray:
    """The rows whose explicit windows pair seconds as the film does, bool [R]: all of them without a TCN."""
    same = np.ones(len(starts), bool)
    for encoder in model.encoders:
        if isinstance(encoder, TCNEncoder):
            same &= (np.arange(len(starts)) - starts - encoder.reach[0]) % 2 ** len(encoder.filters) == 0
    return same
