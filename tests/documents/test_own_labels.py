"""Every command of docs/own-labels.md runs, in its order."""

from __future__ import annotations

import json

import pytest

from tests.support.page_reader import DOCS, Reader


@pytest.mark.slow
def test_own_labels(reader: Reader) -> None:
    reader.follow(DOCS / "own-labels.md")
    card = json.loads((reader.directory / "run-sliders" / "exports" / "1" / "model_card.json").read_text())
    assert card["label_range"] == [0.0, 1.0]
    card = json.loads((reader.directory / "run-all" / "exports" / "1" / "model_card.json").read_text())
    assert card["data"]["train_films"] == ["first", "second"]
