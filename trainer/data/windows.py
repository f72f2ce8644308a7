"""Windows without copies: films are on the device as rows, and a batch is a list of the rows at which windows end.

    rows of all films     A0 A1 A2 A3 | B0 B1 B2 | 0        the last row is zero
    window of row 1       0  A0 A1                          W = 3; positions outside a film are the zero row
    window of row B1      0  B0 B1                          never a row of another film

With W = 60, stored windows would hold every row sixty times. Here a step gets one int32 per window, and gathers the
rows on the device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from beam_pipelines.contracts.records.feature_track import PRESENT_SUFFIX
from trainer.data.contiguous_rows import block_of
from trainer.data.film_protocols import LabelledRows


@dataclass(frozen=True, eq=False)
class WindowTable:
    """The rows of some films on the device, R of them and a zero row.

    Attributes:
        rows: modality -> float32 [R + 1, D], and `<modality>_present` -> float32 [R + 1, slots]; the last row is zero.
        labels: float32 [R, targets]; zero in unknown seconds.
        row_start, row_stop: int32 [R]; for each row, the first row of its film, and the row after its last.
        spans: film id -> its rows [first, stop).
        known: bool [R] (NumPy); whether a row has a label.
        weights: float32 [R] (NumPy), how much a row counts in the loss; None for all alike.
    """

    rows: Mapping[str, Any]
    labels: Any
    row_start: Any
    row_stop: Any
    spans: Mapping[str, tuple[int, int]]
    known: np.ndarray
    weights: np.ndarray | None = None

    def film(self, film_id: str) -> dict[str, Any]:
        """One film's rows, float32 [T, …] per key, without the zero row."""
        first, stop = self.spans[film_id]
        return {key: rows[first:stop] for key, rows in self.rows.items()}


def stack_films(films: Sequence[LabelledRows]) -> WindowTable:
    """Puts the films' rows on the device, one film after another.

    All films of one call of `dataset.load_films`, in its order, already lie like this in memory; on a CPU they are not
    copied.

    Raises:
        ValueError: if there is no film.
    """
    if not films:
        raise ValueError("no film to stack")
    spans, first = {}, 0
    for film in films:
        spans[film.film_id] = (first, first + len(film.known))
        first += len(film.known)
    rows = {}
    for modality in films[0].features:
        rows[modality] = _with_zero_row([film.features[modality] for film in films])
        rows[modality + PRESENT_SUFFIX] = _with_zero_row([film.present[modality] for film in films])
    return WindowTable(
        rows=rows,
        labels=tf.concat([film.labels for film in films], axis=0),
        row_start=tf.constant(np.concatenate([np.full(b - a, a, np.int32) for a, b in spans.values()])),
        row_stop=tf.constant(np.concatenate([np.full(b - a, b, np.int32) for a, b in spans.values()])),
        spans=spans,
        known=np.concatenate([film.known for film in films]),
    )


def gather_windows(rows: Any, ends: Any, row_start: Any, row_stop: Any, before: int, after: int = 0) -> Any:
    """The windows around some rows.

    Args:
        rows: float [R + 1, D], the last row zero.
        ends: int32 [B]; the row of each window that has `before` rows before it and `after` rows after it.
        row_start, row_stop: int32 [B]; the first row of each window's film, and the row after its last.
        before, after: numbers of rows.

    Returns:
        float [B, before + 1 + after, D], in the order of time; positions outside the film are the zero row.
    """
    position, inside = window_positions(ends, row_start, row_stop, before, after)
    zero_row = tf.shape(rows)[0] - 1
    return tf.gather(rows, tf.where(inside, position, zero_row))


def window_positions(ends: Any, row_start: Any, row_stop: Any, before: int, after: int = 0) -> tuple[Any, Any]:
    """The rows of windows, int32 [B, before + 1 + after], and whether each belongs to the window's film, bool likewise.

    A position outside the film is another film's row or none, and must not be read.
    """
    position = ends[:, None] + tf.range(-before, after + 1, dtype=tf.int32)[None, :]
    return position, (position >= row_start[:, None]) & (position < row_stop[:, None])


def window_ends(table: WindowTable, stride_s: int, epoch: int) -> np.ndarray:
    """The rows at which an epoch's training windows end, int32 [N], rising.

    With a stride, windows end only every so many seconds; the offset changes with each epoch, so that every labelled
    second is used.
    """
    second = np.concatenate([np.arange(stop - first) for first, stop in table.spans.values()])
    return np.flatnonzero(table.known & (second % stride_s == epoch % stride_s)).astype(np.int32)


def epoch_batches(ends: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The batches of one epoch, int32 [B] each: every window once, in an order that depends only on seed and epoch.

    Sizes differ by at most one, and none exceeds `batch_size`: the statistics of a small last batch would be poor.
    Since the order needs no generator's state, training resumes exactly where it stopped.
    """
    order = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch]))).permutation(len(ends))
    return np.array_split(ends[order], max(1, -(-len(ends) // batch_size)))


def _with_zero_row(parts: Sequence[np.ndarray]) -> Any:
    block = block_of(parts)
    if block is None:
        return tf.concat([*parts, np.zeros((1, parts[0].shape[1]), np.float32)], axis=0)
    # The identity copies the rows to a GPU if there is one, and otherwise shares their memory.
    return tf.identity(tf.experimental.dlpack.from_dlpack(block.__dlpack__()))
