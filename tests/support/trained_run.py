"""The small training run that several test files share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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


def evaluated_rows(dataset: DataSet, run: Path, output: Path) -> list[dict[str, Any]]:
    """The rows that `cineaffect evaluate` writes to `output` for a run's validation films."""
    argv = ["--manifest", dataset.manifest, "--scores", str(run), "--splits", "validation", "--output", str(output)]
    assert cli.main(["evaluate", *argv]) == 0
    rows: list[dict[str, Any]] = json.loads((output / "evaluation.json").read_text())["rows"]
    return rows
