"""Every command of docs/own-labels.md runs, in its order."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.page_reader import DOCS, FILM_SECONDS, Reader


def write_ratings(directory: Path) -> None:
    """The ratings of the page's table at 25 Hz, by three raters, and the manifest that names them."""
    lines = (DOCS / "own-labels.md").read_text().splitlines()
    films = [line.strip() for line in lines if "{film}/{rater}" in line and line.startswith("    ")]
    (directory / "rated.csv").write_text("\n".join(["film_id,path,split,labels", *films]))
    time_s = np.arange(25 * FILM_SECONDS) / 25
    for line in films:
        for number, rater in enumerate(("anna", "ben", "cleo")):
            path = directory / "ratings" / line.split(",")[0] / f"{rater}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            values = 50 + 30 * np.sin(time_s + 0.3 * number)
            rows = [f"{time:.2f},{value:.1f}" for time, value in zip(time_s, values, strict=True)]
            path.write_text("\n".join(["time,arousal", *rows]))


@pytest.mark.slow
def test_own_labels(reader: Reader) -> None:
    write_ratings(reader.directory)
    reader.follow(DOCS / "own-labels.md")
    rated = json.loads((reader.directory / "run-ratings" / "exports" / "1" / "model_card.json").read_text())
    assert rated["targets"] == ["arousal"]
    assert "raters" in {row["predictor"] for row in rated["validation_metrics"]}
    sliders, best, last = (
        json.loads((reader.directory / run / "exports" / "1" / "model_card.json").read_text())
        for run in ("run-sliders", "run-best", "run-all")
    )
    assert sliders["label_range"] == [0.0, 1.0]
    assert last["data"]["train_films"] == ["first", "second"]
    # The last training stops where the best one was best, and filters as it did.
    assert (last["best_epoch"], last["smoothing"]) == (best["best_epoch"], best["smoothing"])
