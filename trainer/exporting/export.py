"""The exported model of contract 2: a SavedModel that takes raw features of whole films, and its card.

    <directory>/saved_model.pb, variables/    signatures `serving_default` (one film) and `films` (several);
                                              for an ensemble also `film_members`, each member's curves; and
                                              `films_at`, each member's values at some seconds of several films;
                                              `films_explained`, what each modality adds there
    <directory>/model_card.json               the features it expects, and how it was made

Statistics, windows, padding and the ensemble are inside, so that training and scoring can't drift apart. The SavedModel
is plain TensorFlow: it runs without Keras and without this project, also in TensorFlow Serving.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from beam_pipelines.contracts.models.model_card import RESPONSIBLE_USE
from beam_pipelines.contracts.models.shapley import coalitions, describe, together
from beam_pipelines.foundation.errors import ConfigurationError
from trainer.data.transform import RowTransform, load_transform
from trainer.exporting.export_directory import assert_free, publish_export
from trainer.exporting.serving_module import ServingModule, placed, shares_of
from trainer.network.chunked_rows import ROW_BLOCK, checked_rows, rows_to_whole_blocks
from trainer.network.modality_sets import predict_sets
from trainer.network.model import AffectModel

CARD_FORMAT = 1


def export_model(
    models: Sequence[AffectModel],
    transform_directory: str | Sequence[str],
    card: Mapping[str, Any],
    directory: str,
    *,
    label_range: tuple[float, float] = (-1.0, 1.0),
) -> str:
    """Exports a model, or the mean of several, as a versioned directory.

    The directory appears whole; see `export_directory.publish_export`.

    Args:
        models: the models, whose outputs are averaged.
        transform_directory: the tf.Transform output with which the models were trained: one for all of them, or one for
            each (members that were trained on different splits have different statistics). Equal ones are shared.
        card: the model's description: fingerprints, smoothing, metrics, data digest, configuration, version.
            The export adds `format`, `version` (the directory's name), `modalities`, `dimensions` (as extracted),
            `slots`, `sequence_length_s`, `back_s`, `ahead_s`, `label_range`, `targets`, `takes_stride`, `explained`,
            `models` and `signatures`.
            NaN and infinities become null.
        directory: `<exports>/<version>`, local or `gs://`; it must be empty or absent.
        label_range: lowest and highest label; a probability p becomes lowest + p (highest - lowest).

    Returns:
        `directory`.

    Raises:
        ConfigurationError: if the directory is not empty, a transform doesn't fit a model, or the card contradicts the
            export.
    """
    assert_free(directory)
    module = NetworksModule(models, _load_transforms(transform_directory, len(models)), label_range)
    # A network that normalises by the statistics of a film's windows needs all of them.
    whole_films = any(
        model.config.batch_normalization and model.config.batch_statistics_at_inference == "film" for model in models
    )
    seen = [model.window_rows() for model in models]
    known = {
        "sequence_length_s": max(model.config.window_s for model in models),
        "back_s": None if whole_films else max(before for before, _ in seen),
        "ahead_s": None if whole_films else max(after for _, after in seen),
        "takes_stride": not whole_films,
        "explained": together([describe(len(m.config.modalities), not m.config.modality_dropout) for m in models]),
        "models": [{"seed": model.seed, **model.config.model_dump(mode="json")} for model in models],
    }
    return write_export(module, card, known, directory)


def write_export(module: ServingModule, card: Mapping[str, Any], known: Mapping[str, Any], directory: str) -> str:
    """Writes a SavedModel and its card as a whole directory; returns `directory`.

    Args:
        module: the module to save.
        card: the model's description; see `export_model`.
        known: values that the card must not contradict, besides those of the module and the directory.
        directory: `<exports>/<version>`, local or `gs://`.

    Raises:
        ConfigurationError: if the card contradicts known values.
    """
    full_card = _complete_card(card, directory.rstrip("/").rsplit("/", 1)[-1], module, known)
    publish_export(module.save, full_card, directory)
    return directory


class NetworksModule(ServingModule):
    """An ensemble with its transform as plain TensorFlow functions of raw features: the content of the SavedModel.

    Args:
        models: the members.
        transforms: the transform of each member's inputs; members may share one object.
        label_range: lowest and highest label.

    Raises:
        ConfigurationError: if a transform doesn't give the inputs that a member takes.
    """

    def __init__(
        self, models: Sequence[AffectModel], transforms: Sequence[RowTransform], label_range: tuple[float, float]
    ):
        if not models:
            raise ConfigurationError("there is no model to export")
        for model, transform in zip(models, transforms, strict=True):
            _check_transform(model, transform)
        modalities = tuple(dict.fromkeys(m for model in models for m in model.config.modalities))
        super().__init__(
            len(models),
            {m: _common([t.raw_dimensions.get(m) for t in transforms], m) for m in modalities},
            {m: _common([t.slots.get(m) for t in transforms], m) for m in modalities},
            label_range,
            targets=models[0].targets,
        )
        # Functions, not the models: a module saves what it can track.
        self._predict = [
            (model.predict_rows, partial(predict_sets, model), model.config.modalities, transform)
            for model, transform in zip(models, transforms, strict=True)
        ]
        # Only attributes are saved: the variables themselves (not Keras's objects around them) and the graphs.
        self.model_variables = [variable.value for model in models for variable in model.weights]
        self.transform_graphs = [transform.graph for transform in transforms]
        # Code that loads the model may set this (`ExportedModel`): a GPU needs more rows at a time.
        self.row_block = tf.Variable(ROW_BLOCK, trainable=False, dtype=tf.int32, name="row_block")

    def member_curves(
        self, features: Mapping[str, tf.Tensor], row_splits: tf.Tensor, rows: tf.Tensor
    ) -> list[tf.Tensor]:
        """Computes each member's curves; see `ServingModule`."""
        low, high = self.label_range
        members = []
        for (predict_rows, *_), inputs, row_start, block in self._given(features, row_splits):
            probabilities = tf.cast(predict_rows(inputs, row_start, rows, block), tf.float32)
            members.append(low + probabilities * (high - low))
        return members

    def member_shares(
        self, features: Mapping[str, tf.Tensor], row_splits: tf.Tensor, rows: tf.Tensor
    ) -> list[tf.Tensor]:
        """Computes each member's base and shares; see `ServingModule`."""
        low, high = self.label_range
        members = []
        for (_, sets_of, modalities, _), inputs, row_start, block in self._given(features, row_splits):
            known = coalitions(len(modalities))
            curves = low + sets_of(inputs, row_start, known.sets, rows, block) * (high - low)
            members.append(placed(shares_of(curves, known.weights), modalities, self.modalities))
        return members

    def _given(self, features: Mapping[str, tf.Tensor], row_splits: tf.Tensor) -> Iterator[tuple[Any, ...]]:
        """Each member with its transformed inputs, the first row of each row's film, and the rows at a time."""
        row_start = tf.cast(tf.repeat(row_splits[:-1], row_splits[1:] - row_splits[:-1]), tf.int32)
        block = self.row_block.read_value()
        transformed: dict[int, dict[str, tf.Tensor]] = {}
        for member in self._predict:
            transform = member[-1]
            if id(transform) not in transformed:
                transformed[id(transform)] = transform_in_blocks(transform, features, block)
            yield member, transformed[id(transform)], row_start, block


def transform_in_blocks(
    transform: RowTransform, features: Mapping[str, tf.Tensor], block: tf.Tensor
) -> dict[str, tf.Tensor]:
    """The transformed rows, computed block by block; absent rows fill the last block.

    A projection on components is a matrix product, whose last bits depend on its number of rows.
    """
    rows = tf.shape(next(iter(features.values())))[0]
    padding = rows_to_whole_blocks(rows, block)
    checked = {key: checked_rows(values, rows, key) for key, values in features.items()}
    padded = {key: tf.pad(values, [[0, padding], [0, 0]]) for key, values in checked.items()}
    blocks = {key: tf.reshape(values, (-1, block, values.shape[1])) for key, values in padded.items()}
    sizes = {key: transform.dimensions.get(key, values.shape[1]) for key, values in features.items()}
    kinds = {key: tf.TensorSpec((None, size), tf.float32) for key, size in sizes.items()}
    transformed = tf.map_fn(transform, blocks, fn_output_signature=kinds)
    return {key: tf.reshape(values, (-1, sizes[key]))[:rows] for key, values in transformed.items()}


def _load_transforms(directories: str | Sequence[str], members: int) -> list[RowTransform]:
    names = [directories] * members if isinstance(directories, str) else list(directories)
    if len(names) != members:
        raise ConfigurationError(f"{len(names)} transforms for {members} models: give one, or one for each")
    loaded = {name: load_transform(name) for name in dict.fromkeys(names)}
    return [loaded[name] for name in names]


def _check_transform(model: AffectModel, transform: RowTransform) -> None:
    for modality, size in model.dimensions.items():
        given = transform.dimensions.get(modality)
        if given != size:
            raise ConfigurationError(
                f"the model takes {modality} with {size} values a second, its transform gives {given or 'none'}; "
                "export it with the transform it was trained with"
            )


def _common(values: list[int | None], modality: str) -> int:
    found = {value for value in values if value is not None}
    if len(found) != 1:
        raise ConfigurationError(f"the transforms of the ensemble take {modality} in different sizes: {sorted(found)}")
    return found.pop()


def _complete_card(card: Mapping[str, Any], version: str, module: ServingModule, further: Mapping[str, Any]) -> str:
    known = {
        "format": CARD_FORMAT,
        "version": version,
        "modalities": list(module.modalities),
        "dimensions": module.dimensions,
        "slots": module.slots,
        "label_range": list(module.label_range),
        "targets": list(module.targets),
        "signatures": module.signatures(),
        "responsible_use": RESPONSIBLE_USE,
        **further,
    }
    plain, added = _plain(card), _plain(known)
    for key in sorted(set(plain) & set(added)):
        if plain[key] != added[key]:
            raise ConfigurationError(f"the card says {key} = {plain[key]!r}, the model to export has {added[key]!r}")
    return json.dumps({**plain, **added}, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """The value in JSON's types; NaN and infinities, which JSON lacks, become None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
