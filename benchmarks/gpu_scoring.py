"""Scoring's encoders on a GPU: the export's blocks of rows by their size, against cuDNN on batches of windows.

    KERAS_BACKEND=jax python -m benchmarks.gpu_scoring --output gpu_scoring.json

The three GRUs of the paper's network (2,048 + 128 + 1,024 values a second, 128 units, windows of 60 s) with drawn
weights, float32 products of full precision. Four ways, for films of several lengths:

  compiled   the product's own `encode_rows`, which Keras on JAX compiles with XLA
  eager      the same steps started one operation after the other by PyTorch, as TensorFlow's executor starts them too:
             what the exported model does on a GPU where XLA is off
  cuDNN      `torch.nn.GRU` on batches of windows, which is what the stock layer runs

Milliseconds a film, medians of five turns, features on the device. All ways are held against the stock recurrence in
float64 on the host, at some windows.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

DIMENSIONS = {"image": 2048, "audio": 128, "face": 1024}
UNITS, WINDOW_S = 128, 60
FILMS_S = (60, 600, 2048, 5400, 8192, 10800)
BLOCKS = (256, 2048, 8192, 16384)
WINDOW_BATCHES = (256, 2048)
TURNS = 5
CHECKED_ROWS = (0, 30, 59)
Weights = dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]


def draw_weights() -> Weights:
    """Modality -> kernel [D, 3H], recurrent kernel [H, 3H], biases [2, 3H], gates in Keras's order z, r, candidate."""
    generator = np.random.default_rng(11)

    def drawn(*shape: int) -> np.ndarray:
        return (generator.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)

    return {
        modality: (drawn(size, 3 * UNITS), drawn(UNITS, 3 * UNITS), 0.1 * drawn(2, 3 * UNITS))
        for modality, size in DIMENSIONS.items()
    }


def draw_film(seconds: int) -> dict[str, np.ndarray]:
    """Features of a film, float32 [seconds, D]."""
    generator = np.random.default_rng(seconds)
    return {m: generator.standard_normal((seconds, size), np.float32) for m, size in DIMENSIONS.items()}


def expected_state(weights: Weights, film: dict[str, np.ndarray], row: int) -> np.ndarray:
    """The states after the zero-padded window that ends at a row, in float64: the GRU with `reset_after`."""
    states = []
    for modality, (kernel, recurrent, bias) in weights.items():
        window = np.zeros((WINDOW_S, DIMENSIONS[modality]))
        first = max(0, row - WINDOW_S + 1)
        window[WINDOW_S - (row + 1 - first) :] = film[modality][first : row + 1]
        state = np.zeros(UNITS)
        for x in window:
            projected = x @ kernel + bias[0]
            inner = state @ recurrent + bias[1]
            update, reset = (1 / (1 + np.exp(-(projected + inner)[part])) for part in (slice(UNITS), slice(UNITS, 256)))
            candidate = np.tanh(projected[256:] + reset * inner[256:])
            state = update * state + (1 - update) * candidate
        states.append(state)
    return np.concatenate(states)


def milliseconds(call: Callable[[], Any], wait: Callable[[Any], None]) -> float:
    """Median time of a call to its end."""
    wait(call())
    turns = []
    for _ in range(TURNS):
        began = time.perf_counter()
        wait(call())
        turns.append(1000 * (time.perf_counter() - began))
    return statistics.median(turns)


class Compiled:
    """The product's encoders under JAX."""

    def __init__(self, weights: Weights):
        from trainer.network.recurrent import GRUEncoder

        self.encoders = {}
        for modality, size in DIMENSIONS.items():
            encoder = GRUEncoder(UNITS, name=modality)
            encoder.build((None, None, size))
            encoder.set_weights(list(weights[modality]))
            self.encoders[modality] = encoder

    def ready(self, film: dict[str, np.ndarray], block: int) -> Callable[[], Any]:
        """A call that encodes the film in blocks of so many rows."""
        import jax
        from keras import ops

        seconds = len(film["image"])
        padding = -seconds % block
        rows = {m: jax.device_put(np.pad(values, ((0, padding), (0, 0)))) for m, values in film.items()}
        starts = jax.numpy.zeros(seconds + padding, "int32")

        def encode(rows: Any, starts: Any) -> Any:
            ends = jax.numpy.arange(seconds + padding, dtype="int32")
            states = [self.encoders[m].encode_rows(rows[m], starts, WINDOW_S, ends, block) for m in DIMENSIONS]
            return ops.concatenate(states, axis=-1)

        with jax.default_matmul_precision("highest"):
            compiled = jax.jit(encode).lower(rows, starts).compile()
        return lambda: compiled(rows, starts)

    @staticmethod
    def wait(answer: Any) -> None:
        """Until the device has done it."""
        import jax

        jax.block_until_ready(answer)


class InTorch:
    """The same on PyTorch: operation by operation, and cuDNN on explicit windows."""

    def __init__(self, weights: Weights, device: str):
        import torch

        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        self.torch, self.device = torch, device
        self.weights = {m: tuple(torch.tensor(array, device=device) for array in w) for m, w in weights.items()}
        self.stock = {modality: self._stock(modality, weights[modality]) for modality in DIMENSIONS}

    def _stock(self, modality: str, weights: tuple[np.ndarray, ...]) -> Any:
        torch = self.torch
        gru = torch.nn.GRU(DIMENSIONS[modality], UNITS, batch_first=True).to(self.device)

        def reordered(array: np.ndarray) -> Any:
            update, reset, candidate = np.split(array, 3, axis=-1)  # PyTorch's order is r, z, candidate
            return torch.tensor(np.concatenate([reset, update, candidate], -1).T.copy(), device=self.device)

        kernel, recurrent, bias = weights
        with torch.no_grad():
            for parameter, array in zip(gru._flat_weights, (kernel, recurrent, bias[0], bias[1]), strict=True):
                parameter.copy_(reordered(array))
        return gru

    def place(self, film: dict[str, np.ndarray]) -> dict[str, Any]:
        """The film with zeros before it, on the device."""
        torch = self.torch
        padded = {m: np.pad(values, ((WINDOW_S - 1, 0), (0, 0))) for m, values in film.items()}
        return {m: torch.tensor(values, device=self.device) for m, values in padded.items()}

    def eager(self, placed: dict[str, Any], block: int) -> Any:
        """`encode_rows` of trainer.network.recurrent, one operation after the other."""
        torch, two = self.torch, 2 * UNITS
        answers = []
        for modality, (kernel, recurrent, bias) in self.weights.items():
            table = placed[modality] @ kernel + bias[0]
            table[:, :two] += bias[1, :two]
            rows = len(table) - WINDOW_S + 1
            states = []
            for first in range(0, rows, block):
                ends = torch.arange(first, min(first + block, rows), device=self.device)
                state = torch.zeros((len(ends), UNITS), device=self.device)
                for k in range(WINDOW_S):
                    position = ends + k
                    projected = table[torch.where(position >= 0, position, 0)]
                    inner = state @ recurrent
                    gates = torch.sigmoid(projected[:, :two] + inner[:, :two])
                    update, reset = gates[:, :UNITS], gates[:, UNITS:]
                    candidate = torch.tanh(projected[:, two:] + reset * (inner[:, two:] + bias[1, two:]))
                    state = candidate + update * (state - candidate)
                states.append(state)
            answers.append(torch.cat(states))
        return torch.cat(answers, -1)

    def on_windows(self, placed: dict[str, Any], batch: int) -> Any:
        """The stock layer on batches of explicit windows."""
        torch = self.torch
        answers = []
        for modality, gru in self.stock.items():
            windows = placed[modality].unfold(0, WINDOW_S, 1).transpose(1, 2)
            states = [gru(part.contiguous())[1][0] for part in torch.split(windows, batch)]
            answers.append(torch.cat(states))
        return torch.cat(answers, -1)

    def wait(self, answer: Any) -> None:
        """Until the device has done it."""
        if self.device != "cpu":
            self.torch.cuda.synchronize()


def measure(seconds: int, compiled: Compiled, in_torch: InTorch, weights: Weights) -> list[dict[str, Any]]:
    """One film in every way: milliseconds, and the largest deviation from float64."""
    film = draw_film(seconds)
    placed = in_torch.place(film)
    ways: list[tuple[str, int, Callable[[], Any], Callable[[Any], None]]] = []
    for block in BLOCKS:
        if block == BLOCKS[0] or block / 8 < seconds:
            ways.append(("compiled", block, compiled.ready(film, block), compiled.wait))
            ways.append(("eager", block, lambda block=block: in_torch.eager(placed, block), in_torch.wait))
    for batch in WINDOW_BATCHES:
        if batch == WINDOW_BATCHES[0] or batch / 2 < seconds:
            ways.append(("cuDNN", batch, lambda batch=batch: in_torch.on_windows(placed, batch), in_torch.wait))
    checked = [*CHECKED_ROWS, seconds - 1]
    expected = np.stack([expected_state(weights, film, row) for row in checked])
    rows = []
    for way, size, call, wait in ways:
        with in_torch.torch.no_grad():
            answer = call()
            found = np.asarray(answer.cpu() if hasattr(answer, "cpu") else answer)[checked]
            row = {"film_s": seconds, "way": way, "rows": size, "ms": milliseconds(call, wait)}
        row["error"] = float(np.abs(found - expected).max())
        rows.append(row)
        print(f"{seconds:6} s  {way:9} {size:5}  {row['ms']:9.2f} ms  error {row['error']:.1e}", flush=True)
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints as it goes, and writes all numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, nargs="*", default=list(FILMS_S), metavar="SECONDS")
    parser.add_argument("--output", metavar="JSON")
    arguments = parser.parse_args(argv)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch shares the device
    import jax
    import torch

    print(f"{jax.devices()[0].device_kind}, JAX {jax.__version__}, PyTorch {torch.__version__}", flush=True)
    weights = draw_weights()
    compiled = Compiled(weights)
    in_torch = InTorch(weights, "cuda" if torch.cuda.is_available() else "cpu")
    rows = []
    for seconds in arguments.films:
        rows.extend(measure(seconds, compiled, in_torch, weights))
        if arguments.output:
            Path(arguments.output).write_text(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
