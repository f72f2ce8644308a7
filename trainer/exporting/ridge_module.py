"""The exported form of a ridge regression: the same signatures as a network's, in plain TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from beam_pipelines.contracts.models.shapley import coalitions, describe
from beam_pipelines.foundation.errors import ConfigurationError
from trainer.data.transform import RowTransform, load_transform
from trainer.exporting.export import transform_in_blocks, write_export
from trainer.exporting.export_directory import assert_free
from trainer.exporting.serving_module import ServingModule, shares_of
from trainer.network.chunked_rows import ROW_BLOCK, multiply_by_row_blocks, rows_to_whole_blocks
from trainer.network.presence import presence_key, present_values
from trainer.ridge.model import RidgeModel


def export_ridge(
    model: RidgeModel, transform_directory: str, card: Mapping[str, Any], further: Mapping[str, Any], directory: str
) -> str:
    """Exports a ridge regression as a versioned directory; see `export.export_model`.

    Args:
        model: the fitted model.
        transform_directory: the tf.Transform output of its features.
        card: the model's description.
        further: settings that describe the model, for the card's `models`.
        directory: `<exports>/<version>`, local or `gs://`; it must be empty or absent.

    Returns:
        `directory`.

    Raises:
        ConfigurationError: if the directory is not empty, or the transform doesn't fit the model.
    """
    assert_free(directory)
    module = RidgeModule(model, load_transform(transform_directory))
    whole_film = None in model.widths_s
    length = None if whole_film else max(width for width in model.widths_s if width is not None)
    known = {
        "sequence_length_s": length,
        "back_s": None if length is None else length - 1,
        "ahead_s": 0,
        "takes_stride": True,
        "explained": describe(len(model.dimensions)),
        "models": [{"kind": "ridge", **further}],
    }
    return write_export(module, card, known, directory)


class RidgeModule(ServingModule):
    """A ridge regression with its transform as plain TensorFlow functions of raw features.

    Raises:
        ConfigurationError: if the transform doesn't give the values that the model takes.
    """

    def __init__(self, model: RidgeModel, transform: RowTransform):
        for modality, size in model.dimensions.items():
            if transform.dimensions.get(modality) != size:
                raise ConfigurationError(
                    f"the ridge regression takes {modality} with {size} values a second, its transform gives "
                    f"{transform.dimensions.get(modality) or 'none'}; export it with the transform of its training"
                )
        super().__init__(
            1,
            {modality: transform.raw_dimensions[modality] for modality in model.dimensions},
            {modality: transform.slots[modality] for modality in model.dimensions},
            model.label_range,
            targets=model.targets,
        )
        self._model = model
        widths, columns, targets = model.weights.shape
        self.weights = tf.Variable(model.weights.transpose(1, 0, 2).reshape(columns, widths * targets), trainable=False)
        self.offset = tf.Variable(model.offset, trainable=False)
        self.transform_graph = transform.graph  # only attributes are saved
        self._transform = transform
        # Code that loads the model may set this (`ExportedModel`): a GPU needs more rows at a time.
        self.row_block = tf.Variable(ROW_BLOCK, trainable=False, dtype=tf.int32, name="row_block")

    def member_curves(
        self, features: Mapping[str, tf.Tensor], row_splits: tf.Tensor, rows: tf.Tensor
    ) -> list[tf.Tensor]:
        """Computes the curves; see `ServingModule`."""
        (part,) = self._parts(features, row_splits, [self.modalities])
        return [tf.gather(self._clipped(part), rows)]

    def member_shares(
        self, features: Mapping[str, tf.Tensor], row_splits: tf.Tensor, rows: tf.Tensor
    ) -> list[tf.Tensor]:
        """Computes base and shares; see `ServingModule`. Only clipping makes them differ from the parts of the sum."""
        known = coalitions(len(self.modalities))
        parts = [tf.gather(part, rows) for part in self._parts(features, row_splits, [(m,) for m in self.modalities])]
        nothing = tf.zeros_like(parts[0])
        curves = [
            self._clipped(sum((part for part, here in zip(parts, chosen, strict=True) if here), nothing))
            for chosen in known.sets
        ]
        return [shares_of(tf.stack(curves), known.weights)]

    def _clipped(self, part: tf.Tensor) -> tf.Tensor:
        curve = tf.cast(self.offset.read_value(), tf.float64) + part
        return tf.cast(tf.clip_by_value(curve, *self.label_range), tf.float32)

    def _parts(
        self, features: Mapping[str, tf.Tensor], row_splits: tf.Tensor, groups: Sequence[Sequence[str]]
    ) -> list[tf.Tensor]:
        """What each group of modalities adds to the offset, float64 [R, targets]."""
        count = tf.shape(features[self.modalities[0]], out_type=tf.int64)[0]
        first = tf.repeat(row_splits[:-1], row_splits[1:] - row_splits[:-1])
        position = tf.range(count) - first
        block = self.row_block.read_value()
        transformed = transform_in_blocks(self._transform, features, block)
        parts = []
        for group in groups:
            products = tf.cast(self._products(transformed, block, group), tf.float64)
            products = tf.reshape(products, (-1, len(self._model.widths_s), len(self.targets)))
            sums = _running_sums(products, position)
            means = [_causal_mean(sums[:, n], position, width_s) for n, width_s in enumerate(self._model.widths_s)]
            parts.append(tf.add_n(means))
        return parts

    def _products(self, transformed: Mapping[str, tf.Tensor], block: tf.Tensor, group: Sequence[str]) -> tf.Tensor:
        """Each second of some modalities times the weights of every causal mean, float32 [R, widths * targets]."""
        columns, weights, first = [], [], 0
        for modality in self.modalities:
            present = transformed[presence_key(modality)]
            given = [present_values(transformed[modality], present), *([present] if self._model.presence_input else [])]
            stop = first + sum(values.shape[1] for values in given)
            if modality in group:
                columns += given
                weights.append(self.weights.read_value()[first:stop])
            first = stop
        inputs = tf.concat(columns, axis=1)
        count = tf.shape(inputs)[0]
        padded = tf.pad(inputs, [[0, rows_to_whole_blocks(count, block)], [0, 0]])
        return multiply_by_row_blocks(padded, tf.concat(weights, axis=0), block)[:count]


def _running_sums(values: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
    """The sum of each film's rows up to and including each one, [R, …]; `position` int64 [R] is a row's in its film.

    Sums of 1, 2, 4, … rows are added in turn, so that the order of additions, and so the last bits, depend on a row's
    position in its own film only.
    """
    longest = tf.reduce_max(tf.concat([position, tf.zeros((1,), tf.int64)], axis=0)) + 1
    row = tf.range(tf.shape(values, out_type=tf.int64)[0])

    def add(step: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        earlier = tf.gather(sums, tf.maximum(row - step, 0))
        return 2 * step, tf.where((position >= step)[:, None, None], sums + earlier, sums)

    return tf.while_loop(lambda step, _: step < longest, add, (tf.constant(1, tf.int64), values))[1]


def _causal_mean(sums: tf.Tensor, position: tf.Tensor, width_s: int | None) -> tf.Tensor:
    """The mean of each film's last `width_s` rows up to each one, [R, targets]; None for all so far."""
    count = position + 1
    if width_s is not None:
        count = tf.minimum(count, width_s)
        row = tf.range(tf.shape(sums, out_type=tf.int64)[0])
        before = tf.gather(sums, tf.maximum(row - width_s, 0))
        sums = tf.where((position >= width_s)[:, None], sums - before, sums)
    return sums / tf.cast(count, tf.float64)[:, None]
