"""The networks of a configuration: one copy per process, and their descriptions for the fingerprints."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, TypeVar, overload

import numpy as np

from beam_pipelines.contracts.records import quantisation
from beam_pipelines.contracts.records.feature_changes import made_now
from beam_pipelines.contracts.records.feature_track import SOUND_TRACK
from beam_pipelines.extractors.batching.film_rows import FilmRows, Network, OwnBatches
from beam_pipelines.extractors.batching.shared_batches import FilmsAtWork, SharedBatches
from beam_pipelines.extractors.config import ExtractConfig, NetworkConfig
from beam_pipelines.extractors.face_track import FACES
from beam_pipelines.extractors.faces import FaceDetector
from beam_pipelines.extractors.networks.inception_resnet_v1 import InceptionResnetV1Face
from beam_pipelines.extractors.networks.inception_v3 import InceptionV3Image
from beam_pipelines.extractors.networks.opensmile_is10 import OpenSmileIS10
from beam_pipelines.extractors.networks.published_network import PublishedNetwork
from beam_pipelines.extractors.networks.vgg16 import VGG16Image
from beam_pipelines.extractors.networks.vggish import VGGishAudio
from beam_pipelines.extractors.networks.vggish_postprocess import VGGishPostprocessor
from beam_pipelines.extractors.weights import weight_files
from beam_pipelines.extractors.weights.weights_table import VGGISH_PCA
from beam_pipelines.foundation.tensorflow_start import sees_gpu, start_tensorflow

PICTURE_NETWORKS: Mapping[str, type[InceptionV3Image] | type[VGG16Image]] = {
    "image": InceptionV3Image,
    "vgg16": VGG16Image,
}
"""The modalities that are one vector of the whole picture, with their networks."""

_NETWORKS: Mapping[str, type[PublishedNetwork]] = {
    **PICTURE_NETWORKS,
    "audio": VGGishAudio,
    "face": InceptionResnetV1Face,
}
_SMILE_BATCH = 16


T = TypeVar("T")
N = TypeVar("N", bound=PublishedNetwork)


class _built_once(cached_property[T]):
    """A cached property of `Networks`, built by only one of several threads."""

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> _built_once[T]: ...

    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> T: ...

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        if instance is None:
            return self
        with instance.building:
            return super().__get__(instance, owner)


class Networks:
    """The networks of a configuration, each built when it is first needed and then kept: one copy per process.

    Several threads may use it, each for its own film. openSMILE answers one thread at a time.

    Args:
        config: the extract section.
        gpu: whether the networks run on a GPU; None asks whether TensorFlow sees one.
    """

    def __init__(self, config: ExtractConfig, gpu: bool | None = None):
        self.config = config
        self.building = threading.RLock()
        self._gpu = gpu
        self._films = FilmsAtWork()
        self._shared: dict[str, SharedBatches] = {}

    @_built_once
    def gpu(self) -> bool:
        """Whether the networks run on a GPU."""
        return sees_gpu() if self._gpu is None else self._gpu

    @_built_once
    def _started(self) -> bool:
        """TensorFlow is started when the first network is built: a film that has its features needs none."""
        # Threads that share batches call the face detector at the same time, each on its own core.
        is_shared = self.config.device.shares_batches(self.gpu)
        start_tensorflow(self.config.threads_per_worker, at_once=os.cpu_count() or 1 if is_shared else 1)
        return True

    @_built_once
    def image(self) -> InceptionV3Image:
        """InceptionV3 for the whole picture."""
        return self._build(InceptionV3Image, self.config.image)

    @_built_once
    def vgg16(self) -> VGG16Image:
        """VGG16 for the whole picture."""
        return self._build(VGG16Image, self.config.vgg16)

    @_built_once
    def audio(self) -> Network:
        """VGGish for the sound; with `postprocess: youtube8m` its vectors are rounded to 8 bits and converted back."""
        network = self._build(VGGishAudio, self.config.audio)
        if self.config.audio.postprocess == "none":
            return network
        postprocessor = VGGishPostprocessor(VGGISH_PCA)
        return lambda samples: quantisation.dequantise(postprocessor(network(samples)))

    @_built_once
    def opensmile_is10(self) -> Network:
        """openSMILE for the sound, in a child process."""
        smile, one_at_a_time = OpenSmileIS10(), threading.Lock()

        def ask(samples: np.ndarray) -> np.ndarray:
            with one_at_a_time:
                return smile(samples)

        return ask

    @_built_once
    def face(self) -> InceptionResnetV1Face:
        """Inception-ResNet-v1 for cut-out faces."""
        return self._build(InceptionResnetV1Face, self.config.face)

    @_built_once
    def detector(self) -> FaceDetector:
        """MTCNN for detecting faces; it runs on the processors unless the configuration says otherwise."""
        config, on_gpu = self.config.face, self._started and self.config.device.detect_on_gpu and self.gpu
        return FaceDetector(
            config.thresholds,
            config.smallest_face,
            config.pyramid_factor,
            config.detector_batch_size,
            "GPU:0" if on_gpu else "CPU:0",
        )

    def film(self) -> AbstractContextManager[None]:
        """A context that a thread holds while it adds a film's rows: others may wait for it to fill their batches."""
        return self._films.film()

    def rows(self, modality: str) -> FilmRows:
        """The object to which a film adds its rows for a modality's network, which is built when it first runs."""
        if modality == OpenSmileIS10.modality:
            return OwnBatches(lambda samples: self.opensmile_is10(samples), OpenSmileIS10.dimensions, _SMILE_BATCH)
        device, dimensions = self.config.device, _NETWORKS[modality].dimensions
        if not device.shares_batches(self.gpu):
            return OwnBatches(self._network(modality), dimensions, self.batch_size(modality))
        with self.building:
            if modality not in self._shared:
                network, size = self._network(modality), self.batch_size(modality)
                self._shared[modality] = SharedBatches(network, size, self._films, device.share_wait_s)
            return self._shared[modality].rows(dimensions)

    def batch_size(self, modality: str) -> int:
        """The number of rows in a batch of a modality's network."""
        config: NetworkConfig = getattr(self.config, modality)
        return config.rows_a_batch(self.gpu)

    def _network(self, modality: str) -> Network:
        return lambda rows: getattr(self, modality)(rows)

    def _build(self, network: type[N], config: NetworkConfig) -> N:
        size = config.rows_a_batch(self._started and self.gpu)
        return network(config.weights, config.seed, size, config.precision, self.config.device.xla)


def describe_tracks(config: ExtractConfig) -> dict[str, dict[str, Any]]:
    """The description of each modality's features, from which fingerprints are made; no network is built.

    Raises:
        WeightsError: if weights are not in the cache or not the published ones.
        ConfigurationError: if openSMILE is configured but not installed.
    """
    audio, face = config.audio, config.face
    clock = {"rate_hz": 1, **config.decode.describe(), "resize": "area_or_bilinear"}
    if config.crop_bars:
        clock["black_bars"] = "cut_off"
    descriptions: dict[str, dict[str, Any]] = {}
    for modality, network in PICTURE_NETWORKS.items():
        if modality in config.modalities:
            settings = getattr(config, modality)
            described = network.describe(settings.weights, settings.seed, settings.precision)
            descriptions[modality] = {**described, **clock, **made_now("image")}
    if "audio" in config.modalities:
        descriptions["audio"] = {
            **VGGishAudio.describe(audio.weights, audio.seed, audio.precision),
            "rate_hz": 1,
            **made_now("audio"),
            "window_s": audio.window_s,
        }
        if audio.postprocess == "youtube8m":
            descriptions["audio"]["postprocess"] = {"pca": weight_files.identity(VGGISH_PCA)}
            descriptions["audio"][quantisation.STORED] = quantisation.UINT8
    if "face" in config.modalities:
        detector = FaceDetector.describe(face.thresholds, face.smallest_face, face.pyramid_factor)
        descriptions["face"] = {
            **InceptionResnetV1Face.describe(face.weights, face.seed, face.precision),
            **clock,
            **made_now("face"),
            "detector": {**detector, "detect_height_px": face.detect_height_px},
            "faces": FACES,
            "margin": face.margin,
        }
    if config.encoding == quantisation.FLOAT16:
        for description in descriptions.values():
            description.setdefault(quantisation.STORED, quantisation.FLOAT16)
    if OpenSmileIS10.modality in config.modalities:
        descriptions[OpenSmileIS10.modality] = {
            **OpenSmileIS10.describe(),
            "rate_hz": 1,
            **made_now(OpenSmileIS10.modality),
        }
    if config.sound_track is not None:
        for modality in descriptions.keys() & {"audio", OpenSmileIS10.modality}:
            descriptions[modality][SOUND_TRACK] = config.sound_track
    return descriptions
