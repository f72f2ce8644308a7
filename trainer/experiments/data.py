"""The films of an experiment: their division into training, validation and test, features, labels and transform."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beam_pipelines.contracts.records.records import is_untrained, list_records, read_header, record_uri
from beam_pipelines.films.catalogue import Film, films_of_splits, read_manifest
from beam_pipelines.films.mediaeval2018 import LayoutFilm
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.configuration import section_values
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.foundation.text_tables import csv_text
from beam_pipelines.labels.annotations import align, raters_on_clock, read_labels, render_reports, report_alignment
from beam_pipelines.labels.config import LabelConfig
from beam_pipelines.labels.layouts import label_files
from trainer.data.dataset import Statistics, TrainingFilm, load_films, read_statistics
from trainer.data.leaks import TEST_SPLIT, assert_test_films_are_new
from trainer.evaluation.evaluate import FilmLabels
from trainer.evaluation.metrics import mean_label
from trainer.experiments.cached_steps import run_job, step

TRAIN, VALIDATION, TEST, LEFT_OUT = "train", "validation", TEST_SPLIT, "left-out"


@dataclass(frozen=True)
class Partition:
    """The names of the films of one training: those to learn from, to validate with, and to leave out."""

    train: tuple[str, ...]
    validation: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def draw_partitions(
    films: Sequence[LayoutFilm], validation_films: int, split_seed: int, film_share: float = 1.0
) -> tuple[Partition, Partition]:
    """The partitions of the selection (some films validate) and of the final training (all films train).

    In each, a share of the films to learn from is drawn; the validation films don't depend on it.

    Raises:
        ConfigurationError: if there are too few development films with labels.
    """
    development = sorted(film.film_id for film in films if not film.is_test and film.labels)
    if not 0 < validation_films < len(development):
        raise ConfigurationError(
            f"reproduce.validation_films {validation_films}: there are {len(development)} development films with "
            "labels, and at least one must be left to learn from; name fewer (--validation-films)"
        )
    rng = np.random.default_rng(split_seed)
    drawn = [development[index] for index in rng.permutation(len(development))]

    def partition(films_to_share: Sequence[str], validation: Sequence[str]) -> Partition:
        count = max(1, round(film_share * len(films_to_share)))
        return Partition(tuple(films_to_share[:count]), tuple(validation), tuple(films_to_share[count:]))

    return partition(drawn[validation_films:], drawn[:validation_films]), partition(drawn, ())


def write_manifest(films: Sequence[LayoutFilm], partition: Partition, output: str) -> str:
    """Writes the manifest of a partition to `<output>/manifests/<digest>.csv`, and returns its address."""
    split_of = dict.fromkeys(partition.train, TRAIN)
    split_of.update(dict.fromkeys(partition.validation, VALIDATION))
    rows = []
    for film in films:
        split = TEST if film.is_test else split_of.get(film.film_id, LEFT_OUT)
        labels, path = _absolute(film.labels), _absolute(film.path) or film.film_id
        rows.append([film.film_id, path, split, labels])
    text = csv_text(["film_id", "path", "split", "labels"], rows)
    name = hashlib.sha256(text.encode()).hexdigest()[:12]
    uri = storage.join(output, "manifests", f"{name}.csv")
    storage.write_text(uri, text)
    return uri


def prepare_transform(manifest: str, records: str, output: str, config: str | None) -> str:
    """Computes the statistics of a manifest's training films (`cineaffect prepare`), once; returns their directory.

    Args:
        manifest: a manifest with films of the split `train`.
        records: directory of the feature records.
        output: directory of the experiment; the transform is in `<output>/transform-<digest>`.
        config: YAML file with the section `prepare`, or None.

    Raises:
        ConfigurationError: if a film has no record.
        StepError: if the job fails.
    """
    films = films_of_splits(read_manifest(manifest), [TRAIN], manifest)
    settings = section_values("prepare", config) if config else {}
    found = step(output, "transform", {"records": record_identity(records, films), "prepare": settings})
    if found.result() is None:
        further = ["--config", config] if config else []
        where = ["--records", records, "--manifest", manifest, "--output", found.directory]
        run_job("prepare", *where, *further, "--set", f"splits=[{TRAIN}]")
        found.finish()
    return found.directory


def record_identity(records: str, films: Sequence[Film]) -> dict[str, Any]:
    """The identity of some films' features, from the headers of their records: film id -> plain values.

    Raises:
        ConfigurationError: if a film has no record.
    """
    there = list_records(records)
    lacking = [film.film_id for film in films if film.film_id not in there]
    if lacking:
        raise ConfigurationError(f"{records}: no record of {', '.join(lacking)}; run `cineaffect extract`")
    identity = {}
    for film in films:
        header = read_header(there[film.film_id])
        identity[film.film_id] = [header.source_sha256, header.seconds, header.fingerprints()]
    return identity


def assert_new_test_films(manifest: str, records: str) -> None:
    """Refuses test films whose file is that of a film to learn from or to validate with, under another id.

    Raises:
        ConfigurationError: if there is such a film, or a film to learn from has no record.
    """
    films = read_manifest(manifest)
    known = record_identity(records, [film for film in films if film.split in (TRAIN, VALIDATION)])
    assert_test_films_are_new({film_id: str(sha256) for film_id, (sha256, *_) in known.items()}, films, records)


@dataclass(frozen=True)
class ExperimentData:
    """A manifest with the splits train, validation and test, the records of its films, and a transform."""

    manifest: str
    records: str
    transform: str

    def films(self, *splits: str) -> Sequence[Film]:
        """The manifest's films of some splits; empty if the manifest has no such split."""
        catalogue = read_manifest(self.manifest)
        there = [split for split in splits if any(film.split == split for film in catalogue)]
        return films_of_splits(catalogue, there, self.manifest) if there else []

    def statistics(self) -> Statistics:
        """The statistics of the transform."""
        return read_statistics(self.transform)

    def transform_identity(self) -> dict[str, Any]:
        """The transform as a training run notes it: digest of the graph, and its dependencies."""
        return {"graph": _graph_digest(self.transform), **self.statistics().identity()}

    def identity(self, labels: LabelConfig, splits: Sequence[str]) -> dict[str, Any]:
        """All data on which a training on some splits depends, as plain values: features, label files and transform.

        The labels of the split `test` are not included: no training sees them.
        """
        films = [film for split in splits for film in self.films(split)]
        labelled = [film for film in films if film.labels and film.split != TEST]
        return {
            "splits": {film.film_id: film.split for film in films},
            "records": record_identity(self.records, films),
            "labels": {film.film_id: _labels_digest(film, labels) for film in labelled},
            "transform": self.transform_identity(),
        }

    def load(self, split: str, labels: LabelConfig, modalities: Sequence[str]) -> list[TrainingFilm]:
        """The films of a split, transformed and labelled.

        Raises:
            ConfigurationError: as `trainer.data.dataset.load_films` raises it.
        """
        from trainer.data.transform import load_transform

        transform = load_transform(self.transform)
        return load_films(self.records, self.films(split), transform, self.statistics(), labels, modalities)

    def labelled(self, split: str, config: LabelConfig) -> list[FilmLabels]:
        """The labels of a split's labelled films, cut to the length of their features; prints what was cut."""
        found, reports = [], []
        for film in self.films(split):
            if film.labels:
                seconds = read_header(record_uri(self.records, film.film_id)).seconds
                labels = read_labels(film.labels, config, film.film_id)
                found.append(FilmLabels(film.film_id, *align(labels, seconds), raters_on_clock(labels, seconds)[1]))
                reports.append(report_alignment(film.film_id, labels, seconds))
        if reports:
            print(render_reports(reports))
        return found

    def constant(self, config: LabelConfig) -> np.ndarray:
        """The mean label of the training films, float64 [2]."""
        return mean_label(
            read_labels(film.labels, config, film.film_id).values for film in self.films(TRAIN) if film.labels
        )

    def untrained(self, modalities: Sequence[str]) -> tuple[str, ...]:
        """Which of these modalities come from networks with random weights."""
        descriptions = self.statistics().descriptions
        return tuple(m for m in sorted(modalities) if m in descriptions and is_untrained(descriptions[m]))


@functools.cache
def _graph_digest(transform: str) -> str:
    from trainer.data.transform import load_transform

    return load_transform(transform).digest()


def _labels_digest(film: Film, labels: LabelConfig) -> str:
    state = hashlib.sha256()
    for uri in label_files(film.labels, labels):
        try:
            state.update(storage.read_bytes(uri))
        except FileNotFoundError as error:
            raise ConfigurationError(f"{uri}: no such label file, of film '{film.film_id}'") from error
    return state.hexdigest()


def _absolute(uri: str) -> str:
    # Manifests are elsewhere than the data, and relative paths in them would be taken from there.
    return uri if not uri or storage.is_remote(uri) else os.path.abspath(uri)
