"""The `train` section of a configuration.

What the paper gives (GRU, 60 s, batch 512, Adam, sigmoid cross entropy) is the default here. What it leaves open
(number of experts, dropout rate, L2 weight, learning rate, where batch normalisation sits, …) is a key of its own;
those defaults are ours.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from beam_pipelines.configuration import Section
from beam_pipelines.smoothing import SmoothingConfig

Share = Annotated[float, Field(ge=0.0, lt=1.0)]


class EncoderConfig(Section):
    """The recurrent model of one modality (paper, Temporal Models: 32 to 256 units, 1 to 2 layers, each its own)."""

    kind: Literal["gru"] = "gru"
    units: int = Field(128, ge=1, le=4096)
    layers: int = Field(1, ge=1, le=2)


class ModelConfig(Section):
    """The network: one encoder a modality, concatenation, context gate, mixture of experts, context gate.

    Attributes:
        modalities: which features it takes, in this order of concatenation.
        window_s: seconds a window, the last of which is predicted (paper: 60 is best).
        encoder: the encoder of every modality that `encoders` doesn't name.
        encoders: modality -> its own encoder.
        presence_input: whether each step's presence flags are given to the encoder beside its features (ours).
        experts: logistic experts a target (ours; YouTube-8M's default is 2).
        dropout: rate on the concatenated encoder states (ours); 0 is none.
        feature_dropout: rate on the encoders' inputs, one mask a window (ours); 0 is none.
        batch_normalization: on the concatenated states and in both context gates (place: ours).
        l2: weight of the squared norm of all kernels (ours).
    """

    modalities: tuple[str, ...] = ("image", "audio", "face")
    window_s: int = Field(60, ge=1, le=3600)
    encoder: EncoderConfig = EncoderConfig()
    encoders: dict[str, EncoderConfig] = Field(default_factory=dict)
    presence_input: bool = True
    experts: int = Field(2, ge=1, le=64)
    dropout: Share = 0.0
    feature_dropout: Share = 0.0
    batch_normalization: bool = False
    l2: float = Field(1e-6, ge=0.0)

    @model_validator(mode="after")
    def _encoders_have_modalities(self) -> ModelConfig:
        if len(set(self.modalities)) != len(self.modalities) or not self.modalities:
            raise ValueError(f"modalities must be a list without repetition, not {list(self.modalities)}")
        unknown = sorted(set(self.encoders) - set(self.modalities))
        if unknown:
            raise ValueError(f"encoders names {unknown}, which modalities ({list(self.modalities)}) does not")
        return self

    def encoder_of(self, modality: str) -> EncoderConfig:
        """The encoder of one modality."""
        return self.encoders.get(modality, self.encoder)


class LabelConfig(Section):
    """How label files are read: their layout, their range (asserted on load) and the time of their first row."""

    layout: Literal["mediaeval2018"] = "mediaeval2018"
    minimum: float = -1.0
    maximum: float = 1.0
    first_time_s: float | None = None


class TrainConfig(Section):
    """Everything a training run depends on.

    Attributes:
        seed: initial weights, data order and dropout masks follow from it.
        batch_size: windows a step (paper: 512).
        stride_s: every how many seconds a training window ends; 1 uses them all.
        epochs: passes over the training windows at most.
        patience: epochs without a better validation score before training ends; 0 never ends early.
        learning_rate: of Adam (ours).
        gradient_clip_norm: global norm above which gradients are scaled down; 0 never (ours).
        selection: the pooled validation figure that chooses the epoch.
        smoothing_cutoffs_hz: cutoffs among which the best on the validation films is chosen, beside `smoothing` itself.
        smoothing: the filter, its cutoff being the first candidate.
    """

    seed: int = 2018
    batch_size: int = Field(512, ge=1)
    stride_s: int = Field(1, ge=1)
    epochs: int = Field(40, ge=1)
    patience: int = Field(8, ge=0)
    learning_rate: float = Field(1e-3, gt=0.0)
    gradient_clip_norm: float = Field(1.0, ge=0.0)
    selection: Literal["mse", "pcc", "ccc"] = "mse"
    smoothing_cutoffs_hz: tuple[float, ...] = (0.02, 0.03, 0.05, 0.08, 0.12)
    smoothing: SmoothingConfig = SmoothingConfig()
    labels: LabelConfig = LabelConfig()
    model: ModelConfig = ModelConfig()
