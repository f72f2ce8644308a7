"""The notebook runs from its first cell to its last, and shows what it says it shows."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import describe_tracks
from tests.support.exported_models import write_model
from tests.support.synthetic_clips import Sound, regular_times, write_clip

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
NOTEBOOK = REPOSITORY / "docs" / "two-films.ipynb"

nbformat = pytest.importorskip("nbformat", reason="needs nbformat, of the extra 'test'")
nbclient = pytest.importorskip("nbclient", reason="needs nbclient, of the extra 'test'")


def tone_film(path: Path, pitch_hz: int) -> Path:
    times_s = np.arange(8 * 16_000) / 16_000
    samples = (0.1 * times_s * np.sin(2 * np.pi * pitch_hz * times_s)).astype(np.float32)[None]
    return write_clip(path, regular_times(8 * 8, 8), rate_hz=8, sound=Sound([(Fraction(0), samples)], 16_000))


def test_the_notebook_goes_from_two_films_to_curves(tmp_path, monkeypatch):
    settings = {"modalities": ["audio"], "audio": {"weights": "untrained"}}
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"extract": settings}), encoding="utf-8")
    descriptions = describe_tracks(ExtractConfig.model_validate(settings))
    write_model(tmp_path / "exports", "1", dimensions={"audio": 128}, descriptions=descriptions)
    films = [str(tone_film(tmp_path / f"{hz}.mp4", hz)) for hz in (300, 900)]
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "the notebook is committed without outputs"
    names = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert names.source.startswith("FILMS = ")
    # Relative to the repository's root, whereas Jupyter starts a notebook in the folder where it lies.
    relative_films, exports, config_name = (
        [os.path.relpath(film, REPOSITORY) for film in films],
        os.path.relpath(tmp_path / "exports", REPOSITORY),
        os.path.relpath(config, REPOSITORY),
    )
    names.source = f"FILMS = {relative_films!r}\nMODEL = {exports!r}\nCONFIG = {config_name!r}"
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))

    nbclient.NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    ).execute()

    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    text = "".join(output.get("text", "") for output in outputs)
    assert len(pictures) == 3
    assert "300.mp4 8 s" in text
    assert "900.mp4 8 s" in text
    assert "time_s,valence,arousal,valence_raw,arousal_raw" in text
