"""The demo's last table says of each model what its evaluation says."""

from __future__ import annotations

import json
from pathlib import Path

from beam_pipelines.demo.last_table import print_last_table
from beam_pipelines.demo.run import CONFIG
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.signals.columns import COLUMNS
from beam_pipelines.foundation.configuration import load_section


def evaluation(folder: Path, mse: float) -> Path:
    rows = [
        {
            "predictor": predictor,
            "target": target,
            "scope": scope,
            "mse": mse + number / 100 + (scope == "pooled"),
            "pcc": None,
        }
        for scope in ("pooled", "mean of films")
        for predictor in ("constant mean", "smoothed", "ridge, smoothed")
        for number, target in enumerate(("valence", "arousal"))
    ]
    folder.mkdir()
    (folder / "evaluation.json").write_text(json.dumps({"rows": rows}))
    return folder


def test_a_line_for_each_model_and_what_the_one_without_training_means(tmp_path, capsys):
    formula = tmp_path / "formula"
    formula.mkdir()
    row = {"predictor": "smoothed", "target": "arousal", "scope": "mean of films", "mse": None, "pcc": 0.5}
    (formula / "evaluation.json").write_text(json.dumps({"rows": [row, {**row, "scope": "pooled", "pcc": None}]}))
    print_last_table(evaluation(tmp_path / "with", 0.1), evaluation(tmp_path / "without", 0.2), formula)
    said = capsys.readouterr().out
    assert "has learned nothing" in said
    lines = [line.split("  ") for line in said.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines if len(line) > 1]
    assert cells == [
        ["features", "predictor", "valence MSE", "valence PCC", "arousal MSE", "arousal PCC"],
        ["with signals", "smoothed", "0.100", "0.110"],
        ["with signals", "ridge, smoothed", "0.100", "0.110"],
        ["image, audio, face", "smoothed", "0.200", "0.210"],
        ["image, audio, face", "ridge, smoothed", "0.200", "0.210"],
        ["builtin:signals", "smoothed", "0.500"],
    ]
    # The only figure of the last line is arousal's PCC.
    (last,) = [line for line in said.splitlines() if line.startswith("builtin:signals  ")]
    (head,) = [line for line in said.splitlines() if line.startswith("features")]
    assert len(last) == len(head)


def test_the_demo_has_both_signals():
    assert set(load_section("extract", ExtractConfig, str(CONFIG)).modalities) >= COLUMNS.keys()
