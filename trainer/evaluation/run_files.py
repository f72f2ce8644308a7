"""Run files in the format of the MediaEval task (2017): one text file per run.

MEDIAEVAL18_54            a line with the film's name,
0.1250000 -0.0310000      then one line per second: valence, arousal
0.1262000 -0.0290000
MEDIAEVAL18_55            and then the next film
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping

import numpy as np

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError


class RunFileError(ConfigurationError):
    """A run file can't be read or written; the text names the file, the line and the fault."""


def write_run_file(uri: str, curves: Mapping[str, np.ndarray], lag_s: int = 0) -> None:
    """Writes a run, films sorted by name, values with seven decimals.

    Args:
        uri: the file, local or `gs://`.
        curves: film id -> [T, 2], valence and arousal in the labels' range.
        lag_s: `labels.lag_s` of the training. The file has the task's time, that of the ratings: the curve comes so
            many seconds later, and begins with its first value so many times.

    Raises:
        RunFileError: if a name looks like a row, or a value isn't finite.
    """
    lines = []
    for film_id in sorted(curves):
        if _row(film_id) is not None or film_id != film_id.strip() or not film_id or len(film_id.splitlines()) != 1:
            raise RunFileError(f"{uri}: the film name {film_id!r} can't stand in a run file; name the film otherwise")
        curve = np.asarray(curves[film_id], np.float64)
        if curve.ndim != 2 or curve.shape[1] != 2 or not np.isfinite(curve).all():
            raise RunFileError(f"{uri}: film '{film_id}' must have two finite values a second; it has {curve.shape}")
        curve = np.concatenate([np.repeat(curve[:1], lag_s, axis=0), curve])[: len(curve)]
        lines.append(film_id)
        lines.extend(f"{valence:.7f} {arousal:.7f}" for valence, arousal in curve)
    storage.write_text(uri, "".join(f"{line}\n" for line in lines))


def read_run_file(uri: str) -> dict[str, np.ndarray]:
    """Reads a run: film id -> float64 [T, 2]; ids are in NFC, as all film ids are.

    Raises:
        RunFileError: if there is no such file, a row comes before the first film's name, a film occurs twice, or values
            aren't finite.
    """
    try:
        text = storage.read_text(uri)
    except FileNotFoundError as error:
        raise RunFileError(f"{uri}: no such run file") from error
    except UnicodeDecodeError as error:
        raise RunFileError(f"{uri}: not UTF-8 text ({error}); it is no run file") from error
    films: dict[str, list[tuple[float, float]]] = {}
    current = None
    for number, line in enumerate(text.splitlines(), start=1):
        row = _row(line)
        if row is not None:
            if current is None:
                raise RunFileError(f"{uri}, line {number}: a film's name must come before its rows")
            if not (math.isfinite(row[0]) and math.isfinite(row[1])):
                raise RunFileError(f"{uri}, line {number}: valence and arousal must be finite; it reads {line!r}")
            films[current].append(row)
        elif line.strip():
            current = unicodedata.normalize("NFC", line.strip())
            if current in films:
                raise RunFileError(f"{uri}, line {number}: the film '{current}' is there twice")
            films[current] = []
    return {film_id: np.array(rows, np.float64).reshape(-1, 2) for film_id, rows in films.items()}


def run_name(uri: str) -> str:
    """The name of a run: its file's name without folder and suffix."""
    return uri.rsplit("/", 1)[-1].removesuffix(".txt")


def _row(line: str) -> tuple[float, float] | None:
    fields = line.split()
    if len(fields) != 2:
        return None
    try:
        return float(fields[0]), float(fields[1])
    except ValueError:
        return None
