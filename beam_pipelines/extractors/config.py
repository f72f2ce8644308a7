"""The `extract` section of a configuration.

What decides the features is part of each modality's fingerprint; batch sizes, threads and `device` only decide how fast
they come, and perhaps a vector's last bits.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from beam_pipelines.extractors.networks.precision import FULL, Precision
from beam_pipelines.films.catalogue import MIN_LINES_PX, VIDEO_SUFFIXES
from beam_pipelines.foundation.configuration import Section
from beam_pipelines.media.video.decode_mode import DecodeMode

BatchSize = Annotated[int, Field(ge=2, le=1024)]
"""At least 2: a batch of one takes another path through the kernels and differs in the last bits."""

Suffix = Annotated[str, Field(pattern=r"^\.[a-z0-9]+$")]
"""In small letters; the suffix of a file's name may be in any."""

SMALLEST_FACE_PX = 12
"""What MTCNN's first network sees at once, in pixels."""

Probability = Annotated[float, Field(gt=0.0, lt=1.0)]


class NetworkConfig(Section):
    """Which weights a network runs with.

    Attributes:
        weights: a name of the weights table (`cineaffect weights list`), or `untrained` for random weights, which are
            for demonstrations and tests only and are named in every record.
        seed: of the untrained weights.
        batch_size: the fixed batch the network runs with; without one `cpu_batch_size` or `gpu_batch_size`.
        precision: what the network computes in; vectors are float32 with any. Part of the fingerprint.
    """

    cpu_batch_size: ClassVar[int] = 16
    gpu_batch_size: ClassVar[int] = 64

    weights: str
    seed: int = Field(0, ge=0)
    batch_size: BatchSize | None = None
    precision: Precision = FULL

    def rows_a_batch(self, gpu: bool) -> int:
        """The batch size on a CPU or a GPU."""
        return self.batch_size or (self.gpu_batch_size if gpu else self.cpu_batch_size)


class ImageConfig(NetworkConfig):
    """InceptionV3 on the whole picture (paper: Inception-Image)."""

    weights: str = "inception_v3_imagenet"


class VGG16Config(NetworkConfig):
    """VGG16's `fc1` on the whole picture (paper: the baseline)."""

    weights: str = "vgg16_imagenet"


class AudioConfig(NetworkConfig):
    """VGGish on the sound that starts at each second (paper: AudioSet).

    `postprocess` is the form in which AudioSet and YouTube-8M publish these vectors: whitened by PCA (the table's
    `vggish_pca`), clipped to [-2, 2], in 8 bits.

    `window_s` is contract 1's 0.96 s. The last of VGGish's 96 frames reaches 15 ms further; with 0.975 it sees those
    samples instead of zeros, as VGGish's own code does on a whole waveform.
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
        detect_height_px: the picture is shrunk to this many lines before detection; smaller pictures stay as they are.
            At 360 as many faces are found as at 480 or 720, for three quarters of the time (benchmarks/extraction.md).
        smallest_face: smallest face that is looked for, as a share of the picture's height. It decides most of what
            detection costs; MTCNN can't see faces of less than 12 of the shrunk picture's lines.
        thresholds: of MTCNN's three stages.
        pyramid_factor: ratio of MTCNN's picture sizes.
        margin: what is added around a face before it is cut out, as a share of its box.
        detector_batch_size: pictures the detector runs on at once.
    """

    weights: str = "facenet_vggface2"
    detect_height_px: int = Field(360, ge=48, le=4320)
    smallest_face: float = Field(0.042, gt=0.0, le=1.0)
    thresholds: tuple[Probability, Probability, Probability] = (0.6, 0.7, 0.8)
    pyramid_factor: Probability = 0.709
    margin: float = Field(0.2, ge=0.0, le=2.0)
    detector_batch_size: BatchSize = 8

    @model_validator(mode="after")
    def _faces_that_can_be_seen(self) -> FaceConfig:
        needed_px = math.ceil(SMALLEST_FACE_PX / self.smallest_face)
        if self.detect_height_px < needed_px:
            raise ValueError(
                f"faces of {self.smallest_face:g} of the height can't be seen in {self.detect_height_px} lines: "
                f"detect_height_px must be at least {needed_px}, or smallest_face larger"
            )
        return self


class DecodeConfig(Section):
    """Which frame stands for a second, which is part of the fingerprints, and how much of a film may be lost.

    Attributes:
        decode_mode: `exact`: the frame on the screen, bit-identical to decoding everything. `approximate`: the one that
            is cheapest to decode among those that are at most `approximate_age_s` older than the second. `keyframes`:
            the last key frame, however old it is. A film whose stream allows no plan is decoded exactly.
        approximate_age_s: bound on a frame's age in the mode `approximate`; the others don't look at it.
        max_damaged_share: a film fails (decode/too_damaged) when more than this share of its packets and frames, of
            pictures or of sound, can't be decoded; below it they are counted in the record.
    """

    decode_mode: Literal["exact", "approximate", "keyframes"] = "exact"
    approximate_age_s: float = Field(0.5, gt=0.0, le=10.0)
    max_damaged_share: float = Field(0.2, ge=0.0, le=1.0)

    def mode(self) -> DecodeMode:
        """The mode as media takes it."""
        age_s = Fraction(str(self.approximate_age_s)) if self.decode_mode == "approximate" else Fraction(0)
        return DecodeMode(self.decode_mode, age_s)

    def describe(self) -> dict[str, Any]:
        """What a fingerprint says of the mode: nothing that doesn't change a picture."""
        described: dict[str, Any] = {"decode_mode": self.decode_mode}
        if self.decode_mode == "approximate":
            described["approximate_age_s"] = self.approximate_age_s
        return described


class LimitsConfig(Section):
    """What a film may claim of itself before it is refused unread, and what decoding it may take.

    Attributes:
        decoder_memory_mb: data of the process that decodes; a film that needs more fails (decode/out_of_memory).
    """

    max_duration_s: int = Field(6 * 3600, gt=0)
    max_width_px: int = Field(8192, gt=0)
    max_height_px: int = Field(8192, gt=0)
    max_pixels: int = Field(8192 * 4320, gt=0)
    decoder_memory_mb: int = Field(4096, ge=256)


class DeviceConfig(Section):
    """How the networks use a GPU or a CPU; what is not set is as suits the one that TensorFlow sees.

    Nothing of it is part of a fingerprint. No bit of a feature depends on which films share its batches. The last bits
    may be others than with batches of the film's own, and with XLA.

    Attributes:
        share_batches: films that are extracted by several threads of one process fill batches together; without it on a
            GPU only. A local job then runs as one process with `--workers` threads, a film each.
        detect_on_gpu: find faces on the GPU too, where there is one, and leave little more than decoding to the
            processors (benchmarks/extraction.md). Ours: off, for it was never tried on a GPU with TensorFlow.
        share_wait_s: how long the last rows of a film wait for other films to fill their batch.
        xla: compile the networks with XLA (not the face detector). Ours: off, for in float32 it makes them 1.2 times as
            fast on an H100, which waits for the processors in any case (benchmarks/extraction.md).
    """

    share_batches: bool | None = None
    detect_on_gpu: bool = False
    share_wait_s: float = Field(0.5, ge=0.0, le=60.0)
    xla: bool = False

    def shares_batches(self, gpu: bool) -> bool:
        """Whether films of one process share batches on a CPU or a GPU."""
        return gpu if self.share_batches is None else self.share_batches


class ExtractConfig(Section):
    """Everything the extract job depends on.

    Attributes:
        modalities: which features are extracted; those a record holds already are kept. `vgg16` and `opensmile_is10`
            are the paper's baseline. openSMILE is an optional extra, and its licence is for research only: neither it
            nor features extracted with it may be used in a product.
        encoding: how the networks' vectors are held in records, and to how many bits they are rounded; openSMILE's
            values are always float32, since some are beyond float16, and those of `audio.postprocess: youtube8m` bytes.
        suffixes: what counts as a film when a folder is listed.
        min_lines_px: of several renditions of a film, the smallest with at least so many lines is taken.
        segment_s: films longer than this are extracted in segments of so many seconds, by several workers; a multiple
            of the 300 s after which batches and the sound's decoders start anew. No feature depends on it.
        decode_deadline_s: how long decoding may make no progress before its film fails (decode/timeout).
        threads_per_worker: compute threads within an operation; one process a core, or one thread a film where films
            share batches, is faster than many threads for one film.
        failure_threshold: share of failed films above which the run as a whole fails (exit code 4 instead of 3).
    """

    modalities: tuple[Literal["image", "audio", "face", "vgg16", "opensmile_is10"], ...] = Field(
        ("image", "audio", "face"), min_length=1
    )
    encoding: Literal["float32", "float16"] = "float32"
    image: ImageConfig = ImageConfig()
    vgg16: VGG16Config = VGG16Config()
    audio: AudioConfig = AudioConfig()
    face: FaceConfig = FaceConfig()
    decode: DecodeConfig = DecodeConfig()
    device: DeviceConfig = DeviceConfig()
    limits: LimitsConfig = LimitsConfig()
    suffixes: tuple[Suffix, ...] = Field(VIDEO_SUFFIXES, min_length=1)
    min_lines_px: int = Field(MIN_LINES_PX, ge=1)
    segment_s: int = Field(900, ge=300, multiple_of=300)
    decode_deadline_s: float = Field(120.0, ge=1.0)
    threads_per_worker: int = Field(1, ge=1)
    failure_threshold: float = Field(0.5, ge=0.0, le=1.0)
