"""The `extract` section of a configuration.

Settings that change the features are part of each modality's fingerprint. Batch sizes, threads and `device` only change
the speed, and perhaps a vector's last bits.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from beam_pipelines.contracts.film_warnings import OF_SCORE, SENTENCES
from beam_pipelines.contracts.records.feature_track import PRESENT_SUFFIX
from beam_pipelines.extractors.network_config import (
    AudioConfig as AudioConfig,
    FaceConfig as FaceConfig,
    ImageConfig as ImageConfig,
    NetworkConfig as NetworkConfig,
    RegisteredConfig as RegisteredConfig,
    VGG16Config as VGG16Config,
)
from beam_pipelines.extractors.networks.engine import Engine
from beam_pipelines.extractors.onnx_networks.config import (
    LogMelConfig,
    OnnxConfig,
    OnnxFaceConfig,
    PictureConfig,
    SoundConfig,
    TextConfig,
)
from beam_pipelines.extractors.registry import registered_names
from beam_pipelines.extractors.signals.columns import COLUMNS
from beam_pipelines.extractors.speech_text import SubtitlesConfig
from beam_pipelines.films.catalogue import MIN_LINES_PX, VIDEO_SUFFIXES
from beam_pipelines.foundation.configuration import Section
from beam_pipelines.foundation.errors import nearest
from beam_pipelines.media.video.decode_mode import DecodeDevice, DecodeMode

Suffix = Annotated[str, Field(pattern=r"^\.[a-z0-9]+$")]
"""A suffix in small letters; files may have it in capitals too."""

MODALITY_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
OTHER_MODALITIES = ("opensmile_is10", "speech_text", *COLUMNS)
"""Modalities that no network makes."""

_RESERVED = ("rgb", "cineaffect", "example")
"""Names of other keys of a record."""


def _kind_of(section: Any) -> str | None:
    """Which section an entry of `networks` is: what it `takes`, or `registered` if it has no file."""
    values = section if isinstance(section, dict) else vars(section) if isinstance(section, Section) else {}
    takes = values.get("takes")
    return str(takes) if takes is not None else None if "file" in values else "registered"


NETWORK_KINDS = ("picture", "face", "sound", "log_mel", "text")
NetworkSection = Annotated[
    Annotated[PictureConfig, Tag("picture")]
    | Annotated[OnnxFaceConfig, Tag("face")]
    | Annotated[SoundConfig, Tag("sound")]
    | Annotated[LogMelConfig, Tag("log_mel")]
    | Annotated[TextConfig, Tag("text")]
    | Annotated[RegisteredConfig, Tag("registered")],
    Discriminator(
        _kind_of, custom_error_type="takes", custom_error_message=f"'takes' must be one of {', '.join(NETWORK_KINDS)}"
    ),
]
"""An entry of `extract.networks`: an ONNX file by what it takes, or the settings of a registered network."""


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
        network_memory_mb: data of the process that tries the first batch of each of `networks`, in MB.
    """

    max_duration_s: int = Field(6 * 3600, gt=0)
    max_width_px: int = Field(8192, gt=0)
    max_height_px: int = Field(8192, gt=0)
    max_pixels: int = Field(8192 * 4320, gt=0)
    sound_search_mb: int = Field(256, ge=0)
    decoder_memory_mb: int = Field(4096, ge=256)
    network_memory_mb: int = Field(8192, ge=256)


class DeviceConfig(Section):
    """How the networks use a GPU or a CPU; the defaults suit the one that is there.

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
        decode: what decodes pictures: `cpu`; `gpu`, an NVIDIA GPU (NVDEC) for H.264 and HEVC in 4:2:0 and 8 bits, the
            processor for all else; `auto`, the GPU if one is visible. Ours: cpu, since decoding was never tried on a
            GPU. It is in no fingerprint: both codecs define every bit of an intact stream.
    """

    share_batches: bool | None = None
    detect_on_gpu: bool = False
    share_wait_s: float = Field(0.5, ge=0.0, le=60.0)
    xla: bool = False
    decode: DecodeDevice = "cpu"

    def shares_batches(self, gpu: bool) -> bool:
        """Whether films of one process share batches on a CPU or a GPU."""
        return gpu if self.share_batches is None else self.share_batches


class ExtractConfig(Section):
    """All settings of the extract job.

    Attributes:
        modalities: the features to extract; those that a record already holds are kept. `vgg16` and `opensmile_is10`
            are the paper's baseline. openSMILE is an optional extra, and its licence is for research only: neither it
            nor features extracted with it may be used in a product. `picture_signals` and `sound_signals` need no
            network and no weights; docs/formats.md has their columns. Others are the names of `networks` and those that
            the registry has.
        networks: name -> an ONNX file as a modality, or the settings of a registered network without a section.
        engine: what runs the built-in networks and the face detector: `onnxruntime`, or `tensorflow`, which is slower
            on processors. In any case TensorFlow computes mixed precisions and XLA, and runs on a GPU that ONNX Runtime
            doesn't see, and OpenVINO computes `bfloat16`. Vectors of both agree to 1e-5 of their largest value, so this
            is part of no fingerprint.
        encoding: the type of the networks' vectors in records, to which they are rounded. openSMILE's values and the
            signals are always float32, since some exceed float16; those of `audio.postprocess: youtube8m` are bytes.
        sound_track: the sound track to take: the index of its stream in the file (as `--dry-run` and ffprobe show it),
            its language (eng) or its title. A film without such a track has the one that rules choose, and a warning.
            A track of another name is extracted again; its features have the same fingerprint.
        subtitles: the subtitles that `speech_text` and `networks` that take text read.
        crop_bars: whether black bars are cut off the pictures before image features and faces are made of them. They
            are found once a film, over many of its seconds. Part of the fingerprints.
        suffixes: the suffixes of films in a folder.
        min_lines_px: of several renditions of a film, the smallest with at least so many lines is taken.
        segment_s: films longer than this are extracted in segments of so many seconds, by several workers; a multiple
            of the 300 s after which batches and the sound's decoders start again. On this machine fewer films than
            cores are cut into shorter ones, so that all cores work. No feature depends on it.
        decode_deadline_s: how many seconds decoding may make no progress before its film fails (decode/timeout).
        threads_per_worker: compute threads within an operation. One process per core, or one thread per film if films
            share batches, is faster than many threads for one film.
        refuse: the codes of warnings (`contracts.film_warnings`) that make a film fail.
        failure_threshold: share of failed films above which the run as a whole fails (exit code 4 instead of 3).
    """

    modalities: tuple[str, ...] = Field(("image", "audio", "face"), min_length=1)
    networks: dict[str, NetworkSection] = Field(default_factory=dict)
    engine: Engine = "onnxruntime"
    encoding: Literal["float32", "float16"] = "float32"
    image: ImageConfig = ImageConfig()
    vgg16: VGG16Config = VGG16Config()
    audio: AudioConfig = AudioConfig()
    face: FaceConfig = FaceConfig()
    decode: DecodeConfig = DecodeConfig()
    device: DeviceConfig = DeviceConfig()
    limits: LimitsConfig = LimitsConfig()
    sound_track: Annotated[int, Field(ge=0)] | Annotated[str, Field(min_length=1)] | None = None
    subtitles: SubtitlesConfig = SubtitlesConfig()
    crop_bars: bool = False
    suffixes: tuple[Suffix, ...] = Field(VIDEO_SUFFIXES, min_length=1)
    min_lines_px: int = Field(MIN_LINES_PX, ge=1)
    segment_s: int = Field(900, ge=300, multiple_of=300)
    decode_deadline_s: float = Field(120.0, ge=1.0)
    threads_per_worker: int = Field(1, ge=1)
    refuse: tuple[str, ...] = ()
    failure_threshold: float = Field(0.5, ge=0.0, le=1.0)

    def with_segments_of(self, segment_s: int | None) -> ExtractConfig:
        """The same settings with segments of another length; None for the same."""
        return self if segment_s is None else self.model_copy(update={"segment_s": segment_s})

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
            if code in OF_SCORE:
                raise ValueError(f"'{code}' is a warning of score: extract knows no model")
        return codes

    @field_validator("networks")
    @classmethod
    def _names_of_networks(cls, networks: dict[str, NetworkSection]) -> dict[str, NetworkSection]:
        for name, section in networks.items():
            registered = [each for each in registered_names() if each not in cls.model_fields]
            if not isinstance(section, OnnxConfig):
                if name not in registered:
                    no_file = f"'{name}' has no 'takes' and 'file', and is no registered network"
                    raise ValueError(f"{no_file}{nearest(name, registered)}")
                continue
            taken = (*OTHER_MODALITIES, *registered_names(), *_RESERVED)
            if not MODALITY_NAME.fullmatch(name) or name.endswith(PRESENT_SUFFIX) or name in taken:
                raise ValueError(
                    f"the name '{name}' must be small letters, digits and _, begin with a letter, not end in "
                    f"{PRESENT_SUFFIX}, and be none of {', '.join(taken)}"
                )
        return networks

    @model_validator(mode="after")
    def _known_modalities(self) -> ExtractConfig:
        known = (*registered_names(), *OTHER_MODALITIES, *self.networks)
        for modality in self.modalities:
            if modality not in known:
                raise ValueError(f"modalities: there is no '{modality}'{nearest(modality, known)}")
        return self

    def section_of(self, modality: str) -> Any:
        """The section of a modality's network."""
        return self.networks.get(modality) or getattr(self, modality, None) or RegisteredConfig()
