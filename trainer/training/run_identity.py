"""The identity of a training run: all that it depends on, written to its directory, so that no other run resumes it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError
from trainer.data.dataset import TrainingFilm, data_digest
from trainer.foundation.config import TrainConfig

IDENTITY_FILE = "run.json"

_NOT_IDENTITY = {"epochs", "patience", "smoothing", "smoothing_cutoffs_hz", "ridge"}


def run_identity(
    films_train: Sequence[TrainingFilm],
    films_validation: Sequence[TrainingFilm],
    config: TrainConfig,
    further: Mapping[str, Any],
) -> dict[str, Any]:
    """All that a run depends on, as plain values.

    Args:
        films_train: films to learn from.
        films_validation: films that choose epoch and cutoff.
        config: the train section.
        further: other dependencies, for example the transform.
    """
    # More epochs or patience, another filter or ridge regression continue the same run; any other change makes another.
    return {
        "train": config.model_dump(mode="json", exclude=_NOT_IDENTITY),
        "training_data": data_digest(films_train),
        "validation_data": data_digest(films_validation),
        **further,
    }


def claim_directory(directory: str, identity: dict[str, Any]) -> None:
    """Writes a run's identity to `directory`, or compares it with the one that is there.

    Raises:
        ConfigurationError: if `directory` holds a run of another configuration or other data; the text names the
            differences.
    """
    uri = storage.join(directory, IDENTITY_FILE)
    content = json.loads(json.dumps(identity))
    try:
        there = storage.read_json(uri, "choose another --output")
    except FileNotFoundError:
        storage.write_text(uri, json.dumps(content, indent=2, sort_keys=True) + "\n")
        return
    differing = list(_differences(there, content, ""))
    if differing:
        raise ConfigurationError(
            f"{directory}: holds a training run that differs in {', '.join(differing)}{_of_transform(there, content)}; "
            "choose another --output, or remove that run"
        )


def _of_transform(there: dict[str, Any], here: dict[str, Any]) -> str:
    return ": it has another transform" if there.get("transform") != here.get("transform") else ""


def _differences(there: Any, here: Any, path: str) -> Any:
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted({*there, *here}):
            yield from _differences(there.get(key), here.get(key), f"{path}.{key}" if path else key)
    elif there != here:
        yield f"{path} ({there} there, {here} here)"
