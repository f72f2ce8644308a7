"""Windows per second that inputs give to a training step: W = 60, D = 3,200, batches of 512.

    python -m benchmarks.training_input

The aim is that the input pipeline gives at least ten times the windows of `Dataset.window`. The input pipeline runs on
the host before a step, and the step waits for it. There `Dataset.window` builds every window from single rows, and
`gather in map` cuts them out of the film. This project emits one int32 per window, an index into the films' rows on the
device, and the step gathers them. The row `this project's input pipeline` answers the aim.

The other rows show the cost of gathering: the batch float32 [512, 60, 3200] is 393 MB that must be written. The rows
`bound: …` do only that, with NumPy: they write the rows of the same windows, or as many bytes in one piece, into memory
that is kept from batch to batch, or is new for each batch. TensorFlow's allocator on a processor uses new memory: the
system provides such blocks page by page, and takes them back. (On a GPU TensorFlow keeps its memory.) The table has CPU
time (user and system), the median of runs in turns.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
import tensorflow as tf

from trainer.data.windows import epoch_batches, gather_windows

WINDOW_S, DIMENSIONS, BATCH, FILM_S = 60, 3200, 512, 3000


def by_dataset_window(rows: np.ndarray, windows: int) -> Iterable[object]:
    """`Dataset.window` over single rows."""
    films = tf.data.Dataset.from_tensor_slices(rows[: windows + WINDOW_S - 1])
    made = films.window(WINDOW_S, shift=1, drop_remainder=True)
    return made.flat_map(lambda window: window.batch(WINDOW_S)).batch(BATCH)


def by_map(rows: np.ndarray, windows: int) -> Iterable[object]:
    """Indices, gathered in the input pipeline."""
    table, back = tf.constant(rows), tf.range(1 - WINDOW_S, 1)
    ends = tf.data.Dataset.range(WINDOW_S - 1, windows + WINDOW_S - 1).batch(BATCH)
    return ends.map(lambda end: tf.gather(table, tf.cast(end, tf.int32)[:, None] + back))


def by_indices(rows: np.ndarray, windows: int) -> Iterable[object]:
    """This project's batches, int32 [512] each."""
    ends = np.arange(WINDOW_S - 1, windows + WINDOW_S - 1, dtype=np.int32)
    return (tf.constant(batch) for batch in epoch_batches(ends, BATCH, 1, 0))


def gathered(rows: np.ndarray, windows: int) -> Iterable[object]:
    """This project's batches, with the gathering that the step does."""
    table = tf.constant(rows)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)])
    def gather(ends: tf.Tensor) -> tf.Tensor:
        return gather_windows(table, ends, tf.zeros_like(ends), ends + 1, WINDOW_S - 1)

    return (gather(batch) for batch in by_indices(rows, windows))


@cache
def block(number: int) -> np.ndarray:
    """Memory of a batch's size that is there already: it has been written to."""
    return np.full((BATCH, WINDOW_S, DIMENSIONS), number, np.float32)


def taken(rows: np.ndarray, windows: int) -> Iterable[object]:
    """The bound: the rows of every batch copied to one place by `numpy.take`, and nothing else."""
    batch, back = block(0), np.arange(1 - WINDOW_S, 1)
    batches = epoch_batches(np.arange(WINDOW_S - 1, windows + WINDOW_S - 1, dtype=np.int32), BATCH, 1, 0)
    # With mode="raise" NumPy would write to a buffer of its own first.
    return (np.take(rows, ends[:, None] + back, axis=0, out=batch[: len(ends)], mode="clip") for ends in batches)


def copied(rows: np.ndarray, windows: int) -> Iterable[object]:
    """The bound of bounds: as many bytes as a batch has, copied from one kept block to another."""
    batch, source = block(0), block(1)
    return (np.copyto(batch[:count], source[:count]) for count in batch_sizes(windows))


def copied_to_new(rows: np.ndarray, windows: int) -> Iterable[object]:
    """The same, into a block that is new for each batch."""
    return (block(1)[:count].copy() for count in batch_sizes(windows))


def batch_sizes(windows: int) -> list[int]:
    """How many windows each batch of an epoch has."""
    return [min(BATCH, windows - first) for first in range(0, windows, BATCH)]


METHODS: dict[str, Callable[[np.ndarray, int], Iterable[object]]] = {
    "Dataset.window": by_dataset_window,
    "gather in map": by_map,
    "this project's input pipeline": by_indices,
    "this project, gathering in the step included": gathered,
    "bound: the same rows by numpy.take, memory kept": taken,
    "bound: as many bytes copied, memory kept": copied,
    "bound: as many bytes copied, memory new": copied_to_new,
}


def main() -> int:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=4 * BATCH)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--turn-s", type=float, default=1.0, help="CPU seconds for which a turn goes on, at least")
    arguments = parser.parse_args()
    rows = np.random.default_rng(0).standard_normal((FILM_S, DIMENSIONS), np.float32)
    for make in METHODS.values():
        next(iter(make(rows, BATCH)))
    spent: dict[str, list[float]] = {name: [] for name in METHODS}
    for _ in range(arguments.repeats):
        for name, make in METHODS.items():
            started, passes = time.process_time(), 0
            while time.process_time() - started < arguments.turn_s:
                passes += 1
                for _ in make(rows, arguments.windows):
                    pass
            spent[name].append((time.process_time() - started) / passes)
    slowest = statistics.median(spent["Dataset.window"])
    for name, times in spent.items():
        median = statistics.median(times)
        print(f"{name:48} {arguments.windows / median:12,.0f} windows a CPU second   {slowest / median:9.1f} x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
