"""The input's share of a real training step: the paper's network, forward, backward and Adam.

    python -m benchmarks.training_step                                    # the paper's size; some minutes on 2 cores
    python -m benchmarks.training_step --batch 64 --units 16 --steps 5    # smaller

Input has two parts. Before the step, the host chooses the windows of a batch: one int32 per window, no tf.data; the
step waits only for that. Within the step the device gathers the windows from the films' rows on it; a graph that does
only this, on the same batches, measures it. The whole step is the trainer's own (`trainer.training.step.make_step`).
The table has the median of the steps after the first, which compiles; on a GPU read the wall time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from beam_pipelines.contracts.records.feature_track import slots_of
from benchmarks.training_memory import DIMENSIONS, RandomFilm
from trainer.data.windows import WindowTable, epoch_batches, gather_windows, stack_films, window_ends
from trainer.foundation.config import EncoderConfig, ModelConfig, TrainConfig
from trainer.network.model import build_model
from trainer.training.checkpoints import TrainingState
from trainer.training.run import dropout_seed
from trainer.training.step import make_optimizer, make_step

PARTS = ("chosen on the host: what the step waits for", "gathered on the device, within the step", "the whole step")


def make_film(index: int, seconds: int) -> RandomFilm:
    """A film of some seconds with all modalities and labels."""
    generator = np.random.default_rng(index)
    return RandomFilm(
        film_id=f"film{index}",
        features={m: generator.standard_normal((seconds, size), np.float32) for m, size in DIMENSIONS.items()},
        present={m: np.ones((seconds, slots_of(m)), np.float32) for m in DIMENSIONS},
        labels=generator.uniform(-0.5, 0.5, (seconds, 2)).astype(np.float32),
        known=np.ones(seconds, bool),
    )


def make_gather(table: WindowTable, window_s: int) -> Callable[[np.ndarray], object]:
    """A graph that gathers a batch's windows of all modalities, and nothing else."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)])
    def gather(ends: tf.Tensor) -> list[tf.Tensor]:
        bounds = [tf.gather(of_row, ends) for of_row in (table.row_start, table.row_stop)]
        windows = [gather_windows(rows, ends, *bounds, window_s - 1) for rows in table.rows.values()]
        # One value a modality leaves the graph, so that copying out isn't counted.
        return [tf.reduce_max(window[:, -1, 0]) for window in windows]

    return lambda ends: [value.numpy() for value in gather(ends)]


def measure(config: TrainConfig, films: int, seconds: int, steps: int) -> dict[str, list[tuple[float, float]]]:
    """Part -> wall and CPU seconds of every step but the first."""
    table = stack_films([make_film(index, seconds) for index in range(films)])
    model = build_model(config.model, DIMENSIONS, config.seed)
    optimizer = make_optimizer(config)
    optimizer.build(model.trainable_variables)
    spent: dict[str, list[tuple[float, float]]] = {part: [] for part in PARTS}
    with tempfile.TemporaryDirectory(prefix="cineaffect-step-") as folder:
        state = TrainingState(folder, model, optimizer)
        step, gather = make_step(model, optimizer, table, state, config), make_gather(table, config.model.window_s)
        for number in range(steps + 1):
            choosing = _now()
            # An epoch's batches are chosen together; here anew for each step, so the figure is an upper bound.
            batch = epoch_batches(window_ends(table, config.stride_s, 0), config.batch_size, config.seed, number)[0]
            chosen = _now()
            gather(batch)
            gathered = _now()
            step(batch, dropout_seed(config.seed, number))
            state.loss_sum.numpy()  # waits for the device
            done = _now()
            if number:
                edges = ((choosing, chosen), (chosen, gathered), (gathered, done))
                for part, (start, end) in zip(PARTS, edges, strict=True):
                    spent[part].append((end[0] - start[0], end[1] - start[1]))
    return spent


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def main() -> int:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = TrainConfig()
    parser.add_argument("--films", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=1800, help="of each film")
    parser.add_argument("--batch", type=int, default=defaults.batch_size)
    parser.add_argument("--window", type=int, default=defaults.model.window_s)
    parser.add_argument("--encoder", choices=("gru", "lstm"), default="gru")
    parser.add_argument("--units", type=int, default=defaults.model.encoder.units)
    parser.add_argument("--steps", type=int, default=10)
    arguments = parser.parse_args()
    encoder = EncoderConfig(kind=arguments.encoder, units=arguments.units)
    model = ModelConfig(modalities=tuple(DIMENSIONS), window_s=arguments.window, encoder=encoder)
    config = defaults.model_copy(update={"batch_size": arguments.batch, "model": model})
    spent = measure(config, arguments.films, arguments.seconds, arguments.steps)
    devices = ", ".join(device.name for device in tf.config.list_logical_devices())
    print(
        f"{arguments.encoder}, {arguments.units} units, window {arguments.window} s, batch {arguments.batch}, "
        f"{sum(DIMENSIONS.values())} values a second; {devices}"
    )
    medians = {
        part: [statistics.median(column) for column in zip(*times, strict=True)] for part, times in spent.items()
    }
    whole = medians[PARTS[-1]]
    for part, (wall_s, cpu_s) in medians.items():
        shares = f"{wall_s / whole[0]:7.2%} of the step's wall time, {cpu_s / whole[1]:7.2%} of its CPU time"
        print(f"{part:46} {1000 * wall_s:9.2f} ms {1000 * cpu_s:9.2f} ms of CPU   {shares}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
