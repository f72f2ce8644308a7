"""Models and films for `benchmarks.scoring`: the paper's network with drawn weights, and features of made-up films."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from beam_pipelines.contracts.models.exported_model import FilmFeatures
from beam_pipelines.contracts.records.records import (
    FeatureTrack,
    RecordHeader,
    fingerprint,
    make_record,
    slots_of,
    write_record,
)
from trainer.data.transform import RowTransform
from trainer.exporting.export import NetworksModule, write_export
from trainer.foundation.config import ModelConfig
from trainer.network.model import AffectModel, build_model

DIMENSIONS = {"image": 2048, "audio": 128, "face": 1024}
DESCRIPTIONS = {modality: {"network": f"random {modality}", "weights": "none"} for modality in DIMENSIONS}
CARD = {
    "fingerprints": {modality: fingerprint(description) for modality, description in DESCRIPTIONS.items()},
    "descriptions": DESCRIPTIONS,
    "smoothing": {"method": "butterworth", "order": 2, "cutoff_hz": 0.05},
    "seen": {modality: {"distance": 1.1, "clip": 8.0, "present": 1.0} for modality in DIMENSIONS},
    "calibration": {"films": ["made up"], "half_widths": {t: {"80": 0.2, "95": 0.4} for t in ("valence", "arousal")}},
}


class Normalisation(tf.Module):
    """Statistics that shift and scale, in the place of the transform graph."""

    def __init__(self) -> None:
        super().__init__()
        sizes = {**DIMENSIONS, **{f"{modality}_present": slots_of(modality) for modality in DIMENSIONS}}
        self.transform_fn = tf.function(self._transform, autograph=False).get_concrete_function(
            {key: tf.TensorSpec((None, size), tf.float32, name=key) for key, size in sizes.items()}
        )

    def _transform(self, rows: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {key: rows if key.endswith("_present") else (rows - 0.5) / 0.29 for key, rows in rows.items()}


def make_networks(count: int) -> list[AffectModel]:
    """Networks of the default configuration (three GRUs of 128 units, windows of 60 s)."""
    return [build_model(ModelConfig(), DIMENSIONS, seed) for seed in range(count)]


def export(networks: Sequence[AffectModel], directory: Path) -> str:
    """Exports them as one model; its address."""
    transform = RowTransform(Normalisation())
    scorer = NetworksModule(networks, [transform] * len(networks), (-1.0, 1.0))
    return write_export(scorer, CARD, {"sequence_length_s": 60}, str(directory))


def film_features(seed: int, seconds: int) -> FilmFeatures:
    """Raw features of a made-up film."""
    generator = np.random.default_rng(seed)
    return FilmFeatures(
        {modality: generator.random((seconds, size), np.float32) for modality, size in DIMENSIONS.items()},
        {modality: np.ones((seconds, slots_of(modality)), np.float32) for modality in DIMENSIONS},
    )


def write_film(uri: str, seed: int, seconds: int) -> None:
    """A feature record of such a film."""
    features = film_features(seed, seconds)
    times_us = 1_000_000 * np.arange(seconds, dtype=np.int64)
    tracks = {
        modality: FeatureTrack(features.values[modality], features.present[modality], times_us, DESCRIPTIONS[modality])
        for modality in DIMENSIONS
    }
    film_id = Path(uri).stem
    header = RecordHeader(film_id, f"{film_id}.mp4", 1, f"{seed:064x}", seconds, seconds * 1_000_000, 0)
    write_record(make_record(header, tracks), uri)


def explicit_windows(features: FilmFeatures, window_s: int) -> dict[str, Any]:
    """Every second's own window, float32 [T, W, D], as a model without a way of its own must be fed."""
    windows = {}
    for modality in DIMENSIONS:
        scaled = (features.values[modality] - 0.5) / 0.29
        for key, rows in ((modality, scaled), (f"{modality}_present", features.present[modality])):
            padded = np.concatenate([np.zeros((window_s - 1, rows.shape[1]), np.float32), rows])
            view = np.lib.stride_tricks.sliding_window_view(padded, window_s, axis=0)
            windows[key] = np.ascontiguousarray(view.transpose(0, 2, 1), np.float32)
    return windows


def flop_per_second(network: AffectModel) -> float:
    """Floating-point operations that a second of film can't do without: its projections, its window's recurrences.

    Multiplications and additions of the matrix products: 2 D 3H a row, and 2 H 3H a step of each of the W of a window.
    The fusion is left out (a hundredth).
    """
    config, flop = network.config, 0.0
    for modality, size in network.dimensions.items():
        units, inputs = config.encoder_of(modality).units, size + slots_of(modality)
        flop += 2 * inputs * 3 * units + config.window_s * 2 * units * 3 * units
    return flop


def matmul_peak_flops(seconds: float = 1.0) -> float:
    """Floating-point operations a second of a large float32 product in this process (1024 x 1024 x 1024)."""
    import time

    left, right = (tf.random.normal((1024, 1024), seed=seed) for seed in (1, 2))
    product = tf.function(lambda a, b: tf.matmul(a, b))
    product(left, right)
    calls, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        product(left, right).numpy()
        calls += 1
    return calls * 2 * 1024**3 / (time.perf_counter() - started)
