"""Ridge regression in an experiment: two steps like a network's, which no seed changes.

It depends on features, presence input and seconds only, not on windows or encoders: variants of a comparison that
differ in the network alone share one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.foundation.errors import ConfigurationError
from trainer.data.leaks import assert_no_leak
from trainer.evaluation.curve_files import RIDGE
from trainer.experiments.cached_steps import step
from trainer.experiments.data import TEST, TRAIN, VALIDATION, ExperimentData
from trainer.experiments.training import read_curves, train_final, write_curves
from trainer.foundation.config import TrainConfig
from trainer.foundation.ridge_config import PenaltyConfig
from trainer.ridge.fit import fit_ridge

RIDGE_KEYS: dict[str, Any] = {
    "selection": True,
    "smoothing": True,
    "smoothing_cutoffs_hz": True,
    "labels": True,
    "ridge": True,
    "model": {"modalities", "presence_input"},
}
"""All keys of the section train on which ridge regression depends, in pydantic's form."""


@dataclass(frozen=True)
class SelectedRidge:
    """A fitted ridge regression: the directory of its step, and what the validation films chose."""

    directory: str
    penalty: PenaltyConfig
    smoothing: SmoothingConfig


def ridge_settings(config: TrainConfig) -> TrainConfig:
    """The configuration with defaults for all that only a network depends on."""
    return TrainConfig.model_validate(config.model_dump(include=RIDGE_KEYS))


def fit_selecting(output: str, data: ExperimentData, config: TrainConfig, *, predict_test: bool) -> SelectedRidge:
    """Fits on the split `train`, once; the split `validation` chooses penalties and filter.

    Args:
        output: directory of the experiment.
        data: films, features and transform.
        config: the train section.
        predict_test: whether the films of the split `test` are predicted too; else nothing reads them.

    Raises:
        ConfigurationError: if data or configuration are wrong, or there are no validation films.
    """
    config = ridge_settings(config)
    splits = (TRAIN, VALIDATION, TEST) if predict_test else (TRAIN, VALIDATION)
    dependencies = {"ridge": config.model_dump(mode="json"), "data": data.identity(config.labels, splits)}
    found = step(output, RIDGE, dependencies)
    result = found.result()
    if result is None:
        print(f"fitting ridge regression: {found.directory}", flush=True)
        films = {split: data.load(split, config.labels, config.model.modalities) for split in splits}
        if not films[TRAIN] or not films[VALIDATION]:
            raise ConfigurationError(f"{data.manifest}: films of the splits train and validation are needed")
        held_out = [film for split in splits[1:] for film in films[split]]
        assert_no_leak(films[TRAIN], held_out, data.statistics())
        fit = fit_ridge(films[TRAIN], films[VALIDATION], config)
        write_curves(found.directory, fit.model.predict_films(held_out), fit.smoothing, config)
        result = found.finish(penalty=dict(fit.penalty), smoothing=fit.smoothing.model_dump(mode="json"))
    return SelectedRidge(
        found.directory,
        PenaltyConfig.model_validate(result["penalty"]),
        SmoothingConfig.model_validate(result["smoothing"]),
    )


def ridges_of_variants(
    output: str, data: ExperimentData, configs: Mapping[str, TrainConfig]
) -> dict[str, dict[str, np.ndarray]]:
    """The smoothed curves of the test films: name of the row -> film id -> float64 [T, targets].

    One row `ridge` if the variants don't differ in what it depends on, else one for each variant that has it.
    """
    with_ridge = {name: config for name, config in configs.items() if config.ridge is not None}
    fitted = {name: fit_selecting(output, data, config, predict_test=True) for name, config in with_ridge.items()}
    curves = {
        name: read_curves(one.directory, data.films(TEST), targets=configs[name].labels.targets)
        for name, one in fitted.items()
    }
    if len({one.directory for one in fitted.values()}) == 1:
        return {RIDGE: next(iter(curves.values()))}
    return {f"{RIDGE}, {name}": found for name, found in curves.items()}


def fit_final(
    output: str,
    selection: ExperimentData,
    final: ExperimentData,
    config: TrainConfig,
    write_page: Callable[[str], object],
) -> dict[str, np.ndarray]:
    """Chooses penalties and filter on the selection's validation films, fits on all films, exports, and predicts.

    Returns:
        The smoothed curves of the test films: film id -> float64 [T, 2].
    """
    config = ridge_settings(config)
    chosen = fit_selecting(output, selection, config, predict_test=False)
    ridge = config.needed_ridge().model_copy(update={"penalty": chosen.penalty})
    config = config.model_copy(update={"ridge": ridge, "smoothing": chosen.smoothing})
    directory = train_final(output, f"{RIDGE}-final", final, config, write_page, model=RIDGE)
    return read_curves(directory, final.films(TEST))
