"""How well bands hold (`contracts.curves.bands`): a scoring run's, and those that films give each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from beam_pipelines.contracts.curves.bands import LEVELS, edges, half_width, measure
from beam_pipelines.contracts.curves.curves import curve_uri
from beam_pipelines.films.catalogue import Film
from beam_pipelines.labels.annotations import align, read_labels
from beam_pipelines.labels.config import LabelConfig
from trainer.evaluation.curve_files import read_bands

Measured = dict[str, dict[int, dict[str, Any]]]
"""Target -> level in percent -> `coverage`, `width` and `films`, from `contracts.curves.bands.measure`."""

Errors = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""Film id -> its curve and its labels at the labelled seconds, float64 [N, targets] each."""


def bands_of_run(scores: str, films: Sequence[Film], config: LabelConfig) -> Measured:
    """How well the bands of a scoring run's curves hold on the films with labels; empty if its curves have none.

    Args:
        scores: the run's directory, with `curves/<film_id>.csv`.
        films: the films; those without labels or curve are left out.
        config: how labels are read, with the lag and the targets of the run's model.

    Raises:
        ConfigurationError: if a curve is damaged.
        AnnotationError: if a label file is.
    """
    found: dict[str, dict[int, list[tuple[np.ndarray, np.ndarray, np.ndarray]]]] = {}
    for film in films:
        if not film.labels:
            continue
        try:
            bands = read_bands(curve_uri(scores, film.film_id), config.targets)
        except FileNotFoundError:
            continue
        for (target, level), (low, high) in bands.items():
            labels, known = align(read_labels(film.labels, config, film.film_id), len(low))
            if known.any():
                values = labels[known, config.targets.index(target)].astype(np.float64)
                found.setdefault(target, {}).setdefault(level, []).append((values, low[known], high[known]))
    return {
        target: {level: dict(measure(several)) for level, several in levels.items()} for target, levels in found.items()
    }


def bands_of_new_films(
    scores: str, films: Sequence[Film], config: LabelConfig, had_part: Collection[str]
) -> tuple[Measured, tuple[str, ...]]:
    """How well a run's bands hold on new films, and the films that it leaves out, for they `had_part` in them.

    Arguments and errors are otherwise those of `bands_of_run`.
    """
    new = [film for film in films if film.film_id not in had_part]
    without = [film.film_id for film in films if film.film_id in had_part and bands_of_run(scores, [film], config)]
    return bands_of_run(scores, new, config), tuple(without)


def crossed_bands(films: Errors, targets: Sequence[str], label_range: tuple[float, float]) -> Measured:
    """How well bands hold that films give each other: each film's is calibrated on all others.

    For films that had no part in the model, when there are none to spare for a calibration.

    Args:
        films: the films.
        targets: the names of the columns.
        label_range: lowest and highest label.
    """
    measured: Measured = {}
    for place, target in enumerate(targets):
        errors = {film_id: np.abs(labels - curve)[:, place] for film_id, (curve, labels) in films.items()}
        for level in LEVELS:
            held = []
            for film_id, (curve, labels) in films.items():
                half = half_width([other for name, other in errors.items() if name != film_id], level)
                if half is not None:
                    held.append((labels[:, place], *edges(curve[:, place], half, label_range)))
            if held:
                measured.setdefault(target, {})[level] = dict(measure(held))
    return measured
