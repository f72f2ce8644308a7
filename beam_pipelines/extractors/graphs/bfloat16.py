"""A built-in network's graph in bfloat16, by OpenVINO, on processors that multiply such numbers.

ONNX Runtime has no such kernels for them. Factors have 8 bits of mantissa, sums 24. What is rounded between layers, and
the order of sums, depend on the processor, and so does a vector.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from beam_pipelines.extractors.networks.precision import BFLOAT16, FULL
from beam_pipelines.extractors.registry import network_class
from beam_pipelines.foundation.errors import ConfigurationError

if TYPE_CHECKING:
    from beam_pipelines.extractors.config import ExtractConfig

_MULTIPLIES = "BF16"
"""How OpenVINO names it among what a processor does by itself: AVX-512 BF16 or AMX."""


SETTINGS = {"INFERENCE_PRECISION_HINT": "bf16", "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
"""OpenVINO's. Pinned threads of all worker processes would stay on the same cores, the first ones."""


def require_bfloat16(modality: str) -> None:
    """Refuses a modality's `precision: bfloat16` on a machine that can't compute in it.

    Raises:
        ConfigurationError: if OpenVINO isn't installed, or the processor doesn't multiply bfloat16.
    """
    place = f"extract.{modality}.precision: bfloat16"
    try:
        import openvino
    except ImportError as error:
        raise ConfigurationError(
            f"{place} needs the package openvino: run pip install 'cineaffect[openvino]'"
        ) from error
    core = openvino.Core()
    if _MULTIPLIES not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        processor = core.get_property("CPU", "FULL_DEVICE_NAME")
        raise ConfigurationError(
            f"{place} needs a processor with AVX-512 BF16 or AMX, and this one, {processor}, has neither: take float32"
        )


def require_precisions(config: ExtractConfig) -> None:
    """The same for all modalities of a configuration, before anything starts.

    Raises:
        ConfigurationError: as `require_bfloat16`, or if a network has no graph.
    """
    for modality in config.modalities:
        if getattr(config.section_of(modality), "precision", FULL) == BFLOAT16:
            network_class(modality).graph(BFLOAT16)
            require_bfloat16(modality)


def compiled(
    content: bytes, arrays: Mapping[str, np.ndarray], threads: int, batch_size: int
) -> Callable[[np.ndarray], np.ndarray]:
    """A graph with its arrays as a function of batches of one size, float32 [batch_size, …] -> float32 [batch_size, D].

    The same batch gives the same bytes on processors of one kind. Threads take turns.

    Args:
        content: the graph, with one input and one output.
        arrays: the arrays that it names and doesn't hold.
        threads: compute threads.
        batch_size: rows of every batch.
    """
    import onnx
    import openvino

    model = onnx.load_model_from_string(content)
    for array in model.graph.initializer:
        if array.name in arrays:
            array.CopyFrom(onnx.numpy_helper.from_array(arrays[array.name], array.name))
    core = openvino.Core()
    graph = core.read_model(model.SerializeToString())
    graph.reshape([batch_size, *graph.input(0).partial_shape[1:]])
    network = core.compile_model(graph, "CPU", {**SETTINGS, "INFERENCE_NUM_THREADS": threads})
    one_at_a_time = threading.Lock()

    def run(batch: np.ndarray) -> np.ndarray:
        with one_at_a_time:
            return np.asarray(network(batch, share_outputs=False)[0])

    return run
