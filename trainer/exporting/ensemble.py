"""Several exported models as one, whose curves are the mean of theirs (paper, run 5), or a weighted one (ours).

The new SavedModel contains the members unchanged, each with its own statistics, windows and network: nothing is
trained, and afterwards the members' own files are no longer needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.contracts.models.exported_model import ExportedModel, features_of
from beam_pipelines.contracts.models.learned_films import find_among
from beam_pipelines.contracts.models.model_card import EXPLAINED_SIGNATURE
from beam_pipelines.contracts.records.records import RecordError, list_records, read_header, read_record, record_uri
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError, FilmError
from beam_pipelines.labels.annotations import align, raters_on_clock, read_labels
from beam_pipelines.labels.raters import Ratings
from trainer.evaluation.evaluate import choose_smoothing, evaluate_curves, smooth_curves
from trainer.evaluation.metrics import MetricsTable, mean_label
from trainer.evaluation.rater_rows import rater_rows
from trainer.exporting.ensemble_members import (
    Member,
    assert_members_agree,
    common_explanation,
    ensemble_card,
    equal_weights,
    merged,
    modalities_of,
)
from trainer.foundation.config import TrainConfig

if TYPE_CHECKING:
    from trainer.exporting.serving_module import ServingModule

MEAN = "mean"


@dataclass(frozen=True, eq=False)
class ValidationFilm:
    """A held-out film: labels float32 [T, targets], known bool [T], and each member's curves, the same."""

    film_id: str
    labels: np.ndarray
    known: np.ndarray
    curves: tuple[np.ndarray, ...]
    ratings: Ratings | None = None


@dataclass(frozen=True, eq=False)
class Validated:
    """The result of validation: filter and weights of the mean, and the figures of every member next to the mean.

    `chosen_by` are the films that chose them, film id -> SHA-256 of its file: the ensemble knows them from then on.
    """

    smoothing: SmoothingConfig
    table: MetricsTable
    constant: np.ndarray
    weights: tuple[float, ...]
    chosen_by: Mapping[str, str]


def combine(
    members: Sequence[Member],
    smoothing: SmoothingConfig,
    directory: str,
    further: Mapping[str, Any] | None = None,
    weights: Sequence[float] | None = None,
    chosen_by: Mapping[str, str] | None = None,
) -> str:
    """Exports the mean of some models as one; returns `directory`.

    Args:
        members: the models, from `ensemble_members.find_members`.
        smoothing: the ensemble's filter.
        directory: `<exports>/<version>`; it must be empty or absent.
        further: further entries of its card.
        weights: each member's share, which add up to 1; None for equal ones.
        chosen_by: the films that chose filter or weights, film id -> SHA-256 of its file.

    Raises:
        ConfigurationError: if members can't be averaged, or the directory is not empty.
    """
    from trainer.exporting.export import write_export
    from trainer.exporting.export_directory import assert_free

    assert_members_agree(members)
    assert_free(directory)
    # Windows look back: the longest one decides on how many earlier seconds a second depends; None is all of them.
    windows = [member.card.get("sequence_length_s") for member in members]
    known = {
        "takes_stride": all(member.reference.card.takes_stride for member in members),
        "explained": common_explanation(members),
        "models": [model for member in members for model in member.card.get("models", [])],
        "sequence_length_s": _furthest(windows),
        "back_s": _furthest([member.reference.card.back_s for member in members]),
        "ahead_s": _furthest([member.reference.card.ahead_s for member in members]),
    }
    described = ensemble_card(members, smoothing, weights or equal_weights(len(members)), chosen_by or {})
    card = {**described, **(further or {})}
    return write_export(make_module(members, weights), card, known, directory)


def _furthest(seconds: Sequence[int | None]) -> int | None:
    known = [one for one in seconds if one is not None]
    return max(known) if len(known) == len(seconds) else None


def make_module(members: Sequence[Member], weights: Sequence[float] | None = None) -> ServingModule:
    """The members' SavedModels behind the signatures of one model."""
    import tensorflow as tf

    from trainer.exporting.serving_module import ServingModule, placed

    class MembersModule(ServingModule):
        """Calls each member with the features that it takes."""

        def __init__(self) -> None:
            super().__init__(
                len(members),
                merged(members, "dimensions"),
                merged(members, "slots"),
                members[0].reference.card.label_range,
                None if weights is None or len(set(weights)) == 1 else weights,
                members[0].reference.card.targets,
            )
            self.loaded = []
            for member in members:
                with storage.local_tree(member.uri) as path:
                    self.loaded.append(tf.saved_model.load(str(path)))
            self.explains = all(EXPLAINED_SIGNATURE in loaded.signatures for loaded in self.loaded)

        def member_curves(
            self, features: Mapping[str, tf.Tensor], row_splits: tf.Tensor, rows: tf.Tensor
        ) -> list[tf.Tensor]:
            given = {**features, "row_splits": row_splits, "rows": rows}
            return [
                member_curve(loaded, member.reference.card.weights, given, self.targets)
                for loaded, member in zip(self.loaded, members, strict=True)
            ]

        def member_shares(
            self, features: Mapping[str, tf.Tensor], row_splits: tf.Tensor, rows: tf.Tensor
        ) -> list[tf.Tensor]:
            given = {**features, "row_splits": row_splits, "rows": rows}
            members_shares = []
            for loaded, member in zip(self.loaded, members, strict=True):
                function = loaded.signatures[EXPLAINED_SIGNATURE]
                answer = function(**{key: given[key] for key in function.structured_input_signature[1]})
                shares = tf.stack([answer[target] for target in self.targets], axis=-1)
                members_shares.append(placed(shares, member.reference.card.modalities, self.modalities))
            return members_shares

    return MembersModule()


def member_curve(
    loaded: Any, weights: Sequence[float] | None, given: Mapping[str, Any], targets: Sequence[str] = TARGETS
) -> Any:
    """The prediction of a loaded member at some rows, float32 [N, targets].

    Args:
        loaded: the SavedModel, or anything with its `signatures`.
        weights: the shares of its own members, if it is an ensemble with such.
        given: the inputs of its signature `films_at`, and perhaps others.
        targets: what it predicts.
    """
    import tensorflow as tf

    everywhere = "films_at" not in loaded.signatures  # exported before this signature existed
    function = loaded.signatures["films" if everywhere else "films_at"]
    answer = function(**{key: given[key] for key in function.structured_input_signature[1]})
    curve = tf.stack([answer[target] for target in targets], axis=-1)
    if everywhere:
        return tf.gather(curve, given["rows"])
    if weights is None:
        return tf.reduce_mean(curve, axis=0)
    return tf.reduce_sum(tf.reshape(tf.constant(weights, tf.float32), (-1, 1, 1)) * curve, axis=0)


def validate_members(
    members: Sequence[Member],
    films: Sequence[Film],
    constant_films: Sequence[Film],
    records: str,
    config: TrainConfig,
    *,
    choose_weights: bool = False,
) -> Validated:
    """Chooses the mean's filter on held-out films, and tabulates the members next to it, raw and smoothed.

    Args:
        members: the models; a member's own curve is smoothed with its own filter.
        films: held-out films with labels.
        constant_films: films whose mean label is the constant mean.
        records: directory of feature records.
        config: how labels are read, the cutoffs to try, and the figure that chooses.
        choose_weights: whether these films also choose each member's weight (`best_weights`); else all are equal.

    Raises:
        ConfigurationError: if a member has learned from one of the films, or a film has no labels or an unsuitable
            record.
    """
    config = read_as_in_training(config, members[0])
    sources = _new_films(members, films, records)
    models = [ExportedModel(member.reference) for member in members]
    held_out = [predict_film(film, members, models, records, config) for film in films]
    constant = mean_label(
        read_labels(film.labels, config.labels, film.film_id).values for film in constant_films if film.labels
    )
    weights = best_weights(held_out) if choose_weights else equal_weights(len(members))
    mean = {film.film_id: np.average(film.curves, axis=0, weights=weights) for film in held_out}
    smoothing = choose_smoothing(mean, held_out, config)
    curves: dict[str, dict[str, np.ndarray]] = {}
    for number, member in enumerate(members):
        own = {film.film_id: film.curves[number] for film in held_out}
        curves[f"member {number + 1}, raw"] = own
        curves[f"member {number + 1}, smoothed"] = smooth_curves(own, member.reference.card.smoothing, config.labels)
    curves[f"{MEAN}, raw"] = mean
    curves[f"{MEAN}, smoothed"] = smooth_curves(mean, smoothing, config.labels)
    table = evaluate_curves(curves, held_out, constant, config.labels.targets)
    table = table.beside_raters(rater_rows(held_out, config.labels.targets))
    return Validated(smoothing, table, constant, weights, sources)


def read_as_in_training(config: TrainConfig, first: Member) -> TrainConfig:
    """The configuration with the lag of a model, or of the first of several that agree.

    Raises:
        ConfigurationError: if it has another range or other targets than the model.
    """
    low, high = first.reference.card.label_range
    if (config.labels.minimum, config.labels.maximum) != (low, high):
        raise ConfigurationError(
            f"train.labels: its range is [{config.labels.minimum:g}, {config.labels.maximum:g}], {first.uri} predicts "
            f"[{low:g}, {high:g}]; give the --config that it was trained with"
        )
    targets = first.reference.card.targets
    if config.labels.targets != targets:
        raise ConfigurationError(
            f"train.labels.targets: is {list(config.labels.targets)}, {first.uri} predicts {list(targets)}; give the "
            "--config that it was trained with"
        )
    lag_s = first.reference.card.label_lag_s
    return config.model_copy(update={"labels": config.labels.with_lag_of(first.uri, lag_s)})


def _new_films(members: Sequence[Member], films: Sequence[Film], records: str) -> dict[str, str]:
    """Film id -> SHA-256 of its file; refuses films from which a member has learned, whatever their ids."""
    there = list_records(records)
    sources = {f.film_id: read_header(there[f.film_id]).source_sha256 for f in films if f.film_id in there}
    for member in members:
        trained = member.learned_films().train
        learned = sorted(film for film, sha256 in sources.items() if find_among(trained, film, sha256) is not None)
        if learned:
            raise ConfigurationError(
                f"{member.uri}: has learned from {', '.join(learned)}, so they can't choose the filter; name films "
                "that no member knows with --validation-splits, or leave out --manifest"
            )
    return sources


def best_weights(films: Sequence[ValidationFilm]) -> tuple[float, ...]:
    """The shares, none below 0, 1 together, whose mean has the least squared error on the films' labelled seconds.

    Both targets count alike, and a member has one share of both. With E the members' errors, |E w|^2 is least on the
    simplex in the direction of the non-negative least squares of [E; 1] w = [0; 1].
    """
    from scipy.optimize import nnls

    errors = [(curve - film.labels)[film.known].astype(np.float64) for film in films for curve in film.curves]
    count = len(films[0].curves)
    columns = [np.concatenate([error.ravel() for error in errors[index::count]]) for index in range(count)]
    triangle = np.linalg.qr(np.stack(columns, axis=1), mode="r") / np.sqrt(len(columns[0]))
    solution = nnls(np.vstack([triangle, np.ones(count)]), np.append(np.zeros(len(triangle)), 1.0))[0]
    return tuple(map(float, solution / solution.sum()))


def predict_film(
    film: Film, members: Sequence[Member], models: Sequence[ExportedModel], records: str, config: TrainConfig
) -> ValidationFilm:
    """A film's labels and each member's curves of it, before smoothing.

    Raises:
        ConfigurationError: if the film has no labels or record, or one that a member doesn't take.
    """
    if not film.labels:
        raise ConfigurationError(f"film '{film.film_id}' (split '{film.split}') has no labels in the manifest")
    uri = record_uri(records, film.film_id)
    try:
        record = read_record(uri, modalities_of(members))
        curves = []
        for member, model in zip(members, models, strict=True):
            raw = model.predict(features_of(record, member.reference.card))
            curves.append(np.stack([getattr(raw, target) for target in member.reference.card.targets], axis=1))
    except FileNotFoundError as error:
        raise ConfigurationError(f"{uri}: no such record; run `cineaffect extract`") from error
    except (RecordError, FilmError) as error:
        raise ConfigurationError(f"{uri}: {error}") from error
    read = read_labels(film.labels, config.labels, film.film_id)
    labels, known = align(read, record.header.seconds)
    if not known.any():
        raise ConfigurationError(f"{film.labels}: none of its rows lies within film '{film.film_id}'")
    ratings = raters_on_clock(read, record.header.seconds)[1]
    return ValidationFilm(film.film_id, labels, known, tuple(curves), ratings)
