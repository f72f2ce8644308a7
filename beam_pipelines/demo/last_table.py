"""The demo's last table: how good its model is with and without the signals of picture and sound."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from beam_pipelines.contracts.runs import EVALUATION
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation.text_tables import aligned

FIGURES = ("mse", "pcc")
PREDICTORS = ("smoothed", "ridge, smoothed")


def print_with_and_without(with_signals: Path, without: Path) -> None:
    """Prints a table with a line for each model, of all seconds of the validation films.

    Held-out films would ask for a second scoring and evaluation, 11 s more.

    Args:
        with_signals, without: the folders of training, each with its evaluation.
    """
    columns = [f"{target} {figure.upper()}" for target in TARGETS for figure in FIGURES]
    rows = [*_rows("with signals", with_signals), *_rows("image, audio, face", without)]
    print("\nwith and without the signals of picture and sound, on the validation films:\n")
    print("\n".join(aligned([["features", "predictor", *columns], *rows])))


def _rows(title: str, run: Path) -> Iterator[list[str]]:
    rows: list[dict[str, Any]] = json.loads((run / EVALUATION).read_text(encoding="utf-8"))["rows"]
    found = {(row["predictor"], row["target"]): row for row in rows if row["scope"] == "pooled"}
    for predictor in PREDICTORS:
        if (predictor, TARGETS[0]) in found:
            figures = (found[predictor, target][figure] for target in TARGETS for figure in FIGURES)
            yield [title, predictor, *("" if value is None else f"{value:.3f}" for value in figures)]
