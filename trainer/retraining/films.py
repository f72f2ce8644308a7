"""The films of a round: the usable ones, the reasons why others aren't, and the digest that names the round."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from beam_pipelines.contracts.curves.score_config import ScoreConfig
from beam_pipelines.contracts.models.learned_films import find_among
from beam_pipelines.contracts.records import records
from beam_pipelines.films.catalogue import Film, films_of_splits, read_manifest
from beam_pipelines.foundation.configuration import load_section, section_values
from beam_pipelines.foundation.errors import EXIT_TOO_MANY_FILMS_FAILED
from beam_pipelines.foundation.text_tables import csv_text
from beam_pipelines.foundation.version import __version__
from beam_pipelines.labels.annotations import Labels, read_labels
from beam_pipelines.labels.layouts import AnnotationError
from trainer.foundation.config import TrainConfig
from trainer.retraining.config import RetrainConfig
from trainer.retraining.stages import RoundError

_WHERE_THINGS_LIE = {"manifest", "records", "output", "extract", "lock_expiry_s"}


@dataclass(frozen=True, eq=False)
class RoundFilm:
    """A film with a readable record and readable labels."""

    film: Film
    header: records.RecordHeader
    labels: Labels


@dataclass(frozen=True, eq=False)
class RoundFilms:
    """The films of a round.

    Attributes:
        usable: film id -> film, sorted.
        left_out: film id -> the reason why it can't be used.
    """

    usable: Mapping[str, RoundFilm]
    left_out: Mapping[str, str]

    def of(self, splits: tuple[str, ...]) -> dict[str, RoundFilm]:
        """The usable films of some splits."""
        return {film_id: one for film_id, one in self.usable.items() if one.film.split in splits}

    def sources(self, splits: tuple[str, ...]) -> dict[str, str]:
        """The usable films of some splits: film id -> SHA-256 of its file."""
        return {film_id: one.header.source_sha256 for film_id, one in self.of(splits).items()}

    def manifest(self) -> str:
        """A CSV manifest of the usable films, for the jobs."""
        films = [one.film for one in self.usable.values()]
        rows = [[film.film_id, film.uri, film.split, film.labels] for film in films]
        return csv_text(["film_id", "path", "split", "labels"], rows)


def read_round_films(config: RetrainConfig, train: TrainConfig) -> RoundFilms:
    """Reads headers and labels of all films of the configured splits.

    Films without labels are ignored; films that have labels but can't be used have failed. A film that is to calibrate
    is left out if its file is in training or validation too, or calibrates under another id. A held-out film is left
    out if its file has any of these parts too, or is held out under another id.

    Raises:
        RoundError: if the share of failed films is above `failure_threshold`.
        ConfigurationError: if the manifest can't be read, or a split has no films.
    """
    learned = (*config.train_splits, *config.validation_splits)
    splits = (*learned, *config.calibration_splits, *config.held_out_splits)
    films = films_of_splits(read_manifest(config.manifest), splits, config.manifest)
    there = records.list_records(config.records)
    usable: dict[str, RoundFilm] = {}
    left_out, failed = {}, []
    for film in films:
        if not film.labels:
            left_out[film.film_id] = "no labels"
            continue
        found = _read(film, there, train)
        if isinstance(found, RoundFilm):
            usable[film.film_id] = found
        else:
            left_out[film.film_id] = found
            failed.append(film.film_id)
    if len(failed) > config.failure_threshold * (len(failed) + len(usable)):
        reasons = "; ".join(f"{film_id}: {left_out[film_id]}" for film_id in failed[:5])
        raise RoundError(
            f"{config.manifest}: {len(failed)} of {len(failed) + len(usable)} labelled films can't be used, above "
            f"retrain.failure_threshold ({config.failure_threshold:g}): {reasons}",
            EXIT_TOO_MANY_FILMS_FAILED,
        )
    known = RoundFilms(usable, {}).sources(learned)
    for part, what in ((config.calibration_splits, "to calibrate"), (config.held_out_splits, "held out")):
        copies, counted = _copies(RoundFilms(usable, {}).sources(part), known)
        for film_id, reason in copies.items():
            left_out[film_id] = f"{what}, but {reason}"
            del usable[film_id]
        known |= counted
    return RoundFilms(usable, left_out)


def _copies(films: Mapping[str, str], known: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The films that the challenger would know or that are there twice, with the reason, and the others."""
    copies: dict[str, str] = {}
    counted: dict[str, str] = {}
    for film_id, sha256 in films.items():
        if (original := find_among(known, film_id, sha256)) is not None:
            copies[film_id] = f"the same file as {original}, which the challenger knows"
        elif (twin := find_among(counted, film_id, sha256)) is not None:
            copies[film_id] = f"the same file as {twin}: one film is one observation"
        else:
            counted[film_id] = sha256
    return copies, counted


def _read(film: Film, there: Mapping[str, str], train: TrainConfig) -> RoundFilm | str:
    if film.film_id not in there:
        return "no record"
    try:
        return RoundFilm(
            film, records.read_header(there[film.film_id]), read_labels(film.labels, train.labels, film.film_id)
        )
    except (records.RecordError, AnnotationError, FileNotFoundError) as error:
        return str(error)


def round_digest(path: str, config: RetrainConfig, films: RoundFilms) -> str:
    """The digest that names a round: of code version, the settings that decide, and the content of records and labels.

    Paths are not part of it, and neither is the champion: that may change while a round is interrupted, and then only
    the comparison is repeated.
    """
    identity: dict[str, Any] = {
        "code_version": __version__,
        "retrain": config.model_dump(mode="json", exclude=_WHERE_THINGS_LIE),
        "train": load_section("train", TrainConfig, path).model_dump(mode="json"),
        "score": load_section("score", ScoreConfig, path).model_dump(mode="json"),
        # Plain values, since the section's class needs TensorFlow; `code_version` covers its defaults.
        "prepare": section_values("prepare", path),
        "films": [
            [one.film.film_id, one.film.split, one.header.source_sha256, one.header.fingerprints(), _digest(one.labels)]
            for one in films.usable.values()
        ],
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _digest(labels: Labels) -> str:
    apart = b"" if labels.deviation is None else labels.deviation.tobytes()  # it may weigh the loss
    return hashlib.sha256(labels.time_s.tobytes() + labels.values.tobytes() + apart).hexdigest()
