"""What was scored from what: the receipt that each scored film leaves, by which a later run knows that it is done.

With CSV files the receipt lies beside each as `curves/<film_id>.json`; without them all receipts of a Parquet part are
in that part's own metadata. A receipt is written only when the film's files are whole: a film that has one is done.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.contracts.records import tfrecord
from beam_pipelines.foundation import storage

FORMAT = 1
"""Part of every scorer's digest: raise it when the same model and record would give other files."""


@dataclass(frozen=True)
class ScoreReceipt:
    """What one film was scored from.

    Attributes:
        film_id: the film.
        scorer: digest of the model and the smoothing that made the curve (see `scorer_digest`).
        record: checksum of the feature record that it was made from (see `record_checksum`).
        seconds: T, the length of the curve.
        seconds_without_value: seconds for which the model gave no finite value.
    """

    film_id: str
    scorer: str
    record: str
    seconds: int
    seconds_without_value: int


def scorer_digest(model_sha256: str, smoothing: SmoothingConfig, spread: bool = False, stride_s: int = 1) -> str:
    """SHA-256 of what turns a feature record into a curve; with the record's checksum it is the curve's identity.

    Args:
        model_sha256: digest of the exported model, its card included.
        smoothing: the settings that hold in this run.
        spread: whether the curves have the columns of an ensemble.
        stride_s: every how many seconds the model was asked.
    """
    parts: dict[str, Any] = {
        "format": FORMAT,
        "model": model_sha256,
        "smoothing": smoothing.model_dump(mode="json"),
    }
    # What is as it always was is left out, so that films scored before there was a choice stay done.
    if spread:
        parts["spread"] = True
    if stride_s != 1:
        parts["stride_s"] = stride_s
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def record_checksum(uri: str) -> str:
    """SHA-256 over the lengths and CRC-32C sums that a TFRecord file carries of its own content.

    A record changes if and only if this does, and it costs a few seeks: a run over a finished catalogue reads a dozen
    bytes a segment instead of all features. (A file damaged afterwards without a change of its sums keeps its checksum;
    whoever reads its content is told by the sums.)

    Raises:
        FileNotFoundError: where there is no such file.
    """
    state = hashlib.sha256()
    with storage.local_copy(uri) as path:
        state.update(str(path.stat().st_size).encode())
        try:
            for sums in tfrecord.read_sums(path):
                state.update(sums)
        except tfrecord.DamagedError as error:
            state.update(str(error).encode())  # whoever reads the content will say so
    return state.hexdigest()


def to_json(receipt: ScoreReceipt) -> str:
    """One line of JSON."""
    return json.dumps(asdict(receipt), sort_keys=True, ensure_ascii=False) + "\n"


def from_json(text: str) -> ScoreReceipt | None:
    """The receipt in `text`, or None for what isn't one (damaged, or of another version): the film is scored anew."""
    try:
        return ScoreReceipt(**json.loads(text))
    except (json.JSONDecodeError, TypeError):
        return None
