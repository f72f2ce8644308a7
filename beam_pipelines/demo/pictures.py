"""The demo's plots: predicted beside known curves of the held-out films, and the course of the training."""

from __future__ import annotations

import json
from pathlib import Path

from beam_pipelines.contracts.curves.curves import CURVES, from_csv
from beam_pipelines.demo.films import DemoFilm
from beam_pipelines.report.plots import plot_curve, plot_history


def draw_curves(films: list[DemoFilm], scores: Path, output: Path) -> list[Path]:
    """Draws each film that was scored into `output`, its labels dashed beside the prediction.

    Args:
        films: the demo's films, whose curves are known.
        scores: directory of a scoring run.
        output: the folder of the plots, `<film_id>.png`.

    Returns:
        The plots' paths, in the order of `films`.
    """
    pictures = []
    for film in films:
        path = scores / CURVES / f"{film.film_id}.csv"
        if not path.is_file():
            continue
        curve = from_csv(path.read_text(encoding="utf-8"), film.film_id)
        labels = film.labels()
        picture = output / f"{film.film_id}.png"
        plot_curve(
            str(picture),
            film.film_id,
            range(curve.seconds),
            curve.valence,
            curve.arousal,
            valence_raw=curve.valence_raw,
            arousal_raw=curve.arousal_raw,
            labels={"valence": labels[:, 0], "arousal": labels[:, 1]},
        )
        pictures.append(picture)
    return pictures


def draw_training(model: Path, output: Path) -> Path:
    """Draws loss and validation figures by epoch from `<model>/history.json` into `<output>/training.png`."""
    epochs = json.loads((model / "history.json").read_text(encoding="utf-8"))
    metrics = [key for key in epochs[0] if key.startswith(("valence_", "arousal_"))]
    history = [
        {"epoch": epoch["epoch"], "train_loss": epoch["loss"], **{f"val_{key}": epoch[key] for key in metrics}}
        for epoch in epochs
    ]
    best = max(epoch["epoch"] for epoch in epochs if epoch["best"])
    picture = output / "training.png"
    plot_history(str(picture), history, best_epoch=best)
    return picture
