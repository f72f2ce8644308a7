"""Which settings `configs/default.yaml` begins with: a comparison on generated films alone, none of them real.

    python -m benchmarks.default_settings              # all settings; 8 core minutes
    python -m benchmarks.default_settings bare         # some of them

The films have the moods of `cineaffect mediaeval-demo`, a leaky memory of events, and features as wide as the real ones
(2,048 + 128 + 1,024 values). As in real features, what a film looks like as a whole (its style, constant) and what
changes slowly without meaning anything are larger than the events are, so that a network can learn films by heart.
Training has 24 films of 240 s. Windows are 20 s, to save time.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from os import times
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from beam_pipelines.contracts.records.feature_track import slots_of
from beam_pipelines.demo.mediaeval import MediaEvalFilm
from beam_pipelines.labels.annotations import LabelReport
from benchmarks.training_memory import DIMENSIONS
from trainer.data.dataset import TrainingFilm
from trainer.evaluation.evaluate import evaluate_curves, smooth_curves
from trainer.foundation.config import TrainConfig

SEEDS = (1,)
FILMS = {"train": 24, "validation": 6, "test": 12}
SECONDS = 240
STYLES, DRIFTS = 12, 12
"""Numbers of constant and of slowly changing traits of a film that say nothing of its mood."""

COMMON: dict[str, Any] = {"epochs": 25, "batch_size": 32, "stride_s": 8}
BARE: dict[str, Any] = {
    "learning_rate": 1e-3,
    "patience": 8,
    "model": {"dropout": 0.0, "feature_dropout": 0.0, "modality_dropout": 0.0, "l2": 1e-6},
}
DROPOUT = {**BARE["model"], "dropout": 0.4}
DROPOUTS = {**DROPOUT, "feature_dropout": 0.2, "modality_dropout": 0.1}
SLOW = {"learning_rate": 3e-4, "patience": 10}
SETTINGS: dict[str, tuple[Mapping[str, Any], int]] = {
    "bare": (BARE, 0),
    "bare, 3e-4": ({**BARE, **SLOW}, 0),
    "dropout, 3e-4": ({**SLOW, "model": DROPOUT}, 0),
    "all dropouts, 3e-4": ({**SLOW, "model": DROPOUTS}, 0),
    "all dropouts, 3e-4, PCA 256": ({**SLOW, "model": DROPOUTS}, 256),
    "all dropouts, 1e-3": ({**BARE, "model": DROPOUTS}, 0),
    "bare, PCA 256": (BARE, 256),
}
"""Name -> settings of the section `train`, and components of each modality (0: all values)."""


def make_films(components: int) -> dict[str, list[TrainingFilm]]:
    """The films of every split, normalised over the training films, or projected on their whitened components."""
    count = sum(FILMS.values())
    films = [MediaEvalFilm(number, SECONDS, 2018, "train") for number in range(count)]
    features = {
        m: _normalised([_observe(film, m, size) for film in films], components) for m, size in DIMENSIONS.items()
    }
    splits = np.repeat(list(FILMS), list(FILMS.values()))
    made: dict[str, list[TrainingFilm]] = {split: [] for split in FILMS}
    for number, (film, split) in enumerate(zip(films, splits, strict=True)):
        labels = film.labels().astype(np.float32)
        made[split].append(
            TrainingFilm(
                film_id=f"film{number}",
                split=split,
                features={m: values[number] for m, values in features.items()},
                present={m: np.ones((SECONDS, slots_of(m)), np.float32) for m in DIMENSIONS},
                labels=labels,
                known=np.ones(SECONDS, bool),
                label_rows=labels,
                report=LabelReport(film.film_id, SECONDS, SECONDS, SECONDS, 0, 0, 0),
                source_sha256="",
                digest=f"{number} {components}",
            )
        )
    return made


def measure(settings: Mapping[str, Any], films: Mapping[str, list[TrainingFilm]], seed: int) -> dict[str, float]:
    """The figures of one training on the test films, the mean of valence and arousal, and the chosen epoch."""
    from trainer.data.windows import stack_films
    from trainer.training.run import predict_films
    from trainer.training.train import train

    model = {"window_s": 20, **settings["model"]}
    config = TrainConfig.model_validate({**COMMON, **settings, "seed": seed, "model": model})
    with tempfile.TemporaryDirectory(prefix="cineaffect-defaults-") as output:
        before = sum(times()[:2])
        result = train(films["train"], films["validation"], config, output)
        core_s = sum(times()[:2]) - before
    curves = predict_films(result.model, stack_films(films["test"]), config.labels)
    smoothed = smooth_curves(curves, result.smoothing, config.labels)
    table = evaluate_curves({"smoothed": smoothed}, films["test"], result.constant)
    figures: dict[str, float] = {}
    for predictor in ("smoothed", "constant mean"):
        for name in ("mse", "pcc", "ccc"):
            both = [getattr(table.find(predictor, target), name) for target in ("valence", "arousal")]
            figures[f"{predictor} {name}"] = float(np.mean(both))
    return {**figures, "epoch": result.best_epoch, "core_s": core_s}


def _observe(film: MediaEvalFilm, modality: str, size: int) -> NDArray[np.float64]:
    """A film's features, float64 [T, size]: its noisy events among louder traits without meaning."""
    shared = np.random.default_rng([len(modality), *modality.encode()])
    own = np.random.default_rng([film.seed, film.index, len(modality)])
    events = film.events() + own.normal(scale=0.5, size=(SECONDS, 2))
    drifts = gaussian_filter1d(own.normal(size=(SECONDS, DRIFTS)), 15, axis=0)
    styles = np.broadcast_to(own.normal(size=STYLES), (SECONDS, STYLES))
    parts = ((events, 1.0), (drifts / drifts.std(), 1.0), (styles, 1.0))
    seen = sum(loudness * part @ shared.normal(size=(part.shape[1], size)) for part, loudness in parts)
    return seen + own.normal(scale=2.0, size=(SECONDS, size))


def _normalised(films: list[NDArray[np.float64]], components: int) -> list[NDArray[np.float32]]:
    training = np.concatenate(films[: FILMS["train"]])
    mean, deviation = training.mean(axis=0), training.std(axis=0)
    scaled = [(film - mean) / deviation for film in films]
    if components and components < training.shape[1]:
        values, vectors = np.linalg.eigh(np.cov(((training - mean) / deviation).T))
        basis = vectors[:, -components:] / np.sqrt(values[-components:])
        scaled = [film @ basis for film in scaled]
    return [film.astype(np.float32) for film in scaled]


def main() -> None:
    names = sys.argv[1:] or list(SETTINGS)
    print("| settings | seed | MSE | PCC | CCC | epoch | core s |\n|---|---|---|---|---|---|---|", flush=True)
    for seed in SEEDS:
        for name in names:
            settings, components = SETTINGS[name]
            got = measure(settings, make_films(components), seed)
            shown = " | ".join(f"{got[f'smoothed {figure}']:.4f}" for figure in ("mse", "pcc", "ccc"))
            print(f"| {name} | {seed} | {shown} | {got['epoch']} | {got['core_s']:.0f} |", flush=True)
    print(f"\nThe constant mean has an MSE of {got['constant mean mse']:.4f}.")


if __name__ == "__main__":
    main()
