"""The demo's last table says of each model what its evaluation says."""

from __future__ import annotations

import json
from pathlib import Path

from beam_pipelines.demo.run import CONFIG
from beam_pipelines.demo.with_and_without import print_with_and_without
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.signals.columns import COLUMNS
from beam_pipelines.foundation.configuration import load_section


def evaluation(folder: Path, mse: float) -> Path:
    rows = [
        {"predictor": predictor, "target": target, "scope": scope, "mse": mse + number / 100, "pcc": None}
        for scope in ("pooled", "film")
        for predictor in ("constant mean", "smoothed", "ridge, smoothed")
        for number, target in enumerate(("valence", "arousal"))
    ]
    folder.mkdir()
    (folder / "evaluation.json").write_text(json.dumps({"rows": rows}))
    return folder


def test_a_line_for_each_model_with_and_without(tmp_path, capsys):
    print_with_and_without(evaluation(tmp_path / "with", 0.1), evaluation(tmp_path / "without", 0.2))
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines if len(line) > 1]
    assert cells == [
        ["features", "predictor", "valence MSE", "valence PCC", "arousal MSE", "arousal PCC"],
        ["with signals", "smoothed", "0.100", "0.110"],
        ["with signals", "ridge, smoothed", "0.100", "0.110"],
        ["image, audio, face", "smoothed", "0.200", "0.210"],
        ["image, audio, face", "ridge, smoothed", "0.200", "0.210"],
    ]


def test_the_demo_has_both_signals():
    assert set(load_section("extract", ExtractConfig, str(CONFIG)).modalities) >= COLUMNS.keys()
