"""Ridge regression at the size of MediaEval 2018: 54 films, 96,000 seconds, 3,200 values per second, made up.

    python -m benchmarks.ridge_size
    python -m benchmarks.ridge_size --films 5 --seconds 9000     # fewer seconds than columns: the other form

Four widths of causal means make 12,816 columns of them. The command prints the processor time of summing up the normal
equations and of each penalty, and peak resident memory; it fails above 4 GB.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import numpy as np

from beam_pipelines.contracts.records.records import slots_of
from benchmarks.training_memory import DIMENSIONS, FILMS, LIMIT_BYTES, SECONDS, RandomFilm, film_seconds, report
from trainer.data.contiguous_rows import stack_rows
from trainer.foundation.ridge_config import RidgeConfig
from trainer.ridge.equations import RidgeEquations


def make_films(films: int, seconds: int) -> list[RandomFilm]:
    """The films; each modality lies in one block, as the trainer's loader leaves it."""
    lengths, generator = film_seconds(films, seconds), np.random.default_rng(0)
    features: list[dict[str, np.ndarray]] = [{} for _ in lengths]
    for modality, size in DIMENSIONS.items():
        views = stack_rows([np.zeros((length, size), np.float32) for length in lengths])
        for each, view in zip(features, views, strict=True):
            generator.standard_normal(out=view, dtype=np.float32)
            each[modality] = view
    return [
        RandomFilm(
            f"film{index}",
            features[index],
            {modality: np.ones((length, slots_of(modality)), np.float32) for modality in DIMENSIONS},
            np.stack([np.sin(np.arange(length) / 20), np.cos(np.arange(length) / 30)], axis=1).astype(np.float32),
            np.ones(length, bool),
        )
        for index, length in enumerate(lengths)
    ]


def main() -> int:
    """Makes the films, sums up, solves; 1 where that took more than 4 GB."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=FILMS)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--penalties", type=float, nargs="+", default=[0.1, 10.0])
    arguments = parser.parse_args()
    started = time.process_time()
    films = make_films(arguments.films, arguments.seconds)
    report("films made", started)
    started = time.process_time()
    equations = RidgeEquations(films, tuple(DIMENSIONS), True, RidgeConfig())
    report("equations summed up", started)
    for penalty in arguments.penalties:
        started = time.process_time()
        weights, _ = equations.solve(penalty)
        report(f"penalty {penalty:g}, norm of the weights {np.linalg.norm(weights):.4f}", started)
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > LIMIT_BYTES)


if __name__ == "__main__":
    sys.exit(main())
