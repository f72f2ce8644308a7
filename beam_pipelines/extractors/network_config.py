"""The sections of the networks that the project has itself: weights, precision, and each one's own settings."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from beam_pipelines.extractors.networks.precision import BFLOAT16, FULL, Precision
from beam_pipelines.extractors.onnx_networks.config import BatchSize
from beam_pipelines.extractors.onnx_networks.detector_config import DetectorConfig
from beam_pipelines.foundation.configuration import Section

SMALLEST_FACE_PX = 12
"""The side of the field of MTCNN's first network, in pixels."""

Probability = Annotated[float, Field(gt=0.0, lt=1.0)]


def _kind_of(detector: Any) -> str | None:
    """Which of both a detector is: a name, or the keys of a file."""
    return "file" if isinstance(detector, (dict, DetectorConfig)) else "mtcnn" if detector == "mtcnn" else None


Detector = Annotated[
    Annotated[Literal["mtcnn"], Tag("mtcnn")] | Annotated[DetectorConfig, Tag("file")],
    Discriminator(
        _kind_of, custom_error_type="detector", custom_error_message="must be mtcnn, or the keys of an ONNX file"
    ),
]


class NetworkConfig(Section):
    """The weights, batch size and precision of a network.

    Attributes:
        weights: a name in the weights table (`cineaffect weights list`), a file of one's own for the same network, or
            `untrained` for random weights. These are for demos and tests only, and every record names them.
        seed: seed of untrained weights.
        batch_size: the network's fixed batch; None for `cpu_batch_size` or `gpu_batch_size`.
        precision: the type in which the network computes; vectors are always float32. Part of the fingerprint.
            `bfloat16` is for processors that multiply such numbers (AVX-512 BF16, AMX), by OpenVINO, an optional extra.
            The mixed ones are Keras's, for GPUs.
    """

    cpu_batch_size: ClassVar[int] = 16
    gpu_batch_size: ClassVar[int] = 64

    weights: str
    seed: int = Field(0, ge=0)
    batch_size: BatchSize | None = None
    precision: Precision = FULL

    def rows_a_batch(self, gpu: bool) -> int:
        """The batch size on a CPU or a GPU."""
        on_gpu = gpu and self.precision != BFLOAT16
        return self.batch_size or (self.gpu_batch_size if on_gpu else self.cpu_batch_size)


class RegisteredConfig(NetworkConfig):
    """A network of the registry that has no section of its own; empty `weights` are its published ones."""

    weights: str = ""


class ImageConfig(NetworkConfig):
    """InceptionV3 on the whole picture (paper: Inception-Image).

    Attributes:
        scaling: what the pixel values 0 and 255 become, for `weights` of one's own: an `.h5` file of Keras 2, or a
            `.weights.h5` file of Keras 3. The published weights want [-1, 1].
    """

    # Convolutions are as quick as with 16; a film and each 300 s of it end with fewer empty rows.
    cpu_batch_size: ClassVar[int] = 4

    weights: str = "inception_v3_imagenet"
    scaling: tuple[float, float] = (-1.0, 1.0)

    @model_validator(mode="after")
    def _as_it_was_trained(self) -> ImageConfig:
        if self.scaling not in ((-1.0, 1.0), (0.0, 1.0)):
            raise ValueError("scaling must be [-1, 1] or [0, 1]")
        if self.scaling != (-1.0, 1.0) and not self.weights.endswith(".h5"):
            raise ValueError(f"scaling: '{self.weights}' takes [-1, 1]; another one is for weights of your own")
        return self


class VGG16Config(NetworkConfig):
    """VGG16's `fc1` on the whole picture (paper: the baseline)."""

    weights: str = "vgg16_imagenet"


class AudioConfig(NetworkConfig):
    """VGGish on the sound that starts at each second (paper: AudioSet).

    `postprocess: youtube8m` is the form in which AudioSet and YouTube-8M publish these vectors: whitened by PCA (the
    table's `vggish_pca`), clipped to [-2, 2], in 8 bits.

    `window_s` is contract 1's 0.96 s. The last of VGGish's 96 frames reaches 15 ms further. With 0.975 it gets those
    samples instead of zeros, as in VGGish's own code on a whole waveform.
    """

    weights: str = "vggish_audioset"
    window_s: float = 0.96
    postprocess: Literal["none", "youtube8m"] = "none"

    @field_validator("window_s")
    @classmethod
    def _a_window_vggish_takes(cls, value: float) -> float:
        if value not in (0.96, 0.975):
            raise ValueError("window_s must be 0.96 or 0.975")
        return value


class FaceConfig(NetworkConfig):
    """MTCNN and Inception-ResNet-v1 on the two largest faces (paper: Inception-Face, a network never published).

    Attributes:
        detector: what finds the faces: MTCNN, or an ONNX file.
        detect_height_px: larger pictures are shrunk to this many lines for MTCNN. At 360 it finds as many faces as at
            480 or 720, in three quarters of the time (benchmarks/extraction.md).
        smallest_face: the smallest face that MTCNN looks for, as a share of the picture's height. It decides most of
            its cost. It can't see faces of less than 12 of the shrunk picture's lines.
        thresholds: thresholds of MTCNN's three stages.
        pyramid_factor: ratio of MTCNN's picture sizes.
        margin: border around a face that is cut out with it, as a share of its box.
        detector_batch_size: pictures that the detector gets at once.
    """

    cpu_batch_size: ClassVar[int] = ImageConfig.cpu_batch_size

    weights: str = "facenet_vggface2"
    detector: Detector = "mtcnn"
    detect_height_px: int = Field(360, ge=48, le=4320)
    smallest_face: float = Field(0.042, gt=0.0, le=1.0)
    thresholds: tuple[Probability, Probability, Probability] = (0.6, 0.7, 0.8)
    pyramid_factor: Probability = 0.709
    margin: float = Field(0.2, ge=0.0, le=2.0)
    detector_batch_size: BatchSize = 8

    @model_validator(mode="after")
    def _settings_of_the_detector(self) -> FaceConfig:
        if isinstance(self.detector, DetectorConfig):
            for key in ("detect_height_px", "smallest_face", "thresholds", "pyramid_factor"):
                if getattr(self, key) != type(self).model_fields[key].default:
                    raise ValueError(f"{key}: it belongs to MTCNN, and `detector` names a file")
            return self
        needed_px = math.ceil(SMALLEST_FACE_PX / self.smallest_face)
        if self.detect_height_px < needed_px:
            raise ValueError(
                f"faces of {self.smallest_face:g} of the height can't be seen in {self.detect_height_px} lines: "
                f"detect_height_px must be at least {needed_px}, or smallest_face larger"
            )
        return self

    @property
    def most_lines(self) -> int | None:
        """The lines to which larger pictures are shrunk for the detector; None if it does that itself."""
        return None if isinstance(self.detector, DetectorConfig) else self.detect_height_px
