"""The `extract` section of a configuration.

What decides the features is part of each modality's fingerprint; batch sizes and threads only decide how fast they
come.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from beam_pipelines.catalogue import VIDEO_SUFFIXES
from beam_pipelines.configuration import Section

BatchSize = Annotated[int, Field(ge=2, le=1024)]
"""At least 2: a batch of one takes another path through the kernels and differs in the last bits."""

Probability = Annotated[float, Field(gt=0.0, lt=1.0)]


class NetworkConfig(Section):
    """Which weights a network runs with.

    Attributes:
        weights: a name of the weights table (`cineaffect weights list`), or `untrained` for random weights, which are
            for demonstrations and tests only and are named in every record.
        seed: of the untrained weights.
        batch_size: the fixed batch the network runs with.
    """

    weights: str
    seed: int = Field(0, ge=0)
    batch_size: BatchSize = 16


class ImageConfig(NetworkConfig):
    """InceptionV3 on the whole picture (paper: Inception-Image)."""

    weights: str = "inception_v3_imagenet"


class AudioConfig(NetworkConfig):
    """VGGish on the sound that starts at each second (paper: AudioSet).

    `window_s` is contract 1's 0.96 s. The last of VGGish's 96 frames reaches 15 ms further; with 0.975 it sees those
    samples instead of zeros, as VGGish's own code does on a whole waveform.
    """

    weights: str = "vggish_audioset"
    window_s: float = 0.96

    @field_validator("window_s")
    @classmethod
    def _a_window_vggish_takes(cls, value: float) -> float:
        if value not in (0.96, 0.975):
            raise ValueError("window_s must be 0.96 or 0.975")
        return value


class FaceConfig(NetworkConfig):
    """MTCNN and Inception-ResNet-v1 on the two largest faces (paper: Inception-Face, a network never published).

    Attributes:
        detect_height_px: the picture is shrunk to this many lines before detection; smaller pictures stay as they are.
        smallest_face_px: of the shrunk picture.
        thresholds: of MTCNN's three stages.
        pyramid_factor: ratio of MTCNN's picture sizes.
        margin: what is added around a face before it is cut out, as a share of its box.
        detector_batch_size: pictures the detector runs on at once.
    """

    weights: str = "facenet_vggface2"
    detect_height_px: int = Field(480, ge=48, le=4320)
    smallest_face_px: int = Field(20, ge=12)
    thresholds: tuple[Probability, Probability, Probability] = (0.6, 0.7, 0.8)
    pyramid_factor: Probability = 0.709
    margin: float = Field(0.2, ge=0.0, le=2.0)
    detector_batch_size: BatchSize = 8


class LimitsConfig(Section):
    """What a film may claim of itself before it is refused unread."""

    max_duration_s: int = Field(6 * 3600, gt=0)
    max_width_px: int = Field(8192, gt=0)
    max_height_px: int = Field(8192, gt=0)
    max_pixels: int = Field(8192 * 4320, gt=0)


class ExtractConfig(Section):
    """Everything the extract job depends on.

    Attributes:
        modalities: which features are extracted; those a record holds already are kept.
        suffixes: what counts as a film when a folder is listed.
        threads_per_worker: compute threads of each worker process; one process a core is faster than many threads.
        failure_threshold: share of failed films above which the run as a whole fails (exit code 4 instead of 3).
    """

    modalities: tuple[Literal["image", "audio", "face"], ...] = ("image", "audio", "face")
    image: ImageConfig = ImageConfig()
    audio: AudioConfig = AudioConfig()
    face: FaceConfig = FaceConfig()
    limits: LimitsConfig = LimitsConfig()
    suffixes: tuple[str, ...] = VIDEO_SUFFIXES
    threads_per_worker: int = Field(1, ge=1)
    failure_threshold: float = Field(0.5, ge=0.0, le=1.0)
