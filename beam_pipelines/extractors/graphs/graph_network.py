"""A built-in network without Keras: its graph, which lies beside its class, filled with weights.

ONNX Runtime runs it, in bfloat16 OpenVINO.

It has what loading weights needs of a Keras model: layers in their order, with names and variables in Keras's shapes.
So the same functions fill both, and neither Keras nor TensorFlow is imported here.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np

from beam_pipelines.extractors.graphs.bfloat16 import compiled
from beam_pipelines.extractors.onnx_networks.session import start_session

INPUT, OUTPUT = "rows", "vectors"
_KINDS = {"Conv": "Conv2D", "BatchNormalization": "BatchNormalization", "Gemm": "Dense"}
"""Operator -> the class of Keras's layer."""

AXES_OF_CONVOLUTIONS = 4


@dataclass
class GraphVariable:
    """A variable of a layer: its name in Keras, its shape there, and its values as the graph takes them."""

    name: str
    shape: tuple[int, ...]
    values: np.ndarray | None = None

    def assign(self, values: np.ndarray) -> None:
        """Takes values in Keras's shape; a convolution's kernel [height, width, in, out] is turned to [out, in, …]."""
        is_kernel = len(self.shape) == AXES_OF_CONVOLUTIONS
        self.values = np.ascontiguousarray(values.transpose(3, 2, 0, 1) if is_kernel else values, np.float32)


@dataclass
class GraphLayer:
    """A layer with weights: its name, the class that it has in Keras, and its variables in Keras's order."""

    name: str
    kind: str
    weights: list[GraphVariable] = field(default_factory=list)

    def set_weights(self, arrays: list[np.ndarray]) -> None:
        """Takes the values of all variables."""
        for variable, values in zip(self.weights, arrays, strict=True):
            variable.assign(values)


class GraphNetwork:
    """A graph without weights, until its layers have got them and it has been started.

    Args:
        path: the graph's file.

    Attributes:
        name: the network's.
        layers: those with weights.
        output_shape: [None, D].
    """

    def __init__(self, path: Path):
        import onnx

        self._content = path.read_bytes()
        graph = onnx.load_model_from_string(self._content).graph
        self.name: str = graph.name
        self.output_shape = (None, graph.output[0].type.tensor_type.shape.dim[1].dim_value)
        kinds = {name.rpartition("/")[0]: _KINDS.get(node.op_type, "") for node in graph.node for name in node.input}
        arrays = [each for each in graph.initializer if each.data_location == each.EXTERNAL]
        self.layers: list[GraphLayer] = []
        for layer, own in groupby(arrays, lambda array: array.name.rpartition("/")[0]):
            found = [GraphVariable(each.name.rpartition("/")[2], _keras_shape(tuple(each.dims))) for each in own]
            self.layers.append(GraphLayer(layer, kinds[layer], found))
        self._run: Callable[[np.ndarray], np.ndarray]

    def start(self, threads: int, gpu: bool) -> None:
        """Starts ONNX Runtime's session, when all variables have values, and forgets these."""
        session = start_session(self._content, threads, gpu, self._arrays())
        self._run = lambda batch: np.asarray(session.run([OUTPUT], {INPUT: batch})[0])
        self._forget()

    def start_in_bfloat16(self, threads: int, batch_size: int) -> None:
        """Starts OpenVINO's network instead, for batches of one size."""
        self._run = compiled(self._content, self._arrays(), threads, batch_size)
        self._forget()

    def predict_on_batch(self, batch: np.ndarray) -> np.ndarray:
        """The vectors of a batch as `prepare` makes it, float32 [batch, …] -> float32 [batch, D]."""
        return self._run(batch)

    def _arrays(self) -> dict[str, np.ndarray]:
        variables = {f"{layer.name}/{each.name}": each for layer in self.layers for each in layer.weights}
        arrays = {name: each.values for name, each in variables.items() if each.values is not None}
        assert len(arrays) == len(variables), "a variable without values"
        return arrays

    def _forget(self) -> None:
        for layer in self.layers:
            for variable in layer.weights:
                variable.values = None
        _give_memory_back()


def graph_of(network: type) -> Path | None:
    """Where the graph of a network's class lies, if it has one: beside its module. None for a class of a notebook."""
    module = getattr(sys.modules.get(network.__module__), "__file__", None)
    return Path(module).with_suffix(".onnx") if module else None


def _keras_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) != AXES_OF_CONVOLUTIONS:
        return shape
    out, into, height, width = shape
    return height, width, into, out


def _give_memory_back() -> None:
    """Lets glibc return what starting a session has left free: a tenth of all that a worker holds."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
