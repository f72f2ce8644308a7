"""Every command of docs/your-own-network.md runs, in its order, and its keys are those of the sections."""

from __future__ import annotations

import json
import re

import pytest

from beam_pipelines.extractors.onnx_networks.config import (
    LogMelConfig,
    OnnxConfig,
    OnnxFaceConfig,
    PictureConfig,
    SoundConfig,
    TextConfig,
)
from tests.support.onnx_files import pictures_network
from tests.support.page_reader import DOCS, Reader

PAGE = DOCS / "your-own-network.md"


@pytest.mark.slow
def test_your_own_network(reader: Reader) -> None:
    pictures_network(reader.directory / "my_network.onnx")
    reader.follow(PAGE)
    card = json.loads((reader.directory / "run-mine" / "exports" / "1" / "model_card.json").read_text())
    assert set(card["fingerprints"]) == {"my_network"}
    assert list((reader.directory / "scores-mine").rglob("fourth*.csv"))


def test_the_page_names_every_key_and_no_other() -> None:
    sections = (PictureConfig, OnnxFaceConfig, SoundConfig, LogMelConfig, TextConfig)
    keys = {key for section in sections for key in section.model_fields} - {"takes"}
    text = PAGE.read_text(encoding="utf-8")
    tables = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    named = set(re.findall(r"`(\w+)`", tables))
    assert keys <= named
    kinds = {"picture", "face", "sound", "log_mel", "text"}
    values = {"takes", "stretch", "shorter_side_then_crop", "pad", "mean", "max", "first", "last"}
    assert named - keys - kinds - values == set()
    assert set(OnnxConfig.model_fields) <= keys
