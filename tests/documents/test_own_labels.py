"""Every command of docs/own-labels.md runs, in its order."""

from __future__ import annotations

import json

import pytest

from tests.support.page_reader import DOCS, Reader


@pytest.mark.slow
def test_own_labels(reader: Reader) -> None:
    reader.follow(DOCS / "own-labels.md")
    sliders, best, last = (
        json.loads((reader.directory / run / "exports" / "1" / "model_card.json").read_text())
        for run in ("run-sliders", "run-best", "run-all")
    )
    assert sliders["label_range"] == [0.0, 1.0]
    assert last["data"]["train_films"] == ["first", "second"]
    # The last training stops where the best one was best, and filters as it did.
    assert (last["best_epoch"], last["smoothing"]) == (best["best_epoch"], best["smoothing"])
