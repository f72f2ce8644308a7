"""How the signals are made, for fingerprints: the names of their columns, and the number of their definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from beam_pipelines.contracts.records.feature_changes import made_now
from beam_pipelines.extractors.signals.columns import COLUMNS, PICTURE_SIGNALS, SOUND_SIGNALS

VERSION = 1
"""Raise it when a column's values change."""


CORE_SECONDS: Mapping[str, float] = {PICTURE_SIGNALS: 0.01, SOUND_SIGNALS: 0.01}
"""The core seconds that each takes for a second of film (benchmarks/extraction.md)."""


def describe_signals(modality: str) -> dict[str, Any]:
    """The description of `picture_signals` or `sound_signals`; no network and no weights are in it."""
    return {
        "signals": VERSION,
        "columns": list(COLUMNS[modality]),
        "rate_hz": 1,
        **made_now(modality),
        "precision": "float32",
    }
