"""Done markers: from what each film was scored, so that a later run knows which films are done.

With CSV files, the marker lies next to each as `curves/<film_id>.json`. Without them, the metadata of each Parquet part
hold the markers of its films. A marker is written only when the film's files are whole: a film that has one is done.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from beam_pipelines.contracts.curves.curves import CURVES
from beam_pipelines.contracts.curves.shares import Explain
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.contracts.film_warnings import FilmWarning, from_rows
from beam_pipelines.contracts.records import tfrecord
from beam_pipelines.foundation import storage

FORMAT = 2
"""A part of every scorer's digest. Raise it when new code gives other files for the same model and record."""


@dataclass(frozen=True)
class DoneMarker:
    """The done marker of one film: from what it was scored.

    Attributes:
        film_id: the film.
        scorer: digest of the model and the smoothing that made the curve (see `scorer_digest`).
        record: checksum of the film's feature record (see `record_checksum`).
        seconds: T, the length of the curve.
        seconds_without_value: seconds without a finite value from the model.
        warnings: those of the feature record and of the model; markers of earlier versions have none.
        source_sha256: SHA-256 of the film's file, by which `evaluate` sees whether the model knows it; empty in markers
            of earlier versions.
        unlike_percent: the share of the film's seconds that are unlike the model's training films; None if its card
            doesn't say what those were like.
    """

    film_id: str
    scorer: str
    record: str
    seconds: int
    seconds_without_value: int
    warnings: tuple[FilmWarning, ...] = ()
    source_sha256: str = ""
    unlike_percent: float | None = None

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> DoneMarker:
        """The inverse of `asdict`, also from JSON.

        Raises:
            TypeError: if values are absent, or are those of another version.
            ValueError: if the warnings are none.
        """
        return cls(**{**values, "warnings": from_rows(values.get("warnings", []))})


def marker_uri(directory: str, film_id: str) -> str:
    """The address of a film's done marker in the directory of a scoring run."""
    return storage.join(directory, CURVES, f"{film_id}.json")


def scorer_digest(
    model_sha256: str, smoothing: SmoothingConfig, spread: bool = False, stride_s: int = 1, explain: Explain = "nothing"
) -> str:
    """SHA-256 of all that turns a feature record into a curve; with the record's checksum it identifies the curve.

    Args:
        model_sha256: digest of the exported model, including its card.
        smoothing: the settings of this run.
        spread: whether the curves have the columns of an ensemble.
        stride_s: the distance in seconds between predictions.
        explain: what the curves are explained by.
    """
    parts: dict[str, Any] = {"format": FORMAT, "model": model_sha256, "smoothing": smoothing.model_dump(mode="json")}
    # Settings at their first default are left out, so that films scored before the setting existed stay done.
    if spread:
        parts["spread"] = True
    if stride_s != 1:
        parts["stride_s"] = stride_s
    if explain != "nothing":
        parts["explain"] = explain
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def record_checksum(uri: str) -> str:
    """SHA-256 over the lengths and CRC-32C sums in a TFRecord file.

    It changes if and only if the record does, and costs a few seeks: a run over a finished catalogue reads a dozen
    bytes per segment instead of all features. (A file that was damaged later keeps its checksum if the damage spares
    the sums; a reader of the content then finds the damage by the sums.)

    Raises:
        FileNotFoundError: if there is no such file.
    """
    state = hashlib.sha256()
    with storage.local_copy(uri) as path:
        state.update(str(path.stat().st_size).encode())
        try:
            for sums in tfrecord.read_sums(path):
                state.update(sums)
        except tfrecord.DamagedError as error:
            state.update(str(error).encode())  # readers of the content report the damage
    return state.hexdigest()


def to_json(marker: DoneMarker) -> str:
    """A done marker as one line of JSON."""
    return json.dumps(asdict(marker), sort_keys=True, ensure_ascii=False) + "\n"


def from_json(text: str) -> DoneMarker | None:
    """The done marker in `text`, or None if it is damaged or of another version: then the film is scored again."""
    try:
        return DoneMarker.from_values(json.loads(text))
    except (ValueError, TypeError, AttributeError):
        return None
