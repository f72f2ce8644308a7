"""The demo's last table: its model with and without the signals of picture and sound; the one without training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from beam_pipelines.contracts.runs import EVALUATION
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation.text_tables import aligned

FIGURES = ("mse", "pcc")
SMOOTHED = "smoothed"
PREDICTORS = (SMOOTHED, "ridge, smoothed")
BUILTIN = "builtin:signals"

_MEANING = f"""
{BUILTIN} has learned nothing: motion, cuts and loudness give arousal alone, in each film's own range, so that
only PCC counts. These films were made to move faster and to sound louder with their arousal, which is what the formula
goes by: how near it comes here says nothing of real films."""


def print_last_table(with_signals: Path, without: Path, formula: Path) -> None:
    """Prints a table with a line for each model, of the means over the validation films.

    Held-out films would ask for scoring and evaluating each model on them.

    Args:
        with_signals, without: the folders of training, each with its evaluation.
        formula: the scoring run of `builtin:signals` on the same films, with its evaluation.
    """
    columns = [f"{target} {figure.upper()}" for target in TARGETS for figure in FIGURES]
    rows = [
        *_rows("with signals", with_signals, PREDICTORS),
        *_rows("image, audio, face", without, PREDICTORS),
        *([BUILTIN, *row[1:]] for row in _rows("", formula, (SMOOTHED,))),
    ]
    print(
        "\nwith and without the signals of picture and sound, and without training, means over the validation films:\n"
    )
    print("\n".join(aligned([["features", "predictor", *columns], *rows])))
    print(_MEANING)


def _rows(title: str, run: Path, predictors: tuple[str, ...]) -> Iterator[list[str]]:
    rows: list[dict[str, Any]] = json.loads((run / EVALUATION).read_text(encoding="utf-8"))["rows"]
    found = {(row["predictor"], row["target"]): row for row in rows if row["scope"] == "mean of films"}
    for predictor in predictors:
        if any(known == predictor for known, _ in found):
            figures = (found.get((predictor, target), {}).get(figure) for target in TARGETS for figure in FIGURES)
            yield [title, predictor, *("" if value is None else f"{value:.3f}" for value in figures)]
