"""Writes the model `builtin:signals` into the package: `python -m beam_pipelines.builtin.export_signals`.

The files are committed, for the package needs them without TensorFlow's export. Run it again if the formula, or how the
signals are made, changes.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import tensorflow as tf

from beam_pipelines.builtin.arousal_formula import MODALITIES, ArousalFormula
from beam_pipelines.contracts.models.exported_model import builtin_directory
from beam_pipelines.contracts.models.model_card import CARD, EXPLAINED_SIGNATURE, FILMS_SIGNATURE, RESPONSIBLE_USE
from beam_pipelines.contracts.models.shapley import describe
from beam_pipelines.contracts.records.feature_track import PRESENT_SUFFIX
from beam_pipelines.contracts.records.records import fingerprint
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import describe_tracks
from beam_pipelines.extractors.signals.columns import COLUMNS
from beam_pipelines.foundation.version import __version__

NAME = "signals"
SOURCE = (
    "A. Hanjalic and L.-Q. Xu, Affective video content representation and modeling, "
    "IEEE Transactions on Multimedia 7(1), 2005"
)
ABOUT = (
    "Arousal by a formula of motion, cuts and loudness, without training (Hanjalic and Xu, 2005). Levels of two films "
    "can't be compared: each film has its own range, and 0 is its mean. There is no valence: nothing that was tried "
    "for it without labels is shown to follow real ratings on more than one film."
)
MEASURED: dict[str, Any] = {
    "data": "studyforrest: emotions shown in Forrest Gump, mean of nine raters, eight runs; others' features stand in",
    "arousal": {
        "pcc": 0.299,
        "pcc_by_run": [0.01, 0.69, 0.23, 0.76, 0.21, 0.55, 0.31, -0.35],
        "pcc_by_chance_95": [-0.14, 0.12],
        "pcc_of_one_human": 0.544,
    },
}
"""Its figures on real ratings (`python -m benchmarks.signals_model`, `benchmarks/signals_model.md`)."""


def main() -> int:
    """Exports the formula into the package, in the place of what is there."""
    directory = builtin_directory(NAME)
    shutil.rmtree(directory, ignore_errors=True)
    export(directory)
    print(directory)
    return 0


def export(directory: Path) -> None:
    """Writes the SavedModel and its card into a directory."""
    formula = ArousalFormula()
    inputs = {}
    for modality in MODALITIES:
        for name, columns in ((modality, len(COLUMNS[modality])), (modality + PRESENT_SUFFIX, 1)):
            inputs[name] = tf.TensorSpec((None, columns), tf.float32, name=name)
    splits, rows = (tf.TensorSpec((None,), tf.int64, name=name) for name in ("row_splits", "rows"))
    signatures = {
        "serving_default": formula.film.get_concrete_function(**inputs),
        FILMS_SIGNATURE: formula.films.get_concrete_function(row_splits=splits, **inputs),
        EXPLAINED_SIGNATURE: formula.films_explained.get_concrete_function(row_splits=splits, rows=rows, **inputs),
    }
    tf.saved_model.save(formula, str(directory), signatures=signatures)
    (directory / CARD).write_text(json.dumps(card(), indent=2, sort_keys=True) + "\n", encoding="utf-8")


def card() -> dict[str, Any]:
    """The model's card."""
    descriptions = describe_tracks(ExtractConfig(modalities=MODALITIES))
    return {
        "version": f"builtin:{NAME}",
        "code_version": __version__,
        "trained": False,
        "source": SOURCE,
        "about": ABOUT,
        "responsible_use": RESPONSIBLE_USE,
        "modalities": list(MODALITIES),
        "fingerprints": {modality: fingerprint(made) for modality, made in descriptions.items()},
        "descriptions": descriptions,
        "dimensions": {modality: len(COLUMNS[modality]) for modality in MODALITIES},
        "slots": dict.fromkeys(MODALITIES, 1),
        "targets": ["arousal"],
        "label_range": [-1.0, 1.0],
        "own_range": True,
        "smoothing": {"method": "none"},
        "takes_stride": False,
        "explained": describe(len(MODALITIES)),
        "back_s": None,
        "ahead_s": None,
        "signatures": {
            "serving_default": "one film: its features and presence -> arousal float32 [T]",
            FILMS_SIGNATURE: "several films as concatenated rows, with row_splits",
            EXPLAINED_SIGNATURE: "the same and the rows to explain: base, then the share of each modality, [3, rows]",
        },
        "measured": MEASURED,
    }


if __name__ == "__main__":
    sys.exit(main())
