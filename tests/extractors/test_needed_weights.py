"""Absent weights are all named at once, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import describe_tracks
from beam_pipelines.extractors.weights.needed_weights import needed_weights, require_weights
from beam_pipelines.extractors.weights.weights_table import TABLE
from beam_pipelines.foundation.errors import ConfigurationError, WeightsError


def test_every_network_of_a_configuration_names_its_weights() -> None:
    settings = {
        "modalities": ["audio", "opensmile_is10", "image", "vgg16"],
        "audio": {"postprocess": "youtube8m"},
        "image": {"weights": "untrained"},
    }
    assert needed_weights(ExtractConfig.model_validate(settings)) == {
        "vggish_audioset": "audio",
        "vggish_pca": "audio",
        "vgg16_imagenet": "vgg16",
    }


def test_a_file_of_ones_own_is_no_name_of_the_table_and_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "mine.h5").touch()
    config = ExtractConfig.model_validate({"modalities": ["image"], "image": {"weights": str(tmp_path / "mine.h5")}})
    assert needed_weights(config) == {}
    require_weights(config)
    (tmp_path / "mine.h5").unlink()
    with pytest.raises(WeightsError, match=r"extract\.image\.weights: there is no file .*mine\.h5"):
        require_weights(config)


def test_a_modality_that_no_network_makes_is_refused_by_name() -> None:
    config = ExtractConfig().model_copy(update={"modalities": ("fc6",)})
    with pytest.raises(ConfigurationError, match="no network makes 'fc6'"):
        describe_tracks(config)


def test_only_what_is_absent_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CINEAFFECT_WEIGHTS", str(tmp_path))
    (tmp_path / TABLE["vggish_audioset"].file_name).touch()
    with pytest.raises(WeightsError) as caught:
        require_weights(ExtractConfig())
    said = str(caught.value)
    for name in ("inception_v3_imagenet", "facenet_vggface2"):
        for part in (name, TABLE[name].file_name, TABLE[name].url or "", TABLE[name].published_hash[1]):
            assert part in said
    assert "cineaffect weights fetch inception_v3_imagenet facenet_vggface2\n" in said
    assert "vggish" not in said
    assert "extract: {image: {weights: untrained}, face: {weights: untrained}}" in said
    require_weights(ExtractConfig(modalities=("audio",)))
