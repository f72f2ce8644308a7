"""The paper's network: one encoder per modality, concatenation, context gate, mixture of experts, context gate.

    image [W, D]  ─▶ encoder ─┐
    audio [W, D]  ─▶ encoder ─┼▶ concatenate ▶ (BN) ▶ (dropout) ▶ gate ▶ experts ▶ gate ▶ valence, arousal in [0, 1]
    face  [W, D]  ─▶ encoder ─┘

The network has two entry points with the same weights: `call` takes explicit windows, for training; `predict_rows`
    takes the rows of whole films, for everything else. Both take transformed features. Source: paper, sections Temporal
    Models and Fusion; what the paper leaves open is a key of `ModelConfig`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from beam_pipelines.contracts.records.feature_track import PRESENT_SUFFIX
from beam_pipelines.contracts.records.records import slots_of
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation.errors import ConfigurationError
from trainer.foundation.config import ModelConfig
from trainer.foundation.distribution import normalize_over_replicas, replicas
from trainer.network.batch_statistics import FilmBatches
from trainer.network.chunked_rows import ROW_BLOCK, checked_rows, multiply_by_row_blocks, rows_to_whole_blocks
from trainer.network.dropout import FIRST_FEATURE, STATES, dropout as _dropout, kept_modalities
from trainer.network.encoders import build_encoder
from trainer.network.layers import ContextGate, MixtureOfExperts, Multiply, Normalize


def presence_key(modality: str) -> str:
    """The name of a modality's presence flags."""
    return modality + PRESENT_SUFFIX


def build_model(config: ModelConfig, dimensions: Mapping[str, int], seed: int, dtype: Any = None) -> AffectModel:
    """Builds the network with all its weights.

    Args:
        config: the network's configuration.
        dimensions: modality -> D, values per second after the transform. Modalities that the configuration doesn't
            name are ignored.
        seed: the seed of all weights. Each weight has its own seed derived from it, so that another modality or option
            doesn't change the others' initial weights.
        dtype: a Keras dtype or policy (`float64`, `mixed_float16`, …); None for Keras's global policy.

    Raises:
        ConfigurationError: if a modality has no dimension, or one that its slots don't divide, or Keras has another
            backend than TensorFlow.
    """
    if keras.config.backend() != "tensorflow":
        raise ConfigurationError(
            f"the trainer needs Keras on TensorFlow, it runs on {keras.config.backend()}: set KERAS_BACKEND=tensorflow"
        )
    for modality in config.modalities:
        if modality not in dimensions:
            raise ConfigurationError(f"train.model.modalities names '{modality}'; the data holds {sorted(dimensions)}")
        if dimensions[modality] < 1 or dimensions[modality] % slots_of(modality):
            raise ConfigurationError(
                f"{modality} has {dimensions[modality]} values a second, which its {slots_of(modality)} slots don't "
                "divide; prepare it with a number of components that they do"
            )
    model = AffectModel(config, {m: dimensions[m] for m in config.modalities}, seed, dtype=dtype)
    model.build()
    return model


@keras.saving.register_keras_serializable(package="cineaffect")
class AffectModel(keras.Model):
    """The model of valence and arousal in the last second of a window. `build_model` makes it.

    Both entry points take a mapping with, for each modality, its values [..., D] and `<modality>_present` [..., slots];
    slots divide the values' axis evenly. Values of absent slots (presence 0) are replaced by zeros, even NaN. Other
    keys are ignored.

    Dropout is stateless: its masks depend only on `dropout_seed`, which the training loop makes of the run's seed and
    the step's number (`[seed, step]`). So a run that is resumed from a checkpoint repeats exactly, although
    `tf.train.Checkpoint` omits Keras's seed generators: nothing draws from those in the stock layers.
    """

    def __init__(self, config: ModelConfig, dimensions: Mapping[str, int], seed: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.config = config
        self.dimensions = dict(dimensions)
        self.seed = seed
        self._rows_functions: list[Any] = []
        self.encoders = [
            build_encoder(
                config.encoder_of(modality),
                l2=config.l2,
                seed=_seed(seed, f"{modality}/encoder"),
                name=f"{modality}_encoder",
                dtype=self.dtype_policy,
            )
            for modality in config.modalities
        ]
        # The fusion is small and gives probabilities, so it keeps full precision under a mixed policy.
        full = self.variable_dtype
        gate = {"batch_normalization": config.batch_normalization, "l2": config.l2, "dtype": full}
        self.normalization = (
            keras.layers.BatchNormalization(dtype=full, name="normalization") if config.batch_normalization else None
        )
        self.first_gate = ContextGate(seed=_seed(seed, "first_gate"), name="first_gate", **gate)
        self.experts = MixtureOfExperts(
            len(TARGETS), config.experts, l2=config.l2, seed=_seed(seed, "experts"), dtype=full, name="experts"
        )
        self.second_gate = ContextGate(open_at_start=True, seed=_seed(seed, "second_gate"), name="second_gate", **gate)

    def build(self, input_shape: Any = None) -> None:
        """Creates all weights; the shapes follow from `dimensions`."""
        for modality, encoder in zip(self.config.modalities, self.encoders, strict=True):
            slots = slots_of(modality) if self.config.presence_input else 0
            encoder.build((None, self.config.window_s, self.dimensions[modality] + slots))
        size = sum(encoder.state_size for encoder in self.encoders)
        if self.normalization is not None:
            self.normalization.build((None, size))
        self.first_gate.build((None, size))
        self.experts.build((None, size))
        self.second_gate.build((None, len(TARGETS)))
        self.built = True

    def call(
        self,
        inputs: Mapping[str, Any],
        training: bool = False,
        dropout_seed: Any = None,
        seconds: Any = None,
        films: Any = None,
    ) -> Any:
        """Predicts the last second of each window, or several seconds of it.

        Args:
            inputs: modality -> float [B, W, D], `<modality>_present` -> float [B, W, slots]. Positions before a film's
                start are zeros with presence 0.
            training: whether dropout and batch statistics are on.
            dropout_seed: int [2], required if `training` is on and a dropout rate is not 0; it differs in each step.
            seconds: bool [B, W]; the seconds of the windows to predict, N in all; None for each window's last. In
                training, only these are the batch that is normalised.
            films: int [B]; the film of each window; None if all belong to one film. With film statistics at inference
                the batch must hold all windows of each film. In training it has no effect.

        Returns:
            float [B, 2], or [N, 2] in the order of `seconds`: probabilities of valence and arousal, in the precision of
            the weights.
        """
        states = []
        kept = None
        if training and self.config.modality_dropout:
            windows = ops.shape(inputs[presence_key(self.config.modalities[0])])[0]
            kept = kept_modalities(windows, len(self.config.modalities), self.config.modality_dropout, dropout_seed)
        for index, (modality, encoder) in enumerate(zip(self.config.modalities, self.encoders, strict=True)):
            present = inputs[presence_key(modality)]
            if kept is not None:
                # Presence 0, which also sets the values to zero, as in a film that lacks the modality.
                present = present * ops.cast(kept[:, index], present.dtype)[:, None, None]
            values = present_values(inputs[modality], present)
            if training and self.config.feature_dropout:
                # One mask per window: a feature is dropped in all its seconds (Gal and Ghahramani 2016).
                mask_shape = (ops.shape(values)[0], 1, values.shape[-1])
                values = _dropout(values, self.config.feature_dropout, mask_shape, dropout_seed, FIRST_FEATURE + index)
            x = self._encoder_input(values, present)
            states.append(encoder(x, training=training, sequence=seconds is not None))
        if seconds is not None:
            states = [tf.boolean_mask(state, seconds) for state in states]
        if films is None:
            films = tf.zeros((ops.shape(states[0])[0],), tf.int32)
        elif seconds is not None:
            films = tf.boolean_mask(tf.broadcast_to(films[:, None], tf.shape(seconds)), seconds)
        return self._fuse(states, training, dropout_seed, films)

    def predict_rows(
        self, inputs: Mapping[str, Any], row_start: Any, ends: Any = None, block: Any = ROW_BLOCK
    ) -> tf.Tensor:
        """Predicts every second of whole films, in inference mode; equal to `call` on every explicit window to 1e-5.

        It runs as one compiled graph for any number of rows. Batch normalisation uses population statistics or those of
        each single film, as configured. It computes in the precision of the weights, even under a mixed policy.

        Args:
            inputs: modality -> float [R, D], `<modality>_present` -> float [R, slots]: the rows of one film after
                another, as arrays or tensors.
            row_start: int32 [R]; for each row, the first row of its film (all 0 for one film).
            ends: int32 [N]; the rows to predict; None for all. Only their windows are computed. Film statistics then
                cover these windows only, so that a model that uses them gives other values than for all rows
                (`ModelCard.assert_takes_stride` refuses it).
            block: rows that are advanced at a time, an int or an int32 scalar; last bits depend on it.

        Returns:
            float [R, 2], or [N, 2]: probabilities of valence and arousal. A film's rows don't depend on other films.
        """
        signature = self.row_signature()
        if not self._rows_functions:
            size = tf.TensorSpec((), tf.int32, name="block")
            numbers = [tf.TensorSpec((None,), tf.int32, name=name) for name in ("row_start", "ends")]
            self._rows_functions = [
                tf.function(self._predict_rows, input_signature=(signature, size, *numbers[:count]), autograph=False)
                for count in (1, 2)
            ]
        rows = {key: tf.cast(inputs[key], self.variable_dtype) for key in signature}
        given = (rows, tf.cast(block, tf.int32), tf.cast(row_start, tf.int32))
        if ends is None:
            return self._rows_functions[0](*given)
        return self._rows_functions[1](*given, tf.cast(ends, tf.int32))

    def row_signature(self) -> dict[str, tf.TensorSpec]:
        """The inputs of `predict_rows`: name -> specification, in the model's order."""
        signature = {}
        for modality in self.config.modalities:
            for key, size in ((modality, self.dimensions[modality]), (presence_key(modality), slots_of(modality))):
                signature[key] = tf.TensorSpec((None, size), self.variable_dtype, name=key)
        return signature

    def _predict_rows(
        self, inputs: Mapping[str, tf.Tensor], block: tf.Tensor, row_start: tf.Tensor, ends: tf.Tensor | None = None
    ) -> tf.Tensor:
        rows = tf.shape(row_start)[0]
        # Zero rows fill up whole blocks, at least one: the shape of every matrix product is then the same for all
        # films.
        padding = rows_to_whole_blocks(rows, block)
        starts = tf.pad(row_start, [[0, padding]])
        wanted = None if ends is None else tf.pad(ends, [[0, rows_to_whole_blocks(tf.shape(ends)[0], block)]])
        states = []
        for modality, encoder in zip(self.config.modalities, self.encoders, strict=True):
            values, present = (
                tf.pad(checked_rows(inputs[key], rows, key), [[0, padding], [0, 0]])
                for key in (modality, presence_key(modality))
            )
            x = self._encoder_input(present_values(values, present), present)
            states.append(encoder.encode_rows(x, starts, self.config.window_s, wanted, block))
        if ends is not None:
            row_start, rows = tf.gather(row_start, ends), tf.shape(ends)[0]
        # The rows that fill the last block count as a separate film, outside every real film's statistics.
        films = tf.pad(row_start, [[0, rows_to_whole_blocks(rows, block)]], constant_values=-1)
        return self._fuse(states, False, None, films, partial(multiply_by_row_blocks, block=block))[:rows]

    def l2_loss(self) -> Any:
        """The sum of all L2 penalties, a float scalar; 0 without any."""
        return sum(self.losses, start=tf.zeros((), self.variable_dtype))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments in plain values."""
        return {
            **super().get_config(),
            "config": self.config.model_dump(mode="json"),
            "dimensions": dict(self.dimensions),
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> AffectModel:
        """The model that `get_config` describes, with its initial weights."""
        values = dict(config)
        model = cls(ModelConfig.model_validate(values.pop("config")), **values)
        model.build()
        return model

    def _encoder_input(self, values: Any, present: Any) -> Any:
        """The encoder's input, [..., D] and [..., slots] -> [..., D (+ slots)]; all zeros in an absent second."""
        return ops.concatenate([values, present], axis=-1) if self.config.presence_input else values

    def _fuse(
        self, states: list[Any], training: bool, dropout_seed: Any, films: Any, multiply: Multiply = ops.matmul
    ) -> Any:
        """The probabilities [N, 2] from the encoders' states [N, H] and the film of each, int [N]."""
        x = ops.concatenate([ops.cast(state, self.variable_dtype) for state in states], axis=-1)
        normalize = self._statistics(training, films)
        if self.normalization is not None:
            x = normalize(self.normalization, x) if normalize else self.normalization(x, training=training)
        if training and self.config.dropout:
            x = _dropout(x, self.config.dropout, ops.shape(x), dropout_seed, STATES)
        x = self.first_gate(x, training=training, normalize=normalize, multiply=multiply)
        x = self.experts(x, multiply=multiply)
        return self.second_gate(x, training=training, normalize=normalize, multiply=multiply)

    def _statistics(self, training: bool, films: Any) -> Normalize | None:
        """What replaces the stock layers' normalisation: by a film's statistics, or by those of all replicas' batch."""
        if not self.config.batch_normalization:
            return None
        if training:
            return normalize_over_replicas if replicas() > 1 else None
        return FilmBatches.of(films).normalize if self.config.batch_statistics_at_inference == "film" else None


def _seed(seed: int, name: str) -> int:
    # A stable digest of seed and name, so that a weight's seed doesn't depend on the order in which weights are made.
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:4], "big") >> 1


def present_values(values: Any, present: Any) -> Any:
    """The values [..., D] with zeros in absent slots; present is [..., slots]."""
    slots, size = present.shape[-1], values.shape[-1]
    if slots == 1:
        return ops.where(present > 0, values, ops.zeros_like(values))
    # A selection, not a product, since NaN * 0 is NaN.
    return ops.where(ops.repeat(present > 0, size // slots, axis=-1), values, ops.zeros_like(values))
