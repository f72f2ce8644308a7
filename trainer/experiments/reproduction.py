"""The paper's runs: their data, and each trained model's curves of the test films."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from beam_pipelines.films.mediaeval2018 import LayoutFilm
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError
from trainer.experiments.cached_steps import run_job
from trainer.experiments.data import (
    TEST,
    ExperimentData,
    assert_new_test_films,
    draw_partitions,
    prepare_transform,
    write_manifest,
)
from trainer.experiments.paper_runs import PaperRun
from trainer.experiments.ridge import fit_final
from trainer.experiments.training import read_curves, train_final, train_selecting, with_seed

Datasets = Mapping[str, tuple[ExperimentData, ExperimentData]]
"""The data of each run's selection and of its final training."""


def prepare_datasets(
    films: Sequence[LayoutFilm], runs: Sequence[PaperRun], source: str, records: str, output: str, config: str | None
) -> Datasets:
    """Makes manifests, features and transforms of every run that trains; runs with the same films share them.

    Args:
        films: the films of the data set.
        runs: the paper's runs.
        source: directory of the data set, for messages.
        records: directory of feature records; empty to extract the films.
        output: directory of the experiment.
        config: YAML file with the sections extract and prepare, or None.

    Raises:
        ConfigurationError: if there are neither records nor films, or a test film is a copy of another film.
        StepError: if a job fails.
    """
    manifests = {}
    for run in runs:
        if not run.reproduce.members:
            keys = run.reproduce
            partitions = draw_partitions(films, keys.validation_films, keys.split_seed, keys.film_share)
            manifests[run.name] = tuple(write_manifest(films, partition, output) for partition in partitions)
    if not records:
        lacking = [film.film_id for film in films if not film.path]
        if lacking:
            raise ConfigurationError(
                f"{source}: no MEDIAEVAL18_*.mp4 of {', '.join(lacking)} to extract features from; add them, "
                f"or make records of the organisers' features (`cineaffect import-features --mediaeval2018 "
                f"{source} --output RECORDS`) or others, and name them: --records RECORDS"
            )
        records = storage.join(output, "features")
        further = ["--config", config] if config else []
        run_job("extract", "--films", next(iter(manifests.values()))[1], "--output", records, *further)

    def dataset(manifest: str) -> ExperimentData:
        assert_new_test_films(manifest, records)
        return ExperimentData(manifest, records, prepare_transform(manifest, records, output, config))

    return {name: (dataset(selection), dataset(final)) for name, (selection, final) in manifests.items()}


def whole_run(datasets: Datasets, runs: Sequence[PaperRun]) -> PaperRun:
    """A run that learns from all films, if any does: its labels give the constant mean, its films ridge regression."""
    return max((run for run in runs if run.name in datasets), key=lambda run: run.reproduce.film_share)


def ridge_curves(
    run: PaperRun, datasets: Datasets, output: str, write_page: Callable[[str], object]
) -> dict[str, np.ndarray]:
    """The smoothed curves of the test films by ridge regression on a run's films: film id -> float64 [T, 2].

    Raises:
        ConfigurationError: if the run leaves ridge regression out.
    """
    selection, final = datasets[run.name]
    return fit_final(output, selection, final, run.train, write_page)


def curves_of_runs(
    runs: Sequence[PaperRun], seed: int, datasets: Datasets, output: str, write_page: Callable[[str], object]
) -> dict[str, dict[str, np.ndarray]]:
    """The smoothed curves of the test films, run -> film id -> float64 [T, 2]; runs with members are means."""
    curves: dict[str, dict[str, np.ndarray]] = {}
    for run in runs:
        if run.reproduce.members:
            members = [curves[name] for name in run.reproduce.members]
            curves[run.name] = {film_id: np.mean([one[film_id] for one in members], axis=0) for film_id in members[0]}
            continue
        selection, final = datasets[run.name]
        config = with_seed(run.train, seed)
        selected = train_selecting(output, f"{run.name}-selection", selection, config, predict_test=False)
        rank = min(run.reproduce.epoch_rank, len(selected.epochs_by_score))
        chosen = {"epochs": selected.epochs_by_score[rank - 1], "smoothing": selected.smoothing}
        directory = train_final(output, f"{run.name}-final", final, config.model_copy(update=chosen), write_page)
        curves[run.name] = read_curves(directory, final.films(TEST))
    return curves
