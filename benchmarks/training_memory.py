"""Peak memory of training at the size of MediaEval 2018: 54 films, 96,000 seconds, 3,200 values per second.

    python -m benchmarks.training_memory

The command writes real feature records of random values and label files into a temporary folder (1.3 GB). A child
process loads them with the trainer's loader (an identity replaces the transform graph) and takes a few steps of the
paper's network at batch 512 and window 60. The command prints that process's peak resident memory.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from beam_pipelines.contracts.records.records import (
    FeatureTrack,
    RecordHeader,
    fingerprint,
    make_record,
    record_uri,
    slots_of,
    write_record,
)
from beam_pipelines.films.catalogue import Film

DIMENSIONS = {"image": 2048, "audio": 128, "face": 1024}
"""3,200 values a second, as of MediaEval 2018's size."""
FILMS, SECONDS = 54, 96_000
LIMIT_BYTES = 4 * 10**9


@dataclass(frozen=True, eq=False)
class RandomFilm:
    """A film of random rows; see `film_protocols.LabelledRows`."""

    film_id: str
    features: dict[str, np.ndarray]
    present: dict[str, np.ndarray]
    labels: np.ndarray
    known: np.ndarray


def film_seconds(films: int, seconds: int) -> list[int]:
    """Lengths of the films, uneven as real ones are, `seconds` in all."""
    shares = np.linspace(0.5, 1.5, films)
    ends = np.round(np.cumsum(shares) / shares.sum() * seconds).astype(int)
    return [int(length) for length in np.diff(ends, prepend=0)]


def write_data_set(root: Path, films: int, seconds: int) -> None:
    """Records and labels of all films."""
    for index, length in enumerate(film_seconds(films, seconds)):
        generator, tracks = np.random.default_rng(index), {}
        for modality, size in DIMENSIONS.items():
            tracks[modality] = FeatureTrack(
                values=generator.standard_normal((length, size), np.float32),
                present=np.ones((length, slots_of(modality)), np.float32),
                timestamps_us=1_000_000 * np.arange(length, dtype=np.int64),
                description={"network": f"random {modality}", "weights": "none"},
            )
        header = RecordHeader(f"film{index}", f"film{index}.mp4", 1, f"{index:064x}", length, length * 1_000_000, 0)
        write_record(make_record(header, tracks), record_uri(str(root), header.film_id))
        rows = [f"{t}\t{np.sin(t / 20):.4f}\t{np.cos(t / 30):.4f}" for t in range(length)]
        (root / f"film{index}.txt").write_text("\n".join(["Time\tValence\tArousal", *rows, ""]))


def measure(root: Path, films: int, steps: int) -> None:
    """Loads everything and trains some steps; prints what it took."""
    from trainer.data.dataset import Statistics, load_films
    from trainer.data.windows import epoch_batches, stack_films, window_ends
    from trainer.foundation.config import TrainConfig
    from trainer.network.model import build_model
    from trainer.training.checkpoints import TrainingState
    from trainer.training.run import dropout_seed
    from trainer.training.step import make_optimizer, make_step

    config, started = TrainConfig(), time.process_time()
    descriptions = {m: {"network": f"random {m}", "weights": "none"} for m in DIMENSIONS}
    statistics = Statistics(
        str(root), tuple(DIMENSIONS), {m: fingerprint(d) for m, d in descriptions.items()}, descriptions, (), {}, ""
    )
    chosen = [Film(f"film{i}", f"film{i}.mp4", "train", str(root / f"film{i}.txt")) for i in range(films)]
    loaded = load_films(str(root), chosen, lambda rows: rows, statistics, config.labels, tuple(DIMENSIONS))
    table = stack_films(loaded)
    report("loaded", started)
    model = build_model(config.model, DIMENSIONS, config.seed)
    optimizer = make_optimizer(config)
    optimizer.build(model.trainable_variables)
    state = TrainingState(str(root / "checkpoints"), model, optimizer)
    step = make_step(model, optimizer, table, state, config)
    batches = epoch_batches(window_ends(table, 1, 0), config.batch_size, config.seed, 0)
    for number in range(steps):
        step(batches[number], dropout_seed(config.seed, number))
    seconds = sum(film.seconds for film in loaded)
    print(f"{len(loaded)} films, {seconds} s, loss {float(state.loss_sum.numpy()) / (steps * len(batches[0])):.3f}")
    report(f"after {steps} steps", started)


def report(what: str, started: float) -> None:
    """Prints peak memory and CPU time so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{what}: peak {peak / 1e9:.2f} GB, {time.process_time() - started:.0f} s of CPU time", flush=True)


def main() -> int:
    """Writes the data, measures in a process of its own; 1 where that took more than 4 GB."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=FILMS)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure, arguments.films, arguments.steps)
        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > LIMIT_BYTES)
    with tempfile.TemporaryDirectory(prefix="cineaffect-memory-") as folder:
        write_data_set(Path(folder), arguments.films, arguments.seconds)
        sizes = [f"--films={arguments.films}", f"--steps={arguments.steps}", f"--measure={folder}"]
        return subprocess.run([sys.executable, "-m", "benchmarks.training_memory", *sizes]).returncode


if __name__ == "__main__":
    sys.exit(main())
