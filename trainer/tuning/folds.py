"""Folds by film: one from the manifest's splits, or k; each has the statistics of its own training films only."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import yaml

from beam_pipelines.contracts.runs import STATISTICS
from beam_pipelines.films.catalogue import Film, films_of_splits, read_manifest
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.foundation.text_tables import csv_text
from beam_pipelines.labels.config import LabelConfig
from trainer.data.dataset import TrainingFilm, load_films, read_statistics, relabelled
from trainer.data.leaks import assert_no_leak
from trainer.foundation.config import TrainConfig
from trainer.tuning.config import TuneConfig

Splits = tuple[list[TrainingFilm], list[TrainingFilm]]


@dataclass(frozen=True)
class Fold:
    """A fold's training and validation films, and the directory of the transform of its training films."""

    films_train: tuple[Film, ...]
    films_validation: tuple[Film, ...]
    transform: str


def split_by_film(films: Sequence[Film], folds: int, seed: int) -> list[tuple[tuple[Film, ...], tuple[Film, ...]]]:
    """Divides films into folds whose sizes differ by at most one; each film validates in exactly one fold.

    Raises:
        ConfigurationError: if there are more folds than films.
    """
    if folds > len(films):
        raise ConfigurationError(f"tune.folds: {folds} folds of {len(films)} films; at most one a film")
    ordered = sorted(films, key=lambda film: film.film_id)
    order = np.random.Generator(np.random.Philox(seed)).permutation(len(ordered))
    held_out = [set(part.tolist()) for part in np.array_split(order, folds)]
    return [
        (
            tuple(film for index, film in enumerate(ordered) if index not in part),
            tuple(film for index, film in enumerate(ordered) if index in part),
        )
        for part in held_out
    ]


def plan_folds(arguments: argparse.Namespace, config: TuneConfig, *, make: bool) -> list[Fold]:
    """The folds of a study; with `make`, missing statistics of k folds are computed.

    Raises:
        ConfigurationError: if the manifest's splits have no transform, there are no films, or `prepare` fails.
    """
    films = read_manifest(arguments.manifest)
    parts = [
        films_of_splits(films, [name for name in splits.split(",") if name], arguments.manifest)
        for splits in (arguments.train_splits, arguments.validation_splits)
    ]
    if not config.folds:
        if not arguments.transform:
            raise ConfigurationError("--transform: needed for the manifest's splits; or set tune.folds")
        if not all(parts):
            raise ConfigurationError("--train-splits and --validation-splits must both name films; or set tune.folds")
        return [Fold(tuple(parts[0]), tuple(parts[1]), arguments.transform)]
    if make:
        _claim_folds(arguments.output, arguments.config)
    folds = []
    for number, (train, validation) in enumerate(split_by_film([*parts[0], *parts[1]], config.folds, config.seed)):
        directory = os.path.join(arguments.output, "folds", str(number))
        folds.append(Fold(train, validation, os.path.join(directory, "transform")))
        if make and storage.stat(os.path.join(directory, "transform", STATISTICS)) is None:
            _prepare(train, arguments.records, directory, arguments.config)
    return folds


def load_fold(fold: Fold, records: str, config: TrainConfig) -> Splits:
    """Reads a fold's films, transformed and labelled; raises what `dataset.load_films` raises."""
    from trainer.data.transform import load_transform

    statistics, transform = read_statistics(fold.transform), load_transform(fold.transform)
    train, validation = (
        load_films(records, films, transform, statistics, config.labels, config.model.modalities)
        for films in (fold.films_train, fold.films_validation)
    )
    assert_no_leak(train, validation, statistics)
    return train, validation


def with_lags(
    folds: Sequence[Fold], splits: Sequence[Splits], labels: LabelConfig, lags_s: Sequence[int]
) -> dict[int, tuple[Splits, ...]]:
    """The films of all folds for each lag of the labels; features are shared.

    Each lag puts other ratings on a film's first and last seconds. So that all lags are judged on the same ones, the
    validation films keep only those that every lag puts on a second of the film.

    Raises:
        ConfigurationError: if a validation film is so short that it keeps none, or as `load_fold` raises it.
    """
    found = {}
    for lag_s in lags_s:
        config = labels.model_copy(update={"lag_s": lag_s})
        found[lag_s] = tuple(
            (
                relabelled(train, fold.films_train, config),
                [_in_common(film, lag_s, max(lags_s)) for film in relabelled(held_out, fold.films_validation, config)],
            )
            for fold, (train, held_out) in zip(folds, splits, strict=True)
        )
    return found


def _in_common(film: TrainingFilm, lag_s: int, longest_s: int) -> TrainingFilm:
    """The film with the ratings of the seconds `longest_s` to T - 1 only, which lie `lag_s` earlier on its clock."""
    rated_at = np.arange(film.seconds) + lag_s
    known = film.known & (rated_at >= longest_s) & (rated_at < film.seconds)
    if not known.any():
        raise ConfigurationError(
            f"tune.space.lag_s: film '{film.film_id}' has {film.seconds} seconds, and no rating that all lags up to "
            f"{longest_s} s put on one of them; name shorter lags"
        )
    return replace(film, known=known, labels=np.where(known[:, None], film.labels, np.float32(0.0)))


def _claim_folds(output: str, config: str | None) -> None:
    """Writes down the settings of the folds' statistics, or refuses folds that have statistics of other settings."""
    content = (yaml.safe_load(storage.read_text(config)) or {}) if config else {}
    section = json.dumps(content.get("prepare") or {}, indent=2, sort_keys=True) + "\n"
    uri = os.path.join(output, "folds", "prepare.json")
    if storage.stat(uri) is None:
        storage.write_text(uri, section)
    elif storage.read_text(uri) != section:
        raise ConfigurationError(
            f"{uri}: the folds were fitted with another section prepare than that of {config or 'no --config'}; "
            "name another --output"
        )


def _prepare(films: Sequence[Film], records: str, directory: str, config: str | None) -> None:
    rows = [[film.film_id, os.path.abspath(film.uri), "train", ""] for film in films]
    manifest = os.path.join(directory, "films.csv")
    storage.write_text(manifest, csv_text(["film_id", "path", "split", "labels"], rows))
    command = [sys.executable, "-m", "beam_pipelines.cli", "prepare", "--records", records, "--manifest", manifest]
    command += ["--config", config] if config else []
    # The fold's manifest has its own splits, so the configuration's are overridden.
    command += ["--set", "splits=[train]", "--output", os.path.join(directory, "transform")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigurationError(f"{directory}: prepare failed: {done.stderr.strip()[-2000:]}")
