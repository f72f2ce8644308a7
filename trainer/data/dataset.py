"""From feature records and label files to films ready for training: transformed rows, presence, labels.

Nothing is guessed. A record's fingerprints must be those of the features from which the transform's statistics were
made. `trainer.data.leaks` refuses films on both sides of a split.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from beam_pipelines.contracts.records.feature_changes import note_on_records
from beam_pipelines.contracts.records.feature_track import PRESENT_SUFFIX
from beam_pipelines.contracts.records.records import (
    FilmRecord,
    RecordError,
    digest,
    list_records,
    read_record,
    record_uri,
)
from beam_pipelines.contracts.runs import RUN_MANIFEST, STATISTICS
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.labels.annotations import LabelReport, Labels, align, raters_on_clock, read_labels, report_alignment
from beam_pipelines.labels.config import LabelConfig
from beam_pipelines.labels.raters import Ratings
from trainer.data.contiguous_rows import stack_rows

# These settings don't change the graph: the list of films already says which splits there were.
_SETTINGS_WITHOUT_EFFECT = ("splits", "rows_per_batch", "failure_threshold")
_WHITEN = "pca_whiten"  # without components nothing is whitened

Transform = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""A function from raw rows to transformed rows, as `trainer.data.transform.load_transform` returns it."""


@dataclass(frozen=True, eq=False)
class TrainingFilm:
    """One film, transformed and labelled.

    Attributes:
        film_id: its name.
        split: its split in the manifest.
        features: modality -> float32 [T, D], transformed; zero in absent seconds.
        present: modality -> float32 [T, slots].
        labels: float32 [T, targets]; zero in unknown seconds.
        known: bool [T]; whether a second has a label.
        label_rows: float32 [N, targets], all rows of its labels, even those outside the film; the constant mean is
            their mean.
        report: what was cut to make labels and features match.
        source_sha256: SHA-256 of the film's file.
        digest: SHA-256 of the raw features and the labels.
        deviation: float32 [T, targets], how far the raters are apart, NaN if unknown; None if the labels don't say.
        ratings: every rater's values, float32 [T, R, targets]; None if there is one value for all.
    """

    film_id: str
    split: str
    features: Mapping[str, np.ndarray]
    present: Mapping[str, np.ndarray]
    labels: np.ndarray
    known: np.ndarray
    label_rows: np.ndarray
    report: LabelReport
    source_sha256: str
    digest: str
    deviation: np.ndarray | None = None
    ratings: Ratings | None = None

    @property
    def seconds(self) -> int:
        """T, the number of seconds."""
        return len(self.known)


@dataclass(frozen=True)
class Statistics:
    """The content of a transform directory's `statistics.json`.

    Attributes:
        directory: the transform directory.
        modalities: the modalities that it transforms.
        fingerprints: modality -> fingerprint of the features of the statistics.
        descriptions: modality -> how those features were made.
        films: the ids of the films of the statistics.
        settings: the settings of `prepare` as plain values: `configuration` of this file or of the directory's
            `run_manifest.json`; if neither has it, the components only.
        digest: SHA-256 of the file.
    """

    directory: str
    modalities: tuple[str, ...]
    fingerprints: Mapping[str, str]
    descriptions: Mapping[str, Mapping[str, Any]]
    films: tuple[str, ...]
    settings: Mapping[str, Any]
    digest: str

    def identity(self) -> dict[str, Any]:
        """All that determines a transform, for a digest that names it: films, fingerprints and settings."""
        idle = _SETTINGS_WITHOUT_EFFECT if self.settings.get("pca_components") else (*_SETTINGS_WITHOUT_EFFECT, _WHITEN)
        settings = {key: value for key, value in self.settings.items() if key not in idle}
        return {"films": list(self.films), "fingerprints": dict(self.fingerprints), **settings}


def read_statistics(directory: str) -> Statistics:
    """Reads `statistics.json` of a transform directory.

    Raises:
        ConfigurationError: if there is none, or it lacks a key.
    """
    uri = storage.join(directory, STATISTICS)
    try:
        raw = storage.read_bytes(uri)
        content = json.loads(raw)
        return Statistics(
            directory=directory,
            modalities=tuple(content["modalities"]),
            fingerprints=dict(content["fingerprints"]),
            descriptions=dict(content["descriptions"]),
            films=tuple(content["films"]),
            settings=_settings(directory, content),
            digest=hashlib.sha256(raw).hexdigest(),
        )
    except FileNotFoundError as error:
        raise ConfigurationError(f"{uri}: no such file; run `cineaffect prepare --output {directory}` first") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{uri}: not readable as JSON ({error}); run `cineaffect prepare` again") from error
    except KeyError as error:
        raise ConfigurationError(f"{uri}: has no key {error}; run `cineaffect prepare` again") from error


def _settings(directory: str, statistics: Mapping[str, Any]) -> dict[str, Any]:
    if "configuration" in statistics:
        return dict(statistics["configuration"])
    try:
        manifest = json.loads(storage.read_text(storage.join(directory, RUN_MANIFEST)))
        return dict(manifest["configuration"])
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError, KeyError):
        return {"pca_components": statistics.get("pca_components", {})}


def load_films(
    records_directory: str,
    films: Sequence[Film],
    transform: Transform,
    statistics: Statistics,
    config: LabelConfig,
    modalities: Sequence[str],
) -> list[TrainingFilm]:
    """Reads, checks, transforms and labels some films of one split or several.

    Args:
        records_directory: the directory of records from `cineaffect extract`, local or `gs://`.
        films: the films, with the addresses of their label files.
        transform: `load_transform(statistics.directory)`.
        statistics: `read_statistics` of the same directory.
        config: how labels are read.
        modalities: the modalities that the model takes.

    Raises:
        ConfigurationError: if a film lacks its record or labels, a record has other fingerprints, or a label file is
            damaged or has no second in common with its film; the text names the file.
    """
    missing = sorted(set(modalities) - set(statistics.modalities))
    if missing:
        raise ConfigurationError(
            f"{storage.join(statistics.directory, STATISTICS)}: has no statistics of {missing}; it has those of "
            f"{list(statistics.modalities)}. Change model.modalities, or run `cineaffect prepare` with them"
        )
    _assert_records(records_directory, films)
    loaded = [_load_film(records_directory, film, transform, statistics, config, modalities) for film in films]
    for modality in modalities:
        # One modality after another, and its single arrays are freed at once: the data never exist twice.
        blocks = stack_rows([film.features[modality] for film in loaded])
        loaded = [
            replace(film, features={**film.features, modality: block})
            for film, block in zip(loaded, blocks, strict=True)
        ]
        del blocks
    return loaded


def data_digest(films: Sequence[TrainingFilm]) -> str:
    """SHA-256 over ids, splits, raw features and labels of some films; their order doesn't matter."""
    state = hashlib.sha256()
    for film in sorted(films, key=lambda film: film.film_id):
        state.update(f"{film.film_id}\0{film.split}\0{film.digest}\n".encode())
    return state.hexdigest()


def _assert_records(records_directory: str, films: Sequence[Film]) -> None:
    there = list_records(records_directory)
    lacking = [film.film_id for film in films if film.film_id not in there]
    if lacking:
        raise ConfigurationError(
            f"{records_directory}: {len(lacking)} of the {len(films)} chosen films have no record: "
            f"{', '.join(lacking)}. Run `cineaffect extract`; where it failed, its failures.jsonl says why. To train "
            "without these films, take them out of the manifest, or give them another split there (`left-out`, say)"
        )


def _load_film(
    records_directory: str,
    film: Film,
    transform: Transform,
    statistics: Statistics,
    config: LabelConfig,
    modalities: Sequence[str],
) -> TrainingFilm:
    if not film.labels:
        raise ConfigurationError(f"film '{film.film_id}' (split '{film.split}') has no labels in the manifest")
    record = _read(records_directory, film, statistics, modalities)
    raw: dict[str, np.ndarray] = {}
    for modality in modalities:
        raw[modality] = record.tracks[modality].values
        raw[modality + PRESENT_SUFFIX] = record.tracks[modality].present
    transformed = transform(raw)
    labels, values, known = _read_labels(film, record.header.seconds, config)
    deviation, ratings = raters_on_clock(labels, record.header.seconds)
    return TrainingFilm(
        film_id=film.film_id,
        split=film.split,
        features={modality: np.asarray(transformed[modality], np.float32) for modality in modalities},
        present={modality: record.tracks[modality].present for modality in modalities},
        labels=values,
        known=known,
        label_rows=labels.values,
        report=report_alignment(film.film_id, labels, record.header.seconds),
        source_sha256=record.header.source_sha256,
        digest=_digest(record, modalities, values, known, deviation),
        deviation=deviation,
        ratings=ratings,
    )


def _read_labels(film: Film, seconds: int, config: LabelConfig) -> tuple[Labels, np.ndarray, np.ndarray]:
    labels = read_labels(film.labels, config, film.film_id)
    values, known = align(labels, seconds)
    if not known.any():
        raise ConfigurationError(
            f"{film.labels}: none of its {len(labels.time_s)} rows lies within the {seconds} seconds of film "
            f"'{film.film_id}'; set labels.first_time_s to the time of the film's first second"
        )
    return labels, values, known


def relabelled(loaded: Sequence[TrainingFilm], films: Sequence[Film], config: LabelConfig) -> list[TrainingFilm]:
    """Loaded films with their labels read anew; they share the features.

    Args:
        loaded: films from `load_films`.
        films: the same films of the manifest, in the same order.
        config: how labels are read.

    Raises:
        ConfigurationError: as `load_films` raises it for labels.
    """
    found = []
    for one, film in zip(loaded, films, strict=True):
        labels, values, known = _read_labels(film, one.seconds, config)
        deviation, ratings = raters_on_clock(labels, one.seconds)
        report = report_alignment(film.film_id, labels, one.seconds)
        digest = hashlib.sha256(one.digest.encode() + values.tobytes() + known.tobytes()).hexdigest()
        found.append(
            replace(
                one,
                labels=values,
                known=known,
                label_rows=labels.values,
                report=report,
                digest=digest,
                deviation=deviation,
                ratings=ratings,
            )
        )
    return found


def _read(records_directory: str, film: Film, statistics: Statistics, modalities: Sequence[str]) -> FilmRecord:
    uri = record_uri(records_directory, film.film_id)
    try:
        record = read_record(uri, modalities)
    except RecordError as error:
        raise ConfigurationError(str(error)) from error
    found = record.header.fingerprints()
    for modality in modalities:
        if modality not in found:
            raise ConfigurationError(f"{uri}: holds no {modality} features; run `cineaffect extract` with {modality}")
        if found[modality] != statistics.fingerprints[modality]:
            note = note_on_records(record.header.descriptions)
            raise ConfigurationError(
                f"{uri}: its {modality} features have the fingerprint {found[modality]}, the statistics in "
                f"{statistics.directory} were made from {statistics.fingerprints[modality]}. "
                f"{note or 'Extract all films with one configuration and run `cineaffect prepare` again'}"
            )
    return record


def _digest(
    record: FilmRecord, modalities: Sequence[str], values: np.ndarray, known: np.ndarray, deviation: np.ndarray | None
) -> str:
    state = hashlib.sha256(digest(record, modalities).encode())
    state.update(np.ascontiguousarray(values).tobytes())
    state.update(known.tobytes())
    if deviation is not None:
        state.update(deviation.tobytes())
    return state.hexdigest()
