"""The settings of an earlier run, with the epoch and the filter that its validation films chose."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from beam_pipelines.foundation.configuration import load_section
from beam_pipelines.foundation.errors import ConfigurationError
from tests.support.trained_run import SETTINGS
from trainer.exporting.like_run import settings_like
from trainer.foundation.config import TrainConfig

FILTER = {"order": 3, "cutoff_hz": 0.12}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with two exported models; validation chose epoch 3 of 4 and a filter that isn't the configured one."""
    settings = load_section("train", TrainConfig, None, SETTINGS).model_dump(mode="json")
    for version, epoch in ((1, 2), (2, 3)):
        card = {"best_epoch": epoch, "smoothing": FILTER, "configuration": {"train": settings}}
        folder = tmp_path / "run" / "exports" / str(version)
        folder.mkdir(parents=True)
        (folder / "model_card.json").write_text(json.dumps(card))
    return tmp_path / "run"


def test_all_settings_are_the_runs_and_epoch_and_filter_are_what_it_chose(run: Path) -> None:
    before, found = load_section("train", TrainConfig, None, SETTINGS), settings_like(str(run), None, [])
    assert found == before.model_copy(
        update={"epochs": 3, "smoothing": before.smoothing.model_copy(update={"order": 3, "cutoff_hz": 0.12})}
    )
    assert settings_like(str(run), None, ["epochs=9", "model.l2=0.5"]).epochs == 9


def test_a_file_replaces_all_but_epoch_and_filter(run: Path, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("train: {epochs: 40, batch_size: 7, smoothing: {cutoff_hz: 0.02}}\n")
    found = settings_like(str(run), str(tmp_path / "own.yaml"), [])
    assert (found.epochs, found.smoothing.cutoff_hz, found.batch_size) == (3, 0.12, 7)
    assert found.learning_rate == TrainConfig().learning_rate


def test_a_model_that_was_not_trained_has_nothing_to_take(tmp_path: Path) -> None:
    folder = tmp_path / "exports" / "1"
    folder.mkdir(parents=True)
    (folder / "model_card.json").write_text(json.dumps({"smoothing": FILTER}))
    with pytest.raises(ConfigurationError, match="has no 'best_epoch'; name a training run, not an ensemble"):
        settings_like(str(tmp_path), None, [])


def test_ridges_penalties_come_from_the_run_beside_the_network_or_from_one_of_ridge_alone(run: Path) -> None:
    card = json.loads((run / "exports" / "2" / "model_card.json").read_text())
    del card["best_epoch"]
    (run / "ridge" / "exports" / "1").mkdir(parents=True)
    penalty = {"valence": 3.0, "arousal": 0.01}
    (run / "ridge" / "exports" / "1" / "model_card.json").write_text(json.dumps({**card, "penalty": penalty}))
    assert settings_like(str(run), None, []).epochs == 3
    for place in (run, run / "ridge"):
        found = settings_like(str(place), None, []).ridge.penalty
        assert found is not None
        assert found.model_dump() == penalty
    (run / "own.yaml").write_text("train: {ridge: null}\n")
    assert settings_like(str(run), str(run / "own.yaml"), []).ridge is None
    assert settings_like(str(run), None, ["ridge=null"]).ridge is None
