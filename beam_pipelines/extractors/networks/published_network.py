"""The common part of all networks: weights by name or seed, one fixed batch, a description for fingerprints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from beam_pipelines.extractors.batching.fixed_batch import FixedBatchNetwork, check_images
from beam_pipelines.extractors.graphs.bfloat16 import require_bfloat16
from beam_pipelines.extractors.graphs.graph_network import GraphNetwork, graph_of
from beam_pipelines.extractors.network_inputs import NetworkInput, PictureInput
from beam_pipelines.extractors.networks.engine import Engine
from beam_pipelines.extractors.networks.precision import BFLOAT16, FULL, Precision, in_precision
from beam_pipelines.extractors.weights import weight_files
from beam_pipelines.extractors.weights.network_weights import (
    KERAS_3_SUFFIX,
    assign_by_name,
    draw_weights,
    read_keras3_h5,
)
from beam_pipelines.extractors.weights.weights_table import TABLE, Weights
from beam_pipelines.foundation.errors import ConfigurationError

if TYPE_CHECKING:
    import keras

    from beam_pipelines.extractors.weights.network_weights import Network


class PublishedNetwork(ABC):
    """A network with published weights, as a function of a batch of inputs.

    A subclass defines the class attributes below and `build`, `load` and `prepare`.

    Args:
        weights: a name in `weights_table.TABLE`, `untrained`, or a file of the user's; None for the published ones.
        seed: seed of untrained weights.
        batch_size: inputs of every batch; a result does not depend on the other inputs of its batch.
        precision: the type in which its layers compute.
        xla: whether it is compiled with XLA.
        engine: what runs it: ONNX Runtime, if its class has a graph and neither a mixed precision nor XLA is asked
            for. In `bfloat16` that is OpenVINO in any case.
        threads: compute threads of an operation in ONNX Runtime and OpenVINO.
        gpu: whether ONNX Runtime uses a GPU.

    Attributes:
        modality: the modality of its vectors.
        dimensions: length of a vector.
        published: the name of its weights in `weights_table.TABLE`.
        recipe: `network` and `preprocessing` of its description.
        size_mb: size of its weights.
        core_s: core seconds that it takes for a second of film, for the forecast of a dry run.
        table: the weights table that its names come from; a new network brings its own entries.
        gains: factors on untrained kernels of some layers (`draw_weights`).
        network: the Keras model or the graph; float32 batches in, vectors out.

    Raises:
        WeightsError: if the weights are absent or not the published ones.
        ConfigurationError: if this machine, or the class, can't compute in `bfloat16`.
    """

    modality: ClassVar[str]
    dimensions: ClassVar[int]
    published: ClassVar[str]
    recipe: ClassVar[Mapping[str, str]]
    size_mb: ClassVar[int] = 100
    core_s: ClassVar[float] = 0.1
    table: ClassVar[Mapping[str, Weights]] = TABLE
    gains: ClassVar[Mapping[str, float]] = MappingProxyType({})

    def __init__(
        self,
        weights: str | None = None,
        seed: int = 0,
        batch_size: int = 16,
        precision: Precision = FULL,
        xla: bool = False,
        engine: Engine = "onnxruntime",
        threads: int = 1,
        gpu: bool = False,
    ):
        name = weights or self.published
        # Absent weights are detected before a network is built for them.
        path = None if name == weight_files.UNTRAINED else weight_files.locate(name, self.table)
        if precision == BFLOAT16:
            require_bfloat16(self.modality)
        graph = self.graph(precision, xla, engine)
        self.network = GraphNetwork(graph) if graph else in_precision(self.build(), precision)
        if path is None:
            draw_weights(self.network, seed, self.gains)
        elif path.name.endswith(KERAS_3_SUFFIX):
            assign_by_name(self.network, read_keras3_h5(path, self.network), path)
        else:
            self.load(self.network, path)
        if isinstance(self.network, GraphNetwork) and precision == BFLOAT16:
            self.network.start_in_bfloat16(threads, batch_size)
        elif isinstance(self.network, GraphNetwork):
            self.network.start(threads, gpu)
        self._description = self.describe(name, seed, precision)
        self._run = FixedBatchNetwork(self.network, self.prepare, batch_size, xla)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """The vectors of raw inputs [n, …], any n: float32 [n, dimensions]."""
        self.check(inputs)
        return self._run(inputs)

    def description(self) -> dict[str, Any]:
        """All that determines the vectors, for fingerprints."""
        return dict(self._description)

    @classmethod
    def describe(cls, weights: str, seed: int = 0, precision: Precision = FULL) -> dict[str, Any]:
        """The same as `description`, without building the network.

        Raises:
            WeightsError: if the weights are absent or not the published ones.
        """
        name = weights or cls.published
        described = {**cls.recipe, "weights": weight_files.identity(name, seed, cls.table), "precision": precision}
        if weight_files.is_own_file(name, cls.table):
            described["licence"] = weight_files.OWN_LICENCE
        return described

    @classmethod
    def graph(cls, precision: Precision = FULL, xla: bool = False, engine: Engine = "onnxruntime") -> Path | None:
        """The graph that runs in place of the Keras model: OpenVINO in bfloat16, else ONNX Runtime. None for Keras.

        Raises:
            ConfigurationError: if bfloat16 is asked for and there is none.
        """
        path = graph_of(cls)
        found = path if path and path.is_file() else None
        if precision == BFLOAT16 and found is None:
            raise ConfigurationError(f"extract.{cls.modality}.precision: bfloat16 is for networks that have a graph")
        return found if precision == BFLOAT16 or (engine == "onnxruntime" and precision == FULL and not xla) else None

    @classmethod
    @abstractmethod
    def takes(cls, config: Any) -> NetworkInput:
        """What it takes of a film each second, by its section of the configuration."""

    @classmethod
    def options(cls, config: Any) -> dict[str, Any]:
        """Further arguments of its constructor, by its section."""
        return {}

    @classmethod
    def describe_options(cls, config: Any) -> dict[str, Any]:
        """What else of its section changes the vectors, for fingerprints."""
        return {}

    @classmethod
    def postprocess(cls, config: Any) -> Callable[[np.ndarray], np.ndarray] | None:
        """What is done with the vectors, float32 [n, D] -> float32 [n, D']; None for nothing."""
        return None

    @staticmethod
    @abstractmethod
    def build() -> keras.Model:
        """The network without weights."""

    @staticmethod
    @abstractmethod
    def load(network: Network, path: Path, /) -> None:
        """Loads the published weights into a network; raises WeightsError with file and key if they don't fit."""

    @staticmethod
    @abstractmethod
    def prepare(batch: np.ndarray, /) -> np.ndarray:
        """Turns raw inputs into the network's float32 input."""

    @abstractmethod
    def check(self, inputs: np.ndarray) -> None:
        """Refuses raw inputs of another shape or type with a ValueError that names both."""


class PictureNetwork(PublishedNetwork):
    """A network whose raw inputs are pictures, uint8 [n, image_size_px, image_size_px, 3] RGB."""

    image_size_px: ClassVar[int]

    def check(self, inputs: np.ndarray) -> None:
        """Refuses other inputs with a ValueError."""
        check_images(inputs, self.image_size_px)

    @classmethod
    def takes(cls, config: Any) -> NetworkInput:
        """The whole picture, whatever its aspect ratio is."""
        return PictureInput(cls.image_size_px, cls.image_size_px)
