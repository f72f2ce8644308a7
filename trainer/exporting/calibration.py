"""Calibrating an exported model: its bands, measured on films with labels that had no part in it (`curves.bands`)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beam_pipelines.contracts.curves.bands import LEVELS, Calibration, edges, films_needed, half_width, measure
from beam_pipelines.contracts.models.exported_model import ExportedModel
from beam_pipelines.contracts.models.learned_films import find_among
from beam_pipelines.contracts.models.model_card import CARD
from beam_pipelines.contracts.records.records import list_records, read_header
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError
from trainer.evaluation.evaluate import smooth_curves
from trainer.exporting.ensemble import predict_film, read_as_in_training
from trainer.exporting.ensemble_members import Member
from trainer.exporting.export_directory import assert_free, publish_export
from trainer.foundation.config import TrainConfig


@dataclass(frozen=True, eq=False)
class FilmErrors:
    """A film's labels and smoothed curve at its labelled seconds, float64 [N, targets] each."""

    film_id: str
    labels: np.ndarray
    curve: np.ndarray


def calibrate(
    model: Member, films: Sequence[Film], test_films: Sequence[Film], records: str, config: TrainConfig
) -> Calibration:
    """The bands of a model, and how well they hold on other films.

    Args:
        model: the exported model.
        films: films with labels that it has not learned from and that did not choose its epoch or filter.
        test_films: further such films, on which coverage and width are measured; may be empty.
        records: directory of feature records.
        config: how labels are read.

    Raises:
        ConfigurationError: if the model knows one of the films, a film is there twice, there are too few films for any
            band, or the model's levels mean nothing.
    """
    card = model.reference.card
    if card.own_range or not card.trained:
        raise ConfigurationError(
            f"{model.uri}: gives every film a range of its own, so there is no distance to labels and no band"
        )
    assert_new_films(model, films, test_films, records)
    if len(films) < films_needed(LEVELS[0]):
        needed = ", ".join(f"{level} % needs {films_needed(level)}" for level in LEVELS)
        raise ConfigurationError(
            f"{len(films)} calibration films are too few for any band: {needed}. Give more films that split, or score "
            "without bands"
        )
    config = read_as_in_training(config, model)
    loaded = ExportedModel(model.reference)
    errors, tested = ([_errors(film, model, loaded, records, config) for film in some] for some in (films, test_films))
    half_widths: dict[str, dict[int, float]] = {}
    measured: dict[str, dict[int, dict[str, Any]]] = {}
    for place, target in enumerate(card.targets):
        distances = [np.abs(film.labels - film.curve)[:, place] for film in errors]
        found = {level: half_width(distances, level) for level in LEVELS}
        half_widths[target] = {level: half for level, half in found.items() if half is not None}
        if tested:
            measured[target] = {
                level: measure(
                    [(f.labels[:, place], *edges(f.curve[:, place], half, card.label_range)) for f in tested]
                )
                for level, half in half_widths[target].items()
            }
    return Calibration(films=tuple(film.film_id for film in films), half_widths=half_widths, measured=measured)


def assert_new_films(model: Member, films: Sequence[Film], test_films: Sequence[Film], records: str) -> None:
    """Refuses films that the model knows, all if its card names none, and films that are there twice under any ids.

    Raises:
        ConfigurationError: the text names the films, and what they were for.
    """
    learned = model.learned_films()
    if not learned.all:
        raise ConfigurationError(
            f"{model.uri}: its card doesn't name the films that it has learned from (data.train_films), so nobody can "
            "tell whether these films are new to it; train or export it again"
        )
    there = list_records(records)
    seen: dict[str, str] = {}
    for film in (*films, *test_films):
        sha256 = read_header(there[film.film_id]).source_sha256 if film.film_id in there else ""
        for known, what in (
            (learned.train, "the model has learned from it"),
            (learned.validation, "it has chosen the model's epoch and filter"),
        ):
            if find_among(known, film.film_id, sha256) is not None:
                raise ConfigurationError(
                    f"film '{film.film_id}' can't calibrate or test {model.uri}: {what}, so the model is nearer to its "
                    "labels than to those of a new film; calibration films are a split of their own"
                )
        if (twin := find_among(seen, film.film_id, sha256)) is not None:
            raise ConfigurationError(f"films '{twin}' and '{film.film_id}' are the same: one film counts once")
        seen[film.film_id] = sha256


def export_calibrated(model: Member, calibration: Calibration, directory: str) -> str:
    """Exports the same SavedModel again, with the calibration in its card; returns `directory`.

    Args:
        model: the exported model, which stays as it is: films scored with it stay done.
        calibration: its bands.
        directory: `<exports>/<version>`, local or `gs://`; it must be empty or absent.

    Raises:
        ConfigurationError: if the directory is not empty.
    """
    assert_free(directory)
    card: Mapping[str, Any] = {
        **model.card,
        "version": directory.rstrip("/").rsplit("/", 1)[-1],
        "calibration": calibration.model_dump(mode="json"),
    }

    def save(folder: str) -> None:
        with storage.local_tree(model.reference.directory) as path:
            shutil.copytree(path, folder, ignore=shutil.ignore_patterns(CARD), dirs_exist_ok=True)

    text = json.dumps(card, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    publish_export(save, text, directory)
    return directory


def _errors(film: Film, model: Member, loaded: ExportedModel, records: str, config: TrainConfig) -> FilmErrors:
    predicted = predict_film(film, [model], [loaded], records, config)
    smoothing = model.reference.card.smoothing
    curve = smooth_curves({film.film_id: predicted.curves[0]}, smoothing, config.labels)[film.film_id]
    if not np.isfinite(curve).all():
        raise ConfigurationError(f"film '{film.film_id}': the model gives no finite value, so it can't calibrate")
    known = predicted.known
    return FilmErrors(film.film_id, predicted.labels[known].astype(np.float64), curve[known])
