"""The small training run that several test files share."""

from __future__ import annotations

from pathlib import Path

from beam_pipelines import cli
from tests.support.synthetic_films import DataSet

SETTINGS = ("epochs=4", "batch_size=64", "learning_rate=0.01", "model.window_s=8", "model.encoder.units=8")
SETTINGS += ("model.dropout=0.2", "model.feature_dropout=0", "model.modality_dropout=0")


def train_arguments(dataset: DataSet, output: Path, *further: str) -> list[str]:
    """Arguments of `cineaffect train` with `SETTINGS`; whoever gives them again goes on with the same run."""
    argv = ["--manifest", dataset.manifest, "--records", dataset.records, "--transform", dataset.transform]
    return [*argv, *(f"--set={setting}" for setting in SETTINGS), "--output", str(output), *further]


def train_small(dataset: DataSet, output: Path) -> None:
    """Trains, exports and evaluates in this process."""
    assert cli.main(["train", *train_arguments(dataset, output)]) == 0
