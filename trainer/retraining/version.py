"""A challenger's number, and copying its model to the exports under that number."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from beam_pipelines.contracts.models.exported_cards import EXPORTS, versions_of
from beam_pipelines.contracts.models.model_card import CARD
from beam_pipelines.foundation import storage
from trainer.exporting.export_directory import publish_export
from trainer.retraining.stages import RoundError

PLAN = "plan.json"


def planned_version(round_directory: str, exports: str) -> int | None:
    """The number that a killed round chose; None if there is none, or another process has exported it."""
    try:
        plan = json.loads(storage.read_text(storage.join(round_directory, PLAN)))
    except FileNotFoundError:
        return None
    version: int = plan["version"]
    return version if version not in versions_of(exports) or _is_of(round_directory, exports, version) else None


def plan_version(round_directory: str, exports: str) -> int:
    """Chooses the next free number, and notes it."""
    version = max(versions_of(exports), default=0) + 1
    storage.write_text(storage.join(round_directory, PLAN), json.dumps({"version": version}) + "\n")
    return version


def trained_model(round_directory: str, version: int) -> str:
    """The directory to which a round's own training exports its model."""
    return storage.join(round_directory, "model", EXPORTS, str(version))


def publish_challenger(round_directory: str, exports: str, version: int) -> None:
    """Copies a round's model to the exports; if it is there already, that is no error.

    Raises:
        RoundError: if another model has this number.
        ConfigurationError: if another export is just writing it.
        StorageError: if the bucket can't be written to.
    """
    model, target = trained_model(round_directory, version), storage.join(exports, str(version))
    if version in versions_of(exports):
        if not _is_of(round_directory, exports, version):
            raise RoundError(f"{target}: was exported by somebody else meanwhile; start again, with another number")
        return
    with storage.local_tree(model) as trained:

        def save(folder: str) -> None:
            # The card is written separately, and last.
            shutil.copytree(trained, folder, ignore=shutil.ignore_patterns(CARD), dirs_exist_ok=True)

        publish_export(save, (Path(trained) / CARD).read_text(encoding="utf-8"), target)


def _is_of(round_directory: str, exports: str, version: int) -> bool:
    cards = (storage.join(trained_model(round_directory, version), CARD), storage.join(exports, str(version), CARD))
    try:
        ours, theirs = (storage.read_bytes(card) for card in cards)
    except FileNotFoundError:
        return False
    return ours == theirs
