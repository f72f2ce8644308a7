"""The code and the commands of docs/adding-a-network.md run, in their order."""

from __future__ import annotations

import importlib
import json
import re

import pytest

from beam_pipelines.extractors.registry import ENTRY_POINTS
from tests.support.page_reader import DOCS, ROOT, Reader


@pytest.mark.slow
def test_adding_a_network(reader: Reader) -> None:
    page = DOCS / "adding-a-network.md"
    reader.follow(page)
    card = json.loads((reader.directory / "run-colours" / "exports" / "1" / "model_card.json").read_text())
    assert set(card["fingerprints"]) == {"image", "audio", "colours"}
    text = page.read_text(encoding="utf-8")
    for place in re.findall(r"`((?:beam_pipelines|configs|docs|tests)/[\w./]+\w)`", text):
        assert (ROOT / place).is_file(), place
    for place, names in {
        "extractors.registry": ("NETWORKS",),
        "extractors.networks.published_network": ("PublishedNetwork", "PictureNetwork"),
    }.items():
        module = importlib.import_module(f"beam_pipelines.{place}")
        assert all(name in text and hasattr(module, name) for name in names)
    assert f'[project.entry-points."{ENTRY_POINTS}"]' in text
