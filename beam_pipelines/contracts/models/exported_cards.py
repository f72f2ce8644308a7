"""The cards of a training run's exported models, read without loading the models."""

from __future__ import annotations

import os
from typing import Any

from beam_pipelines.contracts.models.model_card import CARD
from beam_pipelines.foundation import storage

EXPORTS = "exports"
"""The folder of a training run with its versions: `<version>/` holds a SavedModel and its card."""


def exported_cards(run: str) -> dict[int, dict[str, Any]]:
    """The card of every model that a training run exported, by version; empty if it exported none.

    Args:
        run: the directory of the run, local or `gs://`.

    Raises:
        ConfigurationError: if a card is not JSON.
    """
    cards, exports = {}, storage.join(run, EXPORTS)
    for version in versions_of(exports):
        cards[version] = storage.read_json(storage.join(exports, str(version), CARD))
    return cards


def exports_of(version: str) -> str:
    """The directory of exports in which a version's directory lies, also of a relative one such as `3` or `.`."""
    if storage.is_remote(version):
        return version.rstrip("/").rpartition("/")[0]
    return os.path.normpath(os.path.join(version, os.pardir))


def versions_of(exports: str) -> list[int]:
    """The versions of a directory of exports that have a card, ascending; a version without a card is incomplete."""
    prefix, versions = exports.rstrip("/") + "/", []
    for info in storage.list_files(exports):
        parts = info.uri.removeprefix(prefix).split("/")
        if len(parts) == 2 and parts[1] == CARD and parts[0].isdigit():
            versions.append(int(parts[0]))
    return sorted(versions)
