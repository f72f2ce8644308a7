"""A small data set for the trainer's tests: records written by the project's own writer, labels, and a real transform.

Eight films of 70 to 105 seconds. Valence and arousal are slow sums of sines; image, audio and faces are linear mixtures
of them with noise, faces being absent now and then.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from beam_pipelines import cli
from beam_pipelines.contracts.records.records import (
    FeatureTrack,
    RecordHeader,
    make_record,
    record_uri,
    slots_of,
    write_record,
)

REPOSITORY = Path(__file__).resolve().parents[2]
DIMENSIONS = {"image": 12, "audio": 5, "face": 8}
SPLITS = {"train": 5, "validation": 2, "test": 1}


@dataclass(frozen=True)
class DataSet:
    """Where the parts lie: `films.csv`, the records and the transform made from the split `train`."""

    root: Path

    @property
    def manifest(self) -> str:
        return str(self.root / "films.csv")

    @property
    def records(self) -> str:
        return str(self.root / "features")

    @property
    def transform(self) -> str:
        return str(self.root / "transform")


def description(modality: str) -> dict[str, str]:
    """How a synthetic track says it was made."""
    return {"network": f"synthetic {modality}", "weights": "untrained, seed 7" if modality == "face" else "none"}


def latent_curves(seconds: int, generator: np.random.Generator) -> np.ndarray:
    """Valence and arousal, float64 [T, 2], in [-0.9, 0.9]."""
    t = np.arange(seconds)[:, None]
    period, phase = generator.uniform(18, 40, (2, 2)), generator.uniform(0, 2 * np.pi, (2, 2))
    return sum(0.45 * np.sin(2 * np.pi * t / period[i] + phase[i]) for i in range(2))


def make_tracks(curves: np.ndarray, generator: np.random.Generator) -> dict[str, FeatureTrack]:
    """One track a modality that follows the curves, by mixtures that are the same for every film."""
    seconds, tracks = len(curves), {}
    for index, (modality, size) in enumerate(DIMENSIONS.items()):
        mixture = np.random.default_rng(100 + index).normal(size=(2, size))
        values = 3.0 + curves @ mixture + generator.normal(0.0, 0.4, (seconds, size))
        present = np.ones((seconds, slots_of(modality)))
        if modality == "face":
            present = (generator.uniform(size=present.shape) < 0.7).astype(float)
            values *= np.repeat(present, size // slots_of(modality), axis=1)
        tracks[modality] = FeatureTrack(
            values=values.astype(np.float32),
            present=present.astype(np.float32),
            timestamps_us=np.arange(seconds, dtype=np.int64) * 1_000_000,
            description=description(modality),
        )
    return tracks


def write_labels(path: Path, curves: np.ndarray) -> None:
    """A label file in MediaEval 2018's layout."""
    rows = [f"{second}\t{valence:.6f}\t{arousal:.6f}" for second, (valence, arousal) in enumerate(curves)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["Time\tValence\tArousal", *rows, ""]))


def write_film(root: Path, film_id: str, seed: int) -> None:
    """Record and labels of one synthetic film below `root`."""
    generator = np.random.default_rng(seed)
    seconds = 70 + 5 * seed
    curves = latent_curves(seconds, generator)
    header = RecordHeader(film_id, f"{film_id}.mp4", 1, f"{seed:064x}", seconds, seconds * 1_000_000, 0)
    write_record(make_record(header, make_tracks(curves, generator)), record_uri(str(root / "features"), film_id))
    write_labels(root / "labels" / f"{film_id}.txt", curves)


def make_data_set(root: Path) -> DataSet:
    """Writes all films, and runs `cineaffect prepare` on the training films."""
    splits = [split for split, count in SPLITS.items() for _ in range(count)]
    rows = ["film_id,path,split,labels"]
    for seed, split in enumerate(splits):
        write_film(root, f"film{seed}", seed)
        rows.append(f"film{seed},film{seed}.mp4,{split},labels/film{seed}.txt")
    (root / "films.csv").write_text("\n".join([*rows, ""]))
    made = DataSet(root)
    prepare(made, made.transform)
    return made


def prepare(dataset: DataSet, output: str, *settings: str) -> str:
    """Runs `cineaffect prepare --set <setting> …` on the training films in this process; returns `output`."""
    arguments = ["--records", dataset.records, "--manifest", dataset.manifest, "--output", output]
    code = cli.main(["prepare", *arguments, *(f"--set={setting}" for setting in settings)])
    if code:
        raise RuntimeError(f"prepare ended with exit code {code}")
    return output
