"""The `extract` section of a configuration.

Settings that change the features are part of each modality's fingerprint. Batch sizes, threads and `device` only change
the speed, and perhaps a vector's last bits.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from beam_pipelines.contracts.film_warnings import SENTENCES
from beam_pipelines.extractors.networks.precision import FULL, Precision
from beam_pipelines.films.catalogue import MIN_LINES_PX, VIDEO_SUFFIXES
from beam_pipelines.foundation.configuration import Section
from beam_pipelines.foundation.errors import nearest
from beam_pipelines.media.video.decode_mode import DecodeMode

BatchSize = Annotated[int, Field(ge=2, le=1024)]
"""At least 2: a batch of one takes another path through the kernels, which changes the last bits."""

Suffix = Annotated[str, Field(pattern=r"^\.[a-z0-9]+$")]
"""A suffix in small letters; files may have it in capitals too."""

SMALLEST_FACE_PX = 12
"""The side of the field of MTCNN's first network, in pixels."""

Probability = Annotated[float, Field(gt=0.0, lt=1.0)]


class NetworkConfig(Section):
    """The weights, batch size and precision of a network.

    Attributes:
        weights: a name in the weights table (`cineaffect weights list`), or `untrained` for random weights. These are
            for demos and tests only, and every record names them.
        seed: seed of untrained weights.
        batch_size: the network's fixed batch; None for `cpu_batch_size` or `gpu_batch_size`.
        precision: the type in which the network computes; vectors are always float32. Part of the fingerprint.
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
        detect_height_px: larger pictures are shrunk to this many lines before detection. At 360 it finds as many faces
            as at 480 or 720, in three quarters of the time (benchmarks/extraction.md).
        smallest_face: the smallest face to find, as a share of the picture's height. It decides most of the cost of
            detection. MTCNN can't see faces of less than 12 of the shrunk picture's lines.
        thresholds: thresholds of MTCNN's three stages.
        pyramid_factor: ratio of MTCNN's picture sizes.
        margin: border around a face that is cut out with it, as a share of its box.
        detector_batch_size: pictures per batch of the detector.
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
    """Which frame represents a second (part of the fingerprints), and how much of a film may be damaged.

    Attributes:
        decode_mode: `exact`: the frame on screen, bit-identical to decoding everything. `approximate`: the frame that
            is cheapest to decode among those that are at most `approximate_age_s` older than the second. `keyframes`:
            the last key frame, however old it is. A film whose stream allows no plan is decoded exactly.
        approximate_age_s: bound on a frame's age in the mode `approximate`; other modes ignore it.
        max_damaged_share: a film fails (decode/too_damaged) if more than this share of its packets and frames, of
            pictures or of sound, can't be decoded. Below it, the record counts them.
    """

    decode_mode: Literal["exact", "approximate", "keyframes"] = "exact"
    approximate_age_s: float = Field(0.5, gt=0.0, le=10.0)
    max_damaged_share: float = Field(0.2, ge=0.0, le=1.0)

    def mode(self) -> DecodeMode:
        """The mode as media takes it."""
        age_s = Fraction(str(self.approximate_age_s)) if self.decode_mode == "approximate" else Fraction(0)
        return DecodeMode(self.decode_mode, age_s)

    def describe(self) -> dict[str, Any]:
        """The mode as fingerprints name it: only settings that change a picture."""
        described: dict[str, Any] = {"decode_mode": self.decode_mode}
        if self.decode_mode == "approximate":
            described["approximate_age_s"] = self.approximate_age_s
        return described


class LimitsConfig(Section):
    """The largest size and length of a film, beyond which it is refused unread, and the decoder's memory.

    Attributes:
        sound_search_mb: how far a transport or program stream is read to find its sound, if its beginning shows none;
            at most a quarter of `decoder_memory_mb`, since it is held in memory meanwhile.
        decoder_memory_mb: data of the decoding process, in MB; a film that needs more fails (decode/out_of_memory).
    """

    max_duration_s: int = Field(6 * 3600, gt=0)
    max_width_px: int = Field(8192, gt=0)
    max_height_px: int = Field(8192, gt=0)
    max_pixels: int = Field(8192 * 4320, gt=0)
    sound_search_mb: int = Field(256, ge=0)
    decoder_memory_mb: int = Field(4096, ge=256)


class DeviceConfig(Section):
    """How the networks use a GPU or a CPU; the defaults suit the one that TensorFlow sees.

    None of these settings is part of a fingerprint. Films that share batches agree to 1e-5 with films that don't, and
    XLA may change the last bits.

    Attributes:
        share_batches: whether films in several threads of one process fill batches together; None does so on a GPU
            only. A local job then runs as one process with `--workers` threads, one film each.
        detect_on_gpu: whether faces are detected on the GPU too, if there is one; little more than decoding then stays
            on the processors (benchmarks/extraction.md). Ours: off, since it was never tried on a GPU with TensorFlow.
        share_wait_s: how many seconds the last rows of a film wait for other films to fill their batch.
        xla: whether the networks (not the face detector) are compiled with XLA. Ours: off, since in float32 it makes
            them 1.2 times as fast on an H100, which waits for the processors anyway (benchmarks/extraction.md).
    """

    share_batches: bool | None = None
    detect_on_gpu: bool = False
    share_wait_s: float = Field(0.5, ge=0.0, le=60.0)
    xla: bool = False

    def shares_batches(self, gpu: bool) -> bool:
        """Whether films of one process share batches on a CPU or a GPU."""
        return gpu if self.share_batches is None else self.share_batches


class ExtractConfig(Section):
    """All settings of the extract job.

    Attributes:
        modalities: the features to extract; those that a record already holds are kept. `vgg16` and `opensmile_is10`
            are the paper's baseline. openSMILE is an optional extra, and its licence is for research only: neither it
            nor features extracted with it may be used in a product.
        encoding: the type of the networks' vectors in records, to which they are rounded. openSMILE's values are always
            float32, since some exceed float16; those of `audio.postprocess: youtube8m` are bytes.
        sound_track: the sound track to take: the index of its stream in the file (as `--dry-run` and ffprobe show it),
            its language (eng) or its title. A film without such a track has the one that rules choose, and a warning.
            A track of another name is extracted again; its features have the same fingerprint.
        crop_bars: whether black bars are cut off the pictures before image features and faces are made of them. They
            are found once a film, over many of its seconds. Part of the fingerprints.
        suffixes: the suffixes of films in a folder.
        min_lines_px: of several renditions of a film, the smallest with at least so many lines is taken.
        segment_s: films longer than this are extracted in segments of so many seconds, by several workers; a multiple
            of the 300 s after which batches and the sound's decoders start again. No feature depends on it.
        decode_deadline_s: how many seconds decoding may make no progress before its film fails (decode/timeout).
        threads_per_worker: compute threads within an operation. One process per core, or one thread per film if films
            share batches, is faster than many threads for one film.
        refuse: the codes of warnings (`contracts.film_warnings`) that make a film fail.
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
    sound_track: Annotated[int, Field(ge=0)] | Annotated[str, Field(min_length=1)] | None = None
    crop_bars: bool = False
    suffixes: tuple[Suffix, ...] = Field(VIDEO_SUFFIXES, min_length=1)
    min_lines_px: int = Field(MIN_LINES_PX, ge=1)
    segment_s: int = Field(900, ge=300, multiple_of=300)
    decode_deadline_s: float = Field(120.0, ge=1.0)
    threads_per_worker: int = Field(1, ge=1)
    refuse: tuple[str, ...] = ()
    failure_threshold: float = Field(0.5, ge=0.0, le=1.0)

    @field_validator("sound_track", mode="before")
    @classmethod
    def _no_truth_value(cls, track: Any) -> Any:
        if isinstance(track, bool):
            raise ValueError("YAML takes no, yes, on and off without quotes for truth values; write 'no' in quotes")
        return track

    @field_validator("refuse")
    @classmethod
    def _codes_of_warnings(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        for code in codes:
            if code not in SENTENCES:
                raise ValueError(f"no warning has the code '{code}'{nearest(code, SENTENCES)}")
        return codes
