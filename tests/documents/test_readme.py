"""Every command of the README runs, in its order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_readme(after_readme: Path) -> None:
    root = after_readme
    names = {words[1] for words in json.loads((root / "commands.json").read_text())}
    assert names >= {
        "extract",
        "prepare",
        "train",
        "score",
        "evaluate",
        "report",
        "tune",
        "ensemble",
        "reproduce",
        "compare",
    }
    films = json.loads((root / "features" / "run_manifest.json").read_text())["films"]
    assert (films["in"], films["failed"]) == (3, 0)
    assert (root / "scores" / "report" / "index.html").is_file()
    card = json.loads((root / "exports" / "1" / "model_card.json").read_text())
    assert len(card["members"]) == 2
    assert "run5" in (root / "paper" / "table1.txt").read_text()
