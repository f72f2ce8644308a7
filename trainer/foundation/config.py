"""The `train` section of a configuration.

The defaults are the paper's values where it gives them (GRU, 60 s, batch 512, Adam, sigmoid cross entropy). What it
leaves open (number of experts, dropout rate, L2 weight, learning rate, place of batch normalisation, …) has its own
keys; those defaults are ours, for films and labels that are few: MediaEval has 54 films for 1.5 million weights. They
were chosen on generated films alone (`benchmarks/default_settings.py`). The paper's runs are in `configs/paper/`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from beam_pipelines.contracts.curves.smoothing import CutoffHz, SmoothingConfig
from beam_pipelines.foundation.configuration import Section
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.labels.config import LabelConfig
from trainer.foundation.ridge_config import RidgeConfig

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
_EPOCHS_TO_CHOOSE_FROM = 40

CUTOFFS_HZ = (0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.12, 0.16, 0.2, 0.25, 0.35)
"""Cutoffs to choose from, a quarter to a half apart: from waves of 200 s to those of 3 s (ours)."""


class EncoderConfig(Section):
    """The temporal model of one modality (paper, Temporal Models: GRU, LSTM or encoder-decoder TCN, each its own).

    Attributes:
        kind: `gru` and `lstm` are the paper's sequence-to-one models, `tcn` is its encoder-decoder TCN
            (`trainer.network.tcn`).
        units: size of a recurrent layer's state (paper: 32 to 256).
        layers: stacked recurrent layers (paper: 1 to 2).
        states: for stacked layers, `last`: the final state of the last layer, `all`: of all layers, concatenated (the
            paper says "its hidden state"; the default is ours).
        bidirectional: whether a second recurrence reads the look-ahead from its end back to the predicted second; it
            needs `lookahead_s` (ours).
        levels: how often the TCN halves time and doubles it again (paper: open; default ours).
        filters: filters of the TCN's first level, and the size of its state (default ours).
        filters_step: additional filters of each level over the one before (default ours).
        kernel_s: taps of a TCN's convolution: seconds at the first level, twice as long at each further one (default
            ours).
        causal: whether each output of the TCN depends only on seconds up to its own; False as in Lea et al.
        activation: the TCN's activation; `norm_relu` is Lea et al.'s normalised ReLU, `relu` the plain one.
        dropout: share of a TCN's channels dropped after each convolution, for a whole window (Lea et al. use 0.3).
    """

    kind: Literal["gru", "lstm", "tcn"] = "gru"
    units: int = Field(128, ge=1, le=4096)
    layers: int = Field(1, ge=1, le=2)
    states: Literal["last", "all"] = "last"
    bidirectional: bool = False
    levels: int = Field(2, ge=1, le=6)
    filters: int = Field(64, ge=1, le=4096)
    filters_step: int = Field(32, ge=0, le=4096)
    kernel_s: int = Field(15, ge=1, le=301)
    causal: bool = False
    activation: Literal["norm_relu", "relu"] = "norm_relu"
    dropout: Share = 0.0

    def settings_for(self, kind: str) -> dict[str, Any]:
        """Those of its values that have an effect on an encoder of some kind, as plain values."""
        return self.model_dump(mode="json", include=set(_TCN_KEYS if kind == "tcn" else _RECURRENT_KEYS))

    @model_validator(mode="after")
    def _keys_have_an_effect(self) -> EncoderConfig:
        without_effect = _RECURRENT_KEYS if self.kind == "tcn" else _TCN_KEYS
        for key in without_effect:
            if getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"'{key}' has no effect on an encoder of kind '{self.kind}'; leave it out")
        return self


_RECURRENT_KEYS = ("units", "layers", "states", "bidirectional")
_TCN_KEYS = ("levels", "filters", "filters_step", "kernel_s", "causal", "activation", "dropout")


class ModelConfig(Section):
    """The network: one encoder per modality, concatenation, context gate, mixture of experts, context gate.

    Attributes:
        modalities: the features that it takes, in this order of concatenation.
        window_s: seconds that a recurrent encoder reads up to and including the predicted one (paper: 60 is best). A
            TCN runs over whole films, and over windows of so many seconds and its reach at both ends in training.
        lookahead_s: seconds that recurrent encoders read after the predicted one (0 is the paper's). A TCN's kernels
            decide how far it sees.
        encoder: the encoder of every modality that `encoders` doesn't name.
        encoders: modality -> its own encoder.
        presence_input: whether the encoder also gets each second's presence flags (ours).
        experts: logistic experts per target (ours; YouTube-8M's default is 2).
        dummy_expert: whether the softmax over experts has one more slot, whose answer is 0 (YouTube-8M's form).
        gates: whether a context gate stands before and behind the experts (paper); with one expert, no dummy and no
            gates the head is a single logistic layer.
        dropout: rate on the concatenated encoder states (ours); 0 is none.
        feature_dropout: rate on the encoders' inputs, one mask per window (ours); 0 is none.
        modality_dropout: share of the training windows in which a modality is absent in all seconds, drawn
            independently for each modality, but never all of a window's (ours); 0 is none. It prepares for films that
            lack a modality.
        batch_normalization: whether the concatenated states and both context gates have it (place: ours).
        batch_statistics_at_inference: `population` uses the statistics gathered in training. `film` uses those of all
            windows of the film, or population statistics below 30 windows (paper: "the batch statistics"; runs 2 to 4.
            The choice of the batch is ours: contract 2). Without batch normalisation it has no effect.
        l2: weight of the squared norm of all kernels (ours).
    """

    model_config = ConfigDict(allow_inf_nan=False)

    modalities: tuple[str, ...] = ("image", "audio", "face")
    window_s: int = Field(60, ge=1, le=3600)
    lookahead_s: int = Field(0, ge=0, le=3600)
    encoder: EncoderConfig = EncoderConfig()
    encoders: dict[str, EncoderConfig] = Field(default_factory=dict)
    presence_input: bool = True
    experts: int = Field(2, ge=1, le=64)
    dummy_expert: bool = True
    gates: bool = True
    dropout: Share = 0.4
    feature_dropout: Share = 0.2
    modality_dropout: Share = 0.1
    batch_normalization: bool = False
    batch_statistics_at_inference: Literal["film", "population"] = "population"
    l2: float = Field(1e-6, ge=0.0)

    @model_validator(mode="after")
    def _encoders_have_modalities(self) -> ModelConfig:
        if len(set(self.modalities)) != len(self.modalities) or not self.modalities:
            raise ValueError(f"modalities must be a list without repetition, not {list(self.modalities)}")
        unknown = sorted(set(self.encoders) - set(self.modalities))
        if unknown:
            raise ValueError(f"encoders names {unknown}, which modalities ({list(self.modalities)}) does not")
        if not self.lookahead_s and any(self.encoder_of(modality).bidirectional for modality in self.modalities):
            raise ValueError("a bidirectional encoder reads what comes after the predicted second: set lookahead_s")
        return self

    def encoder_of(self, modality: str) -> EncoderConfig:
        """The encoder of one modality."""
        return self.encoders.get(modality, self.encoder)


class TrainConfig(Section):
    """All settings of a training run.

    Attributes:
        seed: seed of initial weights, data order and dropout masks.
        batch_size: windows per step (paper: 512).
        stride_s: distance in seconds between the ends of training windows; 1 uses all windows.
        epochs: the largest number of passes over the training windows. None is 40, of which the validation films choose
            one; without validation films the number must be given, since the last epoch is taken.
        patience: epochs without a better validation score before training ends; 0 never ends early.
        learning_rate: Adam's learning rate (ours).
        gradient_clip_norm: global norm above which gradients are scaled down; 0 never scales (ours).
        loss: `cross_entropy`, the paper's sigmoid cross entropy; `mse`, mean squared error; `ccc`, one minus the
            concordance correlation coefficient over the batch (ours). See `trainer.training.losses`.
        weigh_by_agreement: whether a second counts more in the network's loss the nearer its raters are to each other
            (`trainer.data.agreement`; ours). Labels must have several raters or their deviation.
        loss_seconds: the seconds of a window that the loss takes: `last` (sequence to one, the paper's recurrent
            models), `window`, every labelled second (sequence to sequence, its TCN), or `auto`: `window` if any encoder
            is a TCN, else `last`. With `window`, recurrent encoders give their state at every second too, and a second
            counts in each window that contains it; `stride_s` reduces their number.
        precision: `float32`, or a Keras mixed policy for the encoders. The fusion, the weights and all prediction stay
            in float32, and float16's losses are scaled (ours).
        selection: the pooled validation figure that chooses the epoch.
        smoothing_cutoffs_hz: cutoffs from which, besides that of `smoothing` and no filter at all, the best on the
            validation films is chosen; empty: the filter of `smoothing` stays.
        smoothing: the filter; the first candidate.
        ridge: the linear model beside the network; None leaves it out.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    seed: int = Field(2018, ge=0)
    batch_size: int = Field(512, ge=1)
    stride_s: int = Field(1, ge=1)
    epochs: int | None = Field(None, ge=1)
    patience: int = Field(10, ge=0)
    learning_rate: float = Field(3e-4, gt=0.0)
    gradient_clip_norm: float = Field(1.0, ge=0.0)
    loss: Literal["cross_entropy", "mse", "ccc"] = "cross_entropy"
    weigh_by_agreement: bool = False
    loss_seconds: Literal["auto", "last", "window"] = "auto"
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    selection: Literal["mse", "pcc", "ccc"] = "mse"
    smoothing_cutoffs_hz: tuple[CutoffHz, ...] = CUTOFFS_HZ
    smoothing: SmoothingConfig = SmoothingConfig()
    labels: LabelConfig = LabelConfig()
    model: ModelConfig = ModelConfig()
    ridge: RidgeConfig | None = RidgeConfig()

    def needed_ridge(self) -> RidgeConfig:
        """The section `ridge`, where ridge regression is asked for.

        Raises:
            ConfigurationError: if it is null.
        """
        if self.ridge is None:
            raise ConfigurationError(
                "train.ridge: is null, which leaves ridge regression out; for a ridge regression take the line away"
            )
        return self.ridge

    @property
    def most_epochs(self) -> int:
        """The largest number of passes over the training windows."""
        return self.epochs or _EPOCHS_TO_CHOOSE_FROM

    def assert_an_epoch_is_chosen(self, has_validation: bool) -> None:
        """Refuses a training whose last epoch would be taken although nobody has said which one that is.

        Raises:
            ConfigurationError: if there are no validation films and `epochs` isn't given.
        """
        if not has_validation and self.epochs is None:
            raise ConfigurationError(
                "train.epochs: must be given where no validation films choose the epoch; take it from a training with "
                "validation films (`cineaffect train --like RUN`), from a study (`--config best.yaml`), or set it"
            )

    @property
    def sequence_loss(self) -> bool:
        """Whether the loss takes every labelled second of a window."""
        kinds = {self.model.encoder_of(modality).kind for modality in self.model.modalities}
        return self.loss_seconds == "window" or (self.loss_seconds == "auto" and "tcn" in kinds)
