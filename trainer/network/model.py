"""The paper's network: one encoder per modality, concatenation, context gate, mixture of experts, context gate.

    image [L, D]  ─▶ encoder ─┐
    audio [L, D]  ─▶ encoder ─┼▶ concatenate ▶ (BN) ▶ (dropout) ▶ gate ▶ experts ▶ gate ▶ valence, arousal in [0, 1]
    face  [L, D]  ─▶ encoder ─┘

The network has two entry points with the same weights: `call` takes explicit windows, for training; `predict_rows`
    takes the rows of whole films, for everything else. Both take transformed features. Source: paper, sections Temporal
    Models and Fusion; what the paper leaves open is a key of `ModelConfig`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from beam_pipelines.contracts.records.records import slots_of
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation.errors import ConfigurationError
from trainer.foundation.config import ModelConfig
from trainer.foundation.distribution import normalize_over_replicas, replicas
from trainer.network.batch_statistics import FilmBatches, set_population
from trainer.network.chunked_rows import ROW_BLOCK, checked_rows, multiply_by_row_blocks, rows_to_whole_blocks
from trainer.network.dropout import FIRST_FEATURE, channel_dropout, dropout, kept_modalities
from trainer.network.encoders import build_encoder
from trainer.network.fusion import Fusion
from trainer.network.layers import Normalize, weight_seed
from trainer.network.presence import presence_key, present_values


def build_model(
    config: ModelConfig,
    dimensions: Mapping[str, int],
    seed: int,
    dtype: Any = None,
    slots: Mapping[str, int] | None = None,
    targets: Sequence[str] = TARGETS,
) -> AffectModel:
    """Builds the network with all its weights.

    Args:
        config: the network's configuration.
        dimensions: modality -> D, values per second after the transform. Modalities that the configuration doesn't
            name are ignored.
        seed: the seed of all weights. Each weight has its own seed derived from it, so that another modality or option
            doesn't change the others' initial weights.
        targets: what it predicts.
        dtype: a Keras dtype or policy (`float64`, `mixed_float16`, …); None for Keras's global policy.
        slots: modality -> slots per second; a modality that it doesn't name has those of its name (`slots_of`).

    Raises:
        ConfigurationError: if a modality has no dimension, or one that its slots don't divide, or Keras has another
            backend than TensorFlow.
    """
    if keras.config.backend() != "tensorflow":
        raise ConfigurationError(
            f"the trainer needs Keras on TensorFlow, it runs on {keras.config.backend()}: set KERAS_BACKEND=tensorflow"
        )
    known = {modality: (slots or {}).get(modality, slots_of(modality)) for modality in config.modalities}
    for modality in config.modalities:
        if modality not in dimensions:
            raise ConfigurationError(f"train.model.modalities names '{modality}'; the data holds {sorted(dimensions)}")
        if dimensions[modality] < 1 or dimensions[modality] % known[modality]:
            raise ConfigurationError(
                f"{modality} has {dimensions[modality]} values a second, which its {known[modality]} slots don't "
                "divide; prepare it with a number of components that they do"
            )
    given = {m: dimensions[m] for m in config.modalities}
    model = AffectModel(config, given, seed, known, targets, dtype=dtype)
    model.build()
    return model


@keras.saving.register_keras_serializable(package="cineaffect")
class AffectModel(keras.Model):
    """The model of valence, arousal or both in a second, from the rows around it. `build_model` makes it.

    Both entry points take a mapping with, for each modality, its values [..., D] and `<modality>_present` [..., slots];
    slots divide the values' axis evenly. Values of absent slots (presence 0) are replaced by zeros, even NaN. Other
    keys are ignored.

    Dropout is stateless: its masks depend only on `dropout_seed`, which the training loop makes of the run's seed and
    the step's number (`[seed, step]`). So a run that is resumed from a checkpoint repeats exactly, although
    `tf.train.Checkpoint` omits Keras's seed generators: nothing draws from those in the stock layers.
    """

    def __init__(
        self,
        config: ModelConfig,
        dimensions: Mapping[str, int],
        seed: int,
        slots: Mapping[str, int],
        targets: Sequence[str] = TARGETS,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.config = config
        self.dimensions = dict(dimensions)
        self.slots = dict(slots)
        self.seed = seed
        self.targets = tuple(targets)
        self.encoders = [
            build_encoder(
                config.encoder_of(modality),
                lookahead=config.lookahead_s,
                l2=config.l2,
                seed=weight_seed(seed, f"{modality}/encoder"),
                name=f"{modality}_encoder",
                dtype=self.dtype_policy,
            )
            for modality in config.modalities
        ]
        # The fusion is small and gives probabilities, so it keeps full precision under a mixed policy.
        self.fusion = Fusion(config, seed, len(self.targets), dtype=self.variable_dtype, name="fusion")

    @property
    def state_size(self) -> int:
        """The size of all encoders' states together."""
        return sum(encoder.state_size for encoder in self.encoders)

    def window_rows(self, sequence: bool = False) -> tuple[int, int]:
        """The rows before and after the predicted second that `call` takes, or for a `sequence`, a window's last.

        Without a sequence they are also the seconds before and after it that a prediction depends on.
        """
        rows = [encoder.rows(self.config.window_s, sequence) for encoder in self.encoders]
        return max(before for before, _ in rows), max(after for _, after in rows)

    def build(self, input_shape: Any = None) -> None:
        """Creates all weights; the shapes follow from `dimensions`."""
        for modality, encoder in zip(self.config.modalities, self.encoders, strict=True):
            slots = self.slots[modality] if self.config.presence_input else 0
            encoder.build((None, self.config.window_s, self.dimensions[modality] + slots))
        self.fusion.build((None, self.state_size))
        # Two graphs for any number of rows: population statistics need the states alone.
        numbers = [tf.TensorSpec(shape, tf.int32) for shape in ((None,), (None,), ())]
        states = tf.TensorSpec((None, self.state_size), self.variable_dtype)
        self._states_graph, self.fuse = (
            tf.function(function, input_signature=(first, *numbers), autograph=False)
            for function, first in ((self._row_states, self.row_signature()), (self._fuse_rows, states))
        )
        self.built = True

    def call(
        self,
        inputs: Mapping[str, Any],
        training: bool = False,
        dropout_seed: Any = None,
        seconds: Any = None,
        films: Any = None,
    ) -> Any:
        """Predicts one second of each window, or several seconds of it.

        Args:
            inputs: modality -> float [B, L, D], `<modality>_present` -> float [B, L, slots]: the rows around the
                predicted seconds, as `window_rows` counts them. Rows outside the film are zeros with presence 0.
            training: whether dropout and batch statistics are on.
            dropout_seed: int [2], required if `training` is on and a dropout rate is not 0; it differs in each step.
            seconds: bool [B, W]; which of the W seconds up to the predicted one to predict, N in all; None for that
                one alone. In training, only these are the batch that is normalised.
            films: int [B]; the film of each window; None if all belong to one film. With film statistics at inference
                the batch must hold all windows of each film. In training it has no effect.

        Returns:
            float [B, targets], or [N, targets] in the order of `seconds`: the probability of each, in the precision of
            the weights.
        """
        states, kept, sequence = [], None, seconds is not None
        before, _ = self.window_rows(sequence)
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
                values = dropout(values, self.config.feature_dropout, mask_shape, dropout_seed, FIRST_FEATURE + index)
            own_before, own_after = encoder.rows(self.config.window_s, sequence)
            x = self._encoder_input(values, present)[:, before - own_before : before + 1 + own_after]
            rate = self.config.encoder_of(modality).dropout if training else 0.0
            drop = partial(channel_dropout, rate=rate, seed=dropout_seed, modality=index)
            states.append(encoder(x, training=training, sequence=sequence, **({"drop": drop} if rate else {})))
        if seconds is not None:
            states = [tf.boolean_mask(state, seconds) for state in states]
        if films is None:
            films = tf.zeros((ops.shape(states[0])[0],), tf.int32)
        elif seconds is not None:
            films = tf.boolean_mask(tf.broadcast_to(films[:, None], tf.shape(seconds)), seconds)
        x = ops.concatenate([ops.cast(state, self.variable_dtype) for state in states], axis=-1)
        return self.fusion(x, training=training, dropout_seed=dropout_seed, normalize=self._statistics(training, films))

    def predict_rows(
        self, inputs: Mapping[str, Any], row_start: Any, ends: Any = None, block: Any = ROW_BLOCK
    ) -> tf.Tensor:
        """Predicts every second of whole films, in inference mode; equal to `call` on explicit windows to 1e-5.

        It runs as compiled graphs for any number of rows. Batch normalisation uses population statistics or those of
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
            float [R, targets], or [N, targets]: the probability of each. A film's rows don't depend on other films.
        """
        row_start = tf.cast(row_start, tf.int32)
        ends = tf.range(tf.shape(row_start)[0]) if ends is None else tf.cast(ends, tf.int32)
        block = tf.cast(block, tf.int32)
        return self.fuse(self.states(inputs, row_start, ends, block), row_start, ends, block)

    def set_population_statistics(self, films: Iterable[tuple[Mapping[str, Any], Any]]) -> None:
        """Sets the population statistics of all batch normalisations to those of some windows, in inference mode.

        Moving averages lag: at Keras's momentum of 0.99, 79 % of their initial values are left after 24 steps.

        Args:
            films: for each film its rows, as for `predict_rows`, and the rows at which its windows end, int [N].
        """
        states = [
            self.states(rows, tf.zeros(tf.shape(next(iter(rows.values())))[:1], tf.int32), ends)[: len(ends)]
            for rows, ends in films
        ]
        self.fusion(tf.concat(states, axis=0), normalize=set_population)

    def row_signature(self) -> dict[str, tf.TensorSpec]:
        """The inputs of `predict_rows`: name -> specification, in the model's order."""
        signature = {}
        for modality in self.config.modalities:
            for key, size in ((modality, self.dimensions[modality]), (presence_key(modality), self.slots[modality])):
                signature[key] = tf.TensorSpec((None, size), self.variable_dtype, name=key)
        return signature

    def states(self, inputs: Mapping[str, Any], row_start: Any, ends: Any, block: Any = ROW_BLOCK) -> tf.Tensor:
        """The concatenated states of the windows that end at `ends`, and of zeros that fill the last block."""
        rows = {key: tf.cast(inputs[key], self.variable_dtype) for key in self.row_signature()}
        return self._states_graph(rows, row_start, tf.cast(ends, tf.int32), tf.cast(block, tf.int32))

    def _row_states(
        self, inputs: Mapping[str, tf.Tensor], row_start: tf.Tensor, ends: tf.Tensor, block: tf.Tensor
    ) -> tf.Tensor:
        rows = tf.shape(row_start)[0]
        # Zero rows fill up whole blocks, at least one: the shape of every matrix product is then the same for all
        # films.
        padding = rows_to_whole_blocks(rows, block)
        starts = tf.pad(row_start, [[0, padding]], constant_values=rows)
        wanted = tf.pad(ends, [[0, rows_to_whole_blocks(tf.shape(ends)[0], block)]])
        states = []
        for modality, encoder in zip(self.config.modalities, self.encoders, strict=True):
            values, present = (
                tf.pad(checked_rows(inputs[key], rows, key), [[0, padding], [0, 0]])
                for key in (modality, presence_key(modality))
            )
            x = self._encoder_input(present_values(values, present), present)
            states.append(encoder.encode_rows(x, starts, self.config.window_s, wanted, block))
        return ops.concatenate([ops.cast(state, self.variable_dtype) for state in states], axis=-1)

    def _fuse_rows(self, states: tf.Tensor, row_start: tf.Tensor, ends: tf.Tensor, block: tf.Tensor) -> tf.Tensor:
        rows = tf.shape(ends)[0]
        # The rows that fill the last block count as a separate film, outside every real film's statistics.
        films = tf.pad(tf.gather(row_start, ends), [[0, rows_to_whole_blocks(rows, block)]], constant_values=-1)
        multiply = partial(multiply_by_row_blocks, block=block)
        return self.fusion(states, normalize=self._statistics(False, films), multiply=multiply)[:rows]

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
            "slots": dict(self.slots),
            "targets": list(self.targets),
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

    def _statistics(self, training: bool, films: Any) -> Normalize | None:
        """What replaces the stock layers' normalisation: by a film's statistics, or by those of all replicas' batch."""
        if not self.config.batch_normalization:
            return None
        if training:
            return normalize_over_replicas if replicas() > 1 else None
        return FilmBatches.of(films).normalize if self.config.batch_statistics_at_inference == "film" else None
