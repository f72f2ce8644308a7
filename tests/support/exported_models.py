"""Writes small exported models by contract 2 for tests: a real SavedModel of a cheap function, and its card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beam_pipelines.contracts.records import records
from beam_pipelines.contracts.targets import TARGETS

DIMENSIONS = {"image": 16, "audio": 8}
DESCRIPTIONS = {modality: {"network": f"test-{modality}", "weights": "untrained-seed-0"} for modality in DIMENSIONS}
"""How `feature_records.make_film_record` says that it made its tracks."""


def write_model(
    exports: Path,
    version: str,
    gain: float = 0.2,
    dimensions: Mapping[str, int] = DIMENSIONS,
    descriptions: Mapping[str, Any] = DESCRIPTIONS,
    targets: Sequence[str] = TARGETS,
) -> Path:
    """Exports a model of the modalities that `dimensions` names.

    valence = tanh(gain * (mean of the first modality - 3)); arousal = tanh(gain * (mean of the last + 0.1) * presence).
    An absent row is zero, so that of its values and its presence only the presence tells that it is absent.
    """
    import tensorflow as tf

    first, *_, last = [*dimensions, *dimensions]

    class Scorer(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = tf.Variable(gain, dtype=tf.float32)

        @tf.function(autograph=False)
        def film(self, **features: tf.Tensor) -> dict[str, tf.Tensor]:
            present = (tf.reduce_mean(features[last], axis=1) + 0.1) * features[f"{last}_present"][:, 0]
            curves = {
                "valence": tf.tanh(self.gain * (tf.reduce_mean(features[first], axis=1) - 3.0)),
                "arousal": tf.tanh(self.gain * present),
            }
            return {target: curves[target] for target in targets}

        @tf.function(autograph=False)
        def films(self, row_splits: tf.Tensor, **features: tf.Tensor) -> dict[str, tf.Tensor]:
            with tf.control_dependencies([tf.debugging.assert_non_negative(row_splits)]):
                return self.film(**features)

        @tf.function(autograph=False)
        def films_at(self, row_splits: tf.Tensor, rows: tf.Tensor, **features: tf.Tensor) -> dict[str, tf.Tensor]:
            curves = self.films(row_splits, **features)
            return {target: tf.gather(values, rows)[None] for target, values in curves.items()}

    inputs = {}
    for modality, width in dimensions.items():
        inputs[modality] = tf.TensorSpec((None, width), tf.float32, name=modality)
        inputs[f"{modality}_present"] = tf.TensorSpec((None, 1), tf.float32, name=f"{modality}_present")
    scorer = Scorer()
    splits, rows = (tf.TensorSpec((None,), tf.int64, name=name) for name in ("row_splits", "rows"))
    signatures = {
        "serving_default": scorer.film.get_concrete_function(**inputs),
        "films": scorer.films.get_concrete_function(row_splits=splits, **inputs),
        "films_at": scorer.films_at.get_concrete_function(row_splits=splits, rows=rows, **inputs),
    }
    directory = exports / version
    tf.saved_model.save(scorer, str(directory), signatures=signatures)
    card = {**make_card(version, dimensions, descriptions), "targets": list(targets)}
    (directory / "model_card.json").write_text(json.dumps(card), encoding="utf-8")
    return directory


def make_card(
    version: str, dimensions: Mapping[str, int] = DIMENSIONS, descriptions: Mapping[str, Any] = DESCRIPTIONS
) -> dict[str, Any]:
    """The card of such a model."""
    return {
        "version": version,
        "modalities": list(dimensions),
        "fingerprints": {modality: records.fingerprint(d) for modality, d in descriptions.items()},
        "descriptions": dict(descriptions),
        "dimensions": dict(dimensions),
        "sequence_length_s": 1,
        "smoothing": {"method": "butterworth", "order": 2, "cutoff_hz": 0.08},
        "label_range": [-1.0, 1.0],
        "metrics": {"valence": {"pcc": 0.5}},
        "signatures": {"serving_default": "one film", "films": "several films", "films_at": "some of their seconds"},
    }


def expected_raw(record: records.FilmRecord, gain: float = 0.2) -> dict[str, np.ndarray]:
    """What the model gives for a record, computed with NumPy in float64."""
    image, audio = record.tracks["image"], record.tracks["audio"]
    return {
        "valence": np.tanh(gain * (image.values.astype(np.float64).mean(axis=1) - 3.0)),
        "arousal": np.tanh(gain * (audio.values.astype(np.float64).mean(axis=1) + 0.1) * audio.present[:, 0]),
    }
