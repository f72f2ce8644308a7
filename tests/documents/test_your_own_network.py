"""Every command of docs/your-own-network.md runs, in its order, and its keys are those of the sections."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.onnx_networks.config import (
    LogMelConfig,
    OnnxConfig,
    OnnxFaceConfig,
    PictureConfig,
    PixelConfig,
    SoundConfig,
    TextConfig,
)
from beam_pipelines.extractors.onnx_networks.detector_config import DetectorConfig
from beam_pipelines.foundation.configuration import load_section
from tests.support.documentation import blocks_of
from tests.support.onnx_files import pictures_network
from tests.support.page_reader import DOCS, Reader
from trainer.foundation.config import TrainConfig

PAGE = DOCS / "your-own-network.md"
ABOVE = {PictureConfig: OnnxConfig, OnnxFaceConfig: PixelConfig, DetectorConfig: PixelConfig}
"""The section whose keys another row of the tables has."""


@pytest.mark.slow
def test_your_own_network(reader: Reader) -> None:
    pictures_network(reader.directory / "my_network.onnx")
    reader.follow(PAGE)
    card = json.loads((reader.directory / "run-mine" / "exports" / "1" / "model_card.json").read_text())
    assert set(card["fingerprints"]) == {"my_network"}
    assert list((reader.directory / "scores-mine").rglob("fourth*.csv"))


def test_one_configuration_has_a_network_and_raters(tmp_path: Path) -> None:
    (block,) = (block for block in blocks_of(PAGE) if block.name == "rated-network.yaml")
    (tmp_path / block.name).write_text(block.text)
    extract = load_section("extract", ExtractConfig, str(tmp_path / block.name))
    train = load_section("train", TrainConfig, str(tmp_path / block.name))
    assert extract.modalities == train.model.modalities == tuple(extract.networks)
    assert (train.labels.layout, train.labels.raters.fusion) == ("table", "ewe")


def test_the_page_names_every_key_and_no_other() -> None:
    sections = (PictureConfig, OnnxFaceConfig, SoundConfig, LogMelConfig, TextConfig, DetectorConfig)
    keys = {key for section in sections for key in section.model_fields} - {"takes"}
    text = PAGE.read_text(encoding="utf-8")
    tables = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    named = set(re.findall(r"`(\w+)`", tables))
    assert keys <= named
    kinds = {"picture", "face", "sound", "log_mel", "text", "detector", "cells"}
    values = {"takes", "stretch", "shorter_side_then_crop", "pad", "mean", "max", "first", "last"}
    assert named - keys - kinds - values == set()
    assert set(OnnxConfig.model_fields) <= keys


def test_the_page_says_each_keys_default() -> None:
    sections = {"picture": PictureConfig, "face": OnnxFaceConfig, "sound": SoundConfig, "log_mel": LogMelConfig}
    sections |= {"text": TextConfig, "detector": DetectorConfig}
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    said: dict[type[OnnxConfig], dict[str, str]] = {section: {} for section in (OnnxConfig, *sections.values())}
    for row in rows:
        section = sections.get(row.split("`")[1], OnnxConfig)
        said[section] |= dict(re.findall(r"`(\w+)` \(([^)]*)\)", row))
    for section, defaults in said.items():
        above = ABOVE.get(section, OnnxConfig)
        own = {key: field for key, field in section.model_fields.items() if key not in above.model_fields}
        fields = OnnxConfig.model_fields if section is OnnxConfig else own
        for key, field in fields.items():
            default = field.get_default(call_default_factory=True)
            if field.is_required():
                assert key not in defaults
            elif default not in (None, {}):
                found = yaml.safe_load(defaults[key])
                assert found == (list(default) if isinstance(default, tuple) else default), (section, key)
