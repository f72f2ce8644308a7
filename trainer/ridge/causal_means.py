"""Means over the last seconds of a film, up to and including the present one.

width 3, second 4      . . 2 3 4        a film's first seconds have the mean of what there is
all so far             0 1 2 3 4
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer.data.film_protocols import FilmRows


def input_rows(film: FilmRows, modalities: Sequence[str], presence_input: bool) -> np.ndarray:
    """What the network's encoders get of each second: values, zero where absent, and presence; float32 [T, D]."""
    columns = []
    for modality in modalities:
        values, present = film.features[modality], film.present[modality]
        here = np.repeat(present > 0, values.shape[1] // present.shape[1], axis=1)
        columns.append(np.where(here, values, np.float32(0.0)))
        if presence_input:
            columns.append(present)
    return np.concatenate(columns, axis=1, dtype=np.float32)


def running_sums(rows: np.ndarray) -> np.ndarray:
    """The sums of the first t rows for t = 0 … T: float [T, …] -> float64 [T + 1, …]."""
    sums = np.zeros((len(rows) + 1, *rows.shape[1:]))
    np.cumsum(rows, axis=0, dtype=np.float64, out=sums[1:])
    return sums


def causal_mean(sums: np.ndarray, seconds: np.ndarray, width_s: int | None) -> np.ndarray:
    """The means of the rows up to some seconds.

    Args:
        sums: from `running_sums`.
        seconds: int [N].
        width_s: how many seconds, of as many as there are; None for all so far.

    Returns:
        float64 [N, …].
    """
    stop = seconds + 1
    first = np.zeros_like(stop) if width_s is None else np.maximum(stop - width_s, 0)
    count = (stop - first).reshape(-1, *(1,) * (sums.ndim - 1))
    return (sums[stop] - sums[first]) / count
