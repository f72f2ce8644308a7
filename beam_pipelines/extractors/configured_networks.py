"""The networks of a configuration: one copy per process, and their descriptions for the fingerprints."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from beam_pipelines.contracts.records import quantisation
from beam_pipelines.contracts.records.feature_changes import made_now
from beam_pipelines.contracts.records.feature_track import SLOTS_KEY, SOUND_TRACK, SUBTITLES, slots_of
from beam_pipelines.extractors import speech_text
from beam_pipelines.extractors.batching.film_rows import FilmRows, Network, OwnBatches, counted, one_at_a_time
from beam_pipelines.extractors.batching.shared_batches import FilmsAtWork, SharedBatches
from beam_pipelines.extractors.built_once import built_once
from beam_pipelines.extractors.config import ExtractConfig, NetworkConfig
from beam_pipelines.extractors.face_track import FACES
from beam_pipelines.extractors.faces import FaceDetector
from beam_pipelines.extractors.network_inputs import FaceInput, NetworkInput, PictureInput, SoundInput, TextInput
from beam_pipelines.extractors.networks import opensmile_is10
from beam_pipelines.extractors.networks.engine import Engine
from beam_pipelines.extractors.networks.opensmile_is10 import OpenSmileIS10
from beam_pipelines.extractors.networks.published_network import PublishedNetwork
from beam_pipelines.extractors.onnx_networks.config import Configured
from beam_pipelines.extractors.onnx_networks.detector import OnnxFaceDetector, describe_detector
from beam_pipelines.extractors.onnx_networks.detector_config import DetectorConfig
from beam_pipelines.extractors.onnx_networks.first_batch import describe_onnx, first_batch
from beam_pipelines.extractors.onnx_networks.network import OnnxNetwork, pinned
from beam_pipelines.extractors.onnx_networks.session import onnx_sees_gpu
from beam_pipelines.extractors.registry import network_class, registered_names
from beam_pipelines.extractors.signals.columns import COLUMNS, PICTURE_SIGNALS, SOUND_SIGNALS
from beam_pipelines.extractors.signals.describe import CORE_SECONDS, describe_signals
from beam_pipelines.foundation.stage_times import STARTING, stage
from beam_pipelines.foundation.tensorflow_start import sees_gpu, start_tensorflow
from beam_pipelines.media.text import cues

_SMILE_BATCH = 16
_SMILE_CORE_S = 0.09
_SMILE_INPUT = SoundInput(opensmile_is10.RATE_HZ, opensmile_is10.WINDOW_SAMPLES, is_centred=True)


class Networks:
    """The networks of a configuration, each built when it is first needed and then kept: one copy per process.

    Several threads may use it, each for its own film. openSMILE answers one thread at a time.

    Args:
        config: the extract section.
        gpu: whether the networks run on a GPU; None asks whether their engine sees one.
    """

    def __init__(self, config: ExtractConfig, gpu: bool | None = None):
        self.config = config
        self.building = threading.RLock()
        self._gpu = gpu
        self._films = FilmsAtWork()
        self._networks: dict[str, Network] = {}
        self._asked_for: set[str] = set()
        self._shared: dict[str, SharedBatches] = {}

    @built_once
    def gpu(self) -> bool:
        """Whether the networks run on a GPU."""
        return networks_see_gpu(self.config) if self._gpu is None else self._gpu

    @built_once
    def engine(self) -> Engine:
        """What runs the built-in networks: TensorFlow too where there is a GPU that ONNX Runtime can't use."""
        return "tensorflow" if self.gpu and not onnx_sees_gpu() else self.config.engine

    def _start_tensorflow(self) -> None:
        # Threads that share batches call the face detector at the same time, each on its own core.
        is_shared = self.config.device.shares_batches(self.gpu)
        start_tensorflow(self.config.threads_per_worker, at_once=os.cpu_count() or 1 if is_shared else 1)

    def network(self, modality: str) -> Network:
        """The network of a modality: raw inputs [n, …], any n -> float32 [n, D]."""
        with self.building:
            # Larger ones that were asked for come first: ONNX Runtime needs three times a network's size to start it.
            for each in sorted({modality, *self._asked_for}, key=_size_mb, reverse=True):
                if each not in self._networks and (each == modality or _size_mb(each) > _size_mb(modality)):
                    self._networks[each] = self._make(each)
            return self._networks[modality]

    def takes(self, modality: str) -> NetworkInput | None:
        """What a modality's network takes of a film each second; None if no network makes it."""
        return network_input(self.config, modality)

    @built_once
    @stage(STARTING, 1)
    def detector(self) -> FaceDetector | OnnxFaceDetector:
        """What finds faces; it runs on the processors unless the configuration says otherwise."""
        config = self.config.face
        if isinstance(config.detector, DetectorConfig):
            on_gpu = self.config.device.detect_on_gpu and (onnx_sees_gpu() if self._gpu is None else self._gpu)
            return OnnxFaceDetector(config.detector, self.config.threads_per_worker, on_gpu)
        on_gpu = self.config.device.detect_on_gpu and self.gpu
        # Not `self.engine`: where ONNX Runtime sees no GPU that is TensorFlow, which is slower on processors.
        engine: Engine = "tensorflow" if on_gpu else self.config.engine
        if engine == "tensorflow":
            self._start_tensorflow()
        return FaceDetector(
            config.thresholds,
            config.smallest_face,
            config.pyramid_factor,
            config.detector_batch_size,
            "GPU:0" if on_gpu else "CPU:0",
            engine,
            self.config.threads_per_worker,
        )

    def tokens(self, modality: str) -> Callable[[str], np.ndarray]:
        """From a text to the tokens that a modality's network takes."""
        network = self.network(modality)
        assert isinstance(network, OnnxNetwork)
        assert network.tokens is not None
        return network.tokens

    def film(self) -> AbstractContextManager[None]:
        """A context that a thread holds while it adds a film's rows: others may wait for it to fill their batches."""
        return self._films.film()

    def rows(self, modality: str) -> FilmRows:
        """The object to which a film adds its rows for a modality's network, which is built when it first runs."""
        self._asked_for.add(modality)
        if modality == OpenSmileIS10.modality:
            return OwnBatches(self._run(modality), OpenSmileIS10.dimensions, _SMILE_BATCH)
        device, dimensions = self.config.device, self._dimensions(modality)
        if not device.shares_batches(self._gpu_for(modality)):
            return OwnBatches(self._run(modality), dimensions, self.batch_size(modality))
        with self.building:
            if modality not in self._shared:
                network, size = self._run(modality), self.batch_size(modality)
                self._shared[modality] = SharedBatches(network, size, self._films, device.share_wait_s)
            return self._shared[modality].rows(dimensions)

    def batch_size(self, modality: str) -> int:
        """The number of rows in a batch of a modality's network."""
        section: NetworkConfig | Configured = self.config.section_of(modality)
        if isinstance(section, Configured):
            network = self.network(modality)
            assert isinstance(network, OnnxNetwork)
            return network.batch_size
        return section.rows_a_batch(self.gpu)

    def _dimensions(self, modality: str) -> int:
        if modality in registered_names():
            return network_class(modality).dimensions
        network = self.network(modality)
        assert isinstance(network, OnnxNetwork)
        return network.dimensions

    def _gpu_for(self, modality: str) -> bool:
        """Whether a modality's network runs on a GPU: ONNX Runtime may see none where TensorFlow does."""
        if self._gpu is None and isinstance(self.config.section_of(modality), Configured):
            return onnx_sees_gpu()
        return self.gpu

    def _run(self, modality: str) -> Network:
        return counted(f"{modality} network", lambda rows: self.network(modality)(rows))

    @stage(STARTING, 1)
    def _make(self, modality: str) -> Network:
        if modality == OpenSmileIS10.modality:
            return one_at_a_time(OpenSmileIS10())
        section = self.config.section_of(modality)
        if isinstance(section, Configured):
            return OnnxNetwork(modality, section, self.config.threads_per_worker, self._gpu_for(modality))
        kind = network_class(modality)
        network, finish = self._build(kind, section), kind.postprocess(section)
        return network if finish is None else lambda rows: finish(network(rows))

    def _build(self, network: type[PublishedNetwork], config: NetworkConfig) -> PublishedNetwork:
        size, xla, engine = config.rows_a_batch(self.gpu), self.config.device.xla, self.engine
        if network.graph(config.precision, xla, engine) is None:
            self._start_tensorflow()
        how: dict[str, Any] = {"engine": engine, "threads": self.config.threads_per_worker, "gpu": self.gpu}
        return network(config.weights, config.seed, size, config.precision, xla, **how, **network.options(config))


def _size_mb(modality: str) -> int:
    return network_class(modality).size_mb if modality in registered_names() else 0


def networks_see_gpu(config: ExtractConfig) -> bool:
    """Whether the networks find a GPU; TensorFlow takes seconds to look, and isn't asked if ONNX Runtime sees one."""
    return (config.engine == "onnxruntime" and onnx_sees_gpu()) or sees_gpu()


def network_input(config: ExtractConfig, modality: str) -> NetworkInput | None:
    """What a modality's network takes of a film each second; None if no network makes it."""
    if modality == OpenSmileIS10.modality:
        return _SMILE_INPUT
    section = config.networks.get(modality)
    if isinstance(section, Configured):
        return section.network_input()
    if modality in registered_names():
        return network_class(modality).takes(config.section_of(modality))
    return None


def takes_pictures(config: ExtractConfig, modality: str) -> bool:
    """Whether a modality is made of a film's pictures."""
    return modality == PICTURE_SIGNALS or isinstance(network_input(config, modality), (PictureInput, FaceInput))


def core_seconds(config: ExtractConfig, modality: str) -> float:
    """The core seconds that a modality takes for a second of film, decoding excluded."""
    if modality in CORE_SECONDS:
        return CORE_SECONDS[modality]
    if modality == speech_text.MODALITY:
        return speech_text.CORE_S
    section = config.section_of(modality)
    if isinstance(section, Configured):
        return first_batch(modality, section, config.limits.network_memory_mb).core_s
    return _SMILE_CORE_S if modality == OpenSmileIS10.modality else network_class(modality).core_s


def pin_networks(config: ExtractConfig) -> ExtractConfig:
    """The configuration with the hashes of the ONNX files that this machine has, so that workers refuse others."""
    networks, face = dict(config.networks), config.face
    for name, section in config.networks.items():
        if name in config.modalities and isinstance(section, Configured):
            networks[name] = pinned(name, section)
    finds_faces = any(isinstance(network_input(config, modality), FaceInput) for modality in config.modalities)
    if finds_faces and isinstance(face.detector, DetectorConfig):
        face = face.model_copy(update={"detector": pinned("detector", face.detector)})
    return config.model_copy(update={"networks": networks, "face": face})


def describe_tracks(config: ExtractConfig) -> dict[str, dict[str, Any]]:
    """The description of each modality's features, from which fingerprints are made; no network is built.

    Raises:
        WeightsError: if weights are not in the cache or not the published ones.
        ConfigurationError: if openSMILE is configured but not installed.
    """
    return {modality: _describe(config, modality) for modality in config.modalities}


def _describe(config: ExtractConfig, modality: str) -> dict[str, Any]:
    if modality == speech_text.MODALITY:
        return speech_text.describe_speech_text(config.subtitles)
    takes = network_input(config, modality)
    if modality == OpenSmileIS10.modality:
        described = {**OpenSmileIS10.describe(), "rate_hz": 1, **made_now(modality)}
    elif modality in COLUMNS:
        described = describe_signals(modality) | (_describe_pictures(config) if modality == PICTURE_SIGNALS else {})
    else:
        section = config.section_of(modality)
        if isinstance(section, Configured):
            described = describe_onnx(modality, section, config.limits.network_memory_mb)
        else:
            kind = network_class(modality)
            described = kind.describe(section.weights, section.seed, section.precision)
            described |= kind.describe_options(section)
        described |= _describe_input(config, takes)
        if isinstance(takes, FaceInput) and slots_of(modality) != FACES:
            described[SLOTS_KEY] = FACES
        if config.encoding == quantisation.FLOAT16:
            described.setdefault(quantisation.STORED, quantisation.FLOAT16)
    if (modality == SOUND_SIGNALS or isinstance(takes, SoundInput)) and config.sound_track is not None:
        described[SOUND_TRACK] = config.sound_track
    return described


def _describe_input(config: ExtractConfig, takes: NetworkInput | None) -> dict[str, Any]:
    """How the input of a network is made of a film."""
    if isinstance(takes, SoundInput):
        return {"rate_hz": 1, **made_now("audio")}
    if isinstance(takes, TextInput):
        return {"rate_hz": 1, speech_text.SPEECH: cues.RULES, SUBTITLES: config.subtitles.model_dump()}
    described = _describe_pictures(config)
    if not isinstance(takes, FaceInput):
        return {**described, **made_now("image")}
    return {
        **described,
        **made_now("face"),
        "detector": describe_detector(config.face, config.limits.network_memory_mb),
        "faces": FACES,
        "margin": takes.margin,
    }


def _describe_pictures(config: ExtractConfig) -> dict[str, Any]:
    """How a film's pictures are made."""
    described: dict[str, Any] = {"rate_hz": 1, **config.decode.describe(), "resize": "area_or_bilinear"}
    if config.crop_bars:
        described["black_bars"] = "cut_off"
    return described
