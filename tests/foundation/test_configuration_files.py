"""The files in configs/ are valid, and default.yaml shows every key with the default that the code has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from beam_pipelines.foundation.configuration import SECTIONS, load_section

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def section_models() -> dict[str, Any]:
    from beam_pipelines.contracts.curves.score_config import ScoreConfig
    from beam_pipelines.extractors.config import ExtractConfig
    from beam_pipelines.normalisation.config import PrepareConfig
    from trainer.experiments.reproduce_config import ReproduceConfig
    from trainer.foundation.config import TrainConfig
    from trainer.retraining.config import RetrainConfig
    from trainer.tuning.config import TuneConfig

    models = (ExtractConfig, PrepareConfig, TrainConfig, ScoreConfig, RetrainConfig, TuneConfig, ReproduceConfig)
    return dict(zip(SECTIONS, models, strict=True))


def keys_of(values: Any, prefix: str = "") -> set[str]:
    if not isinstance(values, dict):
        return set()
    return {prefix + key for key in values}.union(*(keys_of(value, f"{prefix}{key}.") for key, value in values.items()))


@pytest.mark.parametrize("name", SECTIONS)
def test_the_default_file_shows_every_key_with_its_default(name):
    model = section_models()[name]
    assert load_section(name, model, str(CONFIGS / "default.yaml")) == model()
    shown = yaml.safe_load((CONFIGS / "default.yaml").read_text())[name]
    assert keys_of(shown) == keys_of(model().model_dump(mode="json"))


FILES = sorted([*CONFIGS.rglob("*.yaml"), *CONFIGS.parent.glob("beam_pipelines/demo/*.yaml")])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_is_valid(path):
    for name, model in section_models().items():
        load_section(name, model, str(path))
