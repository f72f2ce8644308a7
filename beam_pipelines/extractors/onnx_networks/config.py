"""The sections of `extract.networks`: an ONNX file, and what is made of pictures, sound, faces or text for it."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from beam_pipelines.extractors.network_inputs import FaceInput, PictureInput, Resize, SoundInput, TextInput
from beam_pipelines.extractors.networks import log_mel
from beam_pipelines.foundation.configuration import Section

BatchSize = Annotated[int, Field(ge=2, le=1024)]
"""At least 2: a batch of one takes another path through the kernels, which changes the last bits."""

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Side = Annotated[int, Field(ge=1, le=4096)]
Three = tuple[float, float, float]

_BY_CONTENT = (
    *("file", "sha256", "external_sha256", "tokenizer", "tokenizer_sha256", "input", "output"),
    *("boxes", "scores", "objectness"),
)
NOT_IN_FINGERPRINTS = (*_BY_CONTENT, "batch_size")
"""Keys that change no vector, or that a description has otherwise: hashes are computed, outputs named in any case."""


class OnnxFile(Section):
    """An ONNX file, however its outputs are used.

    Attributes:
        file: the file; a relative path is looked for in the working directory, then in the directory of weights.
        sha256: its hash; None takes any file. Workers compare theirs with the driver's in either case.
        external_sha256: name -> hash of the files beside it that hold its large arrays.
        input: the name of the input; None if there is only one.
        batch_size: None for the file's own, else that of the kind.
    """

    cpu_batch_size: ClassVar[int] = 16
    gpu_batch_size: ClassVar[int] = 64

    file: str = Field(min_length=1)
    sha256: Sha256 | None = None
    external_sha256: dict[str, Sha256] = Field(default_factory=dict)
    input: str | None = None
    batch_size: BatchSize | None = None

    def preprocessing(self) -> dict[str, Any]:
        """The keys that change a result, for fingerprints; those at their default are left out."""
        return self.model_dump(
            mode="json", exclude=set(NOT_IN_FINGERPRINTS) & type(self).model_fields.keys(), exclude_defaults=True
        )

    def place(self, name: str) -> str:
        """Where the section of a network of that name stands in a configuration, for errors."""
        return f"extract.networks.{name}"

    def named_outputs(self) -> tuple[tuple[str, str], ...]:
        """The names of the outputs that are taken, each with the key that names it; empty for all that there are."""
        return ()


class OnnxConfig(OnnxFile):
    """The output that is taken, and how a vector is made of it.

    Attributes:
        output: the name of the output, or several, whose vectors are joined; None if there is only one.
        pool: how an output with more axes than [batch, D] becomes one vector: the mean or the largest value over all
            other axes (tokens, time, places), or the first or last of them.
        vector_axis: the axis of an output along which a vector lies.
    """

    output: str | tuple[str, ...] | None = None
    pool: Literal["none", "mean", "max", "first", "last"] = "none"
    vector_axis: int = -1

    @model_validator(mode="after")
    def _an_axis_that_counts(self) -> Self:
        if self.pool == "none" and self.vector_axis != -1:
            raise ValueError("vector_axis: it is the axis that `pool` keeps, and there is no `pool`")
        return self

    def named_outputs(self) -> tuple[tuple[str, str], ...]:
        """Those of `output`."""
        return tuple((name, "output") for name in several(self.output))


def several(names: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """The names that a key has, which may be one alone."""
    return (names,) if isinstance(names, str) else names or ()


class Pixels(Section):
    """How pixels become numbers.

    Attributes:
        channels: the order of colours.
        layout: the order of axes: [n, 3, height, width] or [n, height, width, 3].
        scaling: what the pixel values 0 and 255 become, before `mean` is subtracted.
        mean, deviation: (x - mean) / deviation, one number a colour in the network's order.
    """

    channels: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"
    scaling: tuple[float, float] = (0.0, 1.0)
    mean: Three = (0.0, 0.0, 0.0)
    deviation: Three = (1.0, 1.0, 1.0)

    @field_validator("deviation")
    @classmethod
    def _divisors(cls, deviation: Three) -> Three:
        if min(deviation) <= 0:
            raise ValueError("deviations must be above 0")
        return deviation


class PixelConfig(Pixels, OnnxConfig):
    """What is common to pictures and faces."""


class PictureConfig(PixelConfig):
    """A network that takes whole pictures.

    Attributes:
        size_px: side of its pictures, or their height and width.
        resize: how a picture gets there: `stretch` ignores its aspect ratio, `shorter_side_then_crop` cuts the middle
            out (torchvision, CLIP), `pad` puts black bars around it.
        shorter_side_px: of `shorter_side_then_crop`: the shorter side before cutting; None for `size_px` itself.
    """

    takes: Literal["picture"]
    size_px: Side | tuple[Side, Side]
    resize: Resize = "stretch"
    shorter_side_px: Side | None = None

    @model_validator(mode="after")
    def _a_side_that_is_cut(self) -> Self:
        if self.resize != "shorter_side_then_crop" and self.shorter_side_px is not None:
            raise ValueError(f"shorter_side_px: it belongs to `resize: shorter_side_then_crop`, not to `{self.resize}`")
        return self

    def network_input(self) -> PictureInput:
        """What is made of a second's picture."""
        height_px, width_px = (self.size_px, self.size_px) if isinstance(self.size_px, int) else self.size_px
        return PictureInput(height_px, width_px, self.resize, self.shorter_side_px)


class OnnxFaceConfig(PixelConfig):
    """A network that takes cut-out faces; `extract.face` has the detector's settings.

    Attributes:
        size_px: side of a cut-out face.
        margin: border around a face that is cut out with it, as a share of its box.
    """

    takes: Literal["face"]
    size_px: Side
    margin: float = Field(0.2, ge=0.0, le=2.0)

    def network_input(self) -> FaceInput:
        """What is made of a face."""
        return FaceInput(self.size_px, self.margin)


class SoundConfig(OnnxConfig):
    """A network that takes a waveform, mono in [-1, 1].

    Attributes:
        rate_hz: its sampling rate.
        window_s: length of the window, whose middle is that of the second.
        standardise: whether each window gets mean 0 and variance 1 first (wav2vec 2.0's feature extractor).
    """

    takes: Literal["sound"]
    rate_hz: int = Field(ge=1000, le=192_000)
    window_s: float = Field(ge=0.01, le=60.0)
    standardise: bool = False

    def network_input(self) -> SoundInput:
        """What is made of a second's sound."""
        return SoundInput(self.rate_hz, round(self.window_s * self.rate_hz), is_centred=True)


class LogMelConfig(OnnxConfig):
    """A network that takes VGGish's log-mel patches, 96 frames of the 0.96 s that start at the second.

    Attributes:
        bands: number of mel bands.
        lowest_hz, highest_hz: the range of the bands.
        log_offset: what is added to a band before its logarithm is taken.
        window_s: as `extract.audio.window_s`.
        layout: where a network with four axes has its one channel.
    """

    takes: Literal["log_mel"]
    bands: int = Field(log_mel.BANDS, ge=1, le=256)
    lowest_hz: float = Field(log_mel.LOWEST_HZ, ge=0.0)
    highest_hz: float = Field(log_mel.HIGHEST_HZ, le=log_mel.SAMPLE_RATE_HZ / 2)
    log_offset: float = Field(log_mel.LOG_OFFSET, gt=0.0)
    window_s: float = 0.96
    layout: Literal["nchw", "nhwc"] = "nchw"

    @model_validator(mode="after")
    def _a_range_of_frequencies(self) -> Self:
        if self.lowest_hz >= self.highest_hz:
            raise ValueError(f"lowest_hz: {self.lowest_hz:g} isn't below highest_hz: {self.highest_hz:g}")
        return self

    @field_validator("window_s")
    @classmethod
    def _a_window_of_96_frames(cls, value: float) -> float:
        if value not in (0.96, 0.975):
            raise ValueError("window_s must be 0.96 or 0.975")
        return value

    def network_input(self) -> SoundInput:
        """What is made of a second's sound."""
        return SoundInput(log_mel.SAMPLE_RATE_HZ, round(self.window_s * log_mel.SAMPLE_RATE_HZ))


class TextConfig(OnnxConfig):
    """A network that takes what is spoken, by the film's subtitles (`extract.subtitles`).

    Its inputs are `input_ids` (or `input`) and, if it has them, `attention_mask` and `token_type_ids`. `pool` sees only
    the text's own tokens.

    Attributes:
        tokenizer: the tokenizer's file, `tokenizer.json`; looked for as `file` is.
        tokenizer_sha256: its hash; None takes any file, as `sha256` does.
        max_tokens: the length of every text in tokens; what is beyond is cut, what is short is filled.
        window_s: the text is that of the cues on screen within so many seconds, up to the end of the second.
        normalise: whether a vector gets length 1, as networks for similarity want it.
    """

    takes: Literal["text"]
    tokenizer: str = Field(min_length=1)
    tokenizer_sha256: Sha256 | None = None
    max_tokens: int = Field(128, ge=2, le=8192)
    window_s: int = Field(1, ge=1, le=600)
    normalise: bool = False

    def network_input(self) -> TextInput:
        """What is made of a second's text."""
        return TextInput(self.window_s, self.max_tokens)


Configured = PictureConfig | OnnxFaceConfig | SoundConfig | LogMelConfig | TextConfig
"""The sections that are whole."""
