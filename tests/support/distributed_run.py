"""Small training runs in a separate process, on given devices: `distributed_run.py RUNS`.

RUNS is a JSON list; each has `output`, `strategy` (`one`, `mirrored`: on `DEVICES` virtual CPUs, `multi_worker`),
`train` (keys of the section) and perhaps `checkpoint_batches`. A line a run, as JSON, tells its history and its
weights' norms; standard error has the number of every finished batch.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import tensorflow as tf

from beam_pipelines.labels.annotations import LabelReport
from trainer.data.dataset import TrainingFilm
from trainer.foundation.config import TrainConfig
from trainer.foundation.distribution import make_strategy
from trainer.training.progress import TrainingProgress
from trainer.training.train import train

DEVICES = 2
DIMENSIONS, SLOTS = {"audio": 5, "face": 4}, {"audio": 1, "face": 2}


class BatchNumbers(TrainingProgress):
    """Says which batches are done, so that whoever started this process can kill it in the middle."""

    def batch_done(self, epoch: int, batch: int, batches: int) -> None:
        print(f"done {epoch} {batch}", file=sys.stderr, flush=True)


def make_film(name: str, seconds: int, seed: int) -> TrainingFilm:
    """A film whose features follow its labels."""
    generator = np.random.default_rng(seed)
    labels = np.sin(np.arange(seconds)[:, None] / generator.uniform(4, 9, 2)).astype(np.float32)
    features, present = {}, {}
    for index, (modality, size) in enumerate(DIMENSIONS.items()):
        mixture = np.random.default_rng(90 + index).normal(size=(2, size))
        features[modality] = (labels @ mixture + generator.normal(0, 0.3, (seconds, size))).astype(np.float32)
        present[modality] = (generator.uniform(size=(seconds, SLOTS[modality])) < 0.9).astype(np.float32)
    return TrainingFilm(
        film_id=name,
        split="train",
        features=features,
        present=present,
        labels=labels,
        known=generator.uniform(size=seconds) < 0.8,
        label_rows=labels,
        report=LabelReport(name, seconds, seconds, seconds, 0, 0, 0),
        source_sha256="",
        digest=f"{seed}",
    )


def main() -> None:
    """Trains as `RUNS` says."""
    runs = json.loads(sys.argv[1])
    if any(settings["strategy"] == "mirrored" for settings in runs):
        devices = [tf.config.LogicalDeviceConfiguration()] * DEVICES
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
    for settings in runs:
        print(json.dumps(run(settings)), flush=True)


def run(settings: dict[str, Any]) -> dict[str, Any]:
    """Trains, and returns the results of the run."""
    if settings["strategy"] == "mirrored":
        strategy = tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(DEVICES)])
    else:
        strategy = make_strategy(settings["strategy"])
    films = [make_film("one", 53, 1), make_film("two", 40, 2)]
    result = train(
        films,
        [make_film("held out", 45, 3)],
        TrainConfig.model_validate(settings["train"]),
        settings["output"],
        checkpoint_batches=settings.get("checkpoint_batches", 0),
        progress=BatchNumbers(),
        strategy=strategy,
    )
    norms = [float(np.linalg.norm(variable.numpy())) for variable in result.model.weights]
    first = float(result.predictions["held out"][0, 0])
    return {"history": result.history, "norms": norms, "prediction": first}


if __name__ == "__main__":
    main()
