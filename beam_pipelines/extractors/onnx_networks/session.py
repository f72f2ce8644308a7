"""Sessions of ONNX Runtime: one way to start them, for networks by configuration and for built-in ones."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from beam_pipelines.foundation.tensorflow_start import has_gpu_device

CUDA = "CUDAExecutionProvider"
CONTRIBUTED = "com.microsoft"
"""ONNX Runtime's own set of operators."""

OPSET = 17
"""The standard set of operators of the graphs that are written here."""


def onnx_sees_gpu() -> bool:
    """Whether ONNX Runtime can use a GPU of this machine."""
    if not has_gpu_device():
        return False
    import onnxruntime

    return CUDA in onnxruntime.get_available_providers()


def start_session(
    model: Path | bytes,
    threads: int,
    gpu: bool = False,
    arrays: Mapping[str, np.ndarray] | None = None,
    arena: bool = True,
) -> Any:
    """An `onnxruntime.InferenceSession` whose results don't depend on what else runs.

    Args:
        model: an ONNX file, or its content.
        threads: compute threads of an operation.
        gpu: whether it runs on a GPU.
        arrays: the arrays that the file names and doesn't hold.
        arena: whether memory is kept for the next batch, which pays if all batches have one shape. It is shared by all
            sessions of the process.

    Raises:
        Exception: if ONNX Runtime refuses the file; its errors have no other common base.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = arena
    # A planned block for each network would be held beside the arena that they share.
    options.enable_mem_pattern = False
    if arena:
        _share_one_arena()
        options.add_session_config_entry("session.use_env_allocators", "1")
    # Threads of several processes share the cores: none spins while it waits.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if arrays:
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in arrays.values()]
        options.add_external_initializers(list(arrays), values)
    # "float32" means float32: an Ampere GPU would otherwise round factors to 10 bits.
    providers: list[Any] = [(CUDA, {"use_tf32": "0"})] if gpu else []
    content = model if isinstance(model, bytes) else os.fspath(model)
    return onnxruntime.InferenceSession(content, options, providers=[*providers, "CPUExecutionProvider"])


@cache
def _share_one_arena() -> None:
    """Makes the arena that sessions of this process share; it grows by what is asked for, not to powers of two."""
    import onnxruntime

    place = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    as_requested = {"max_mem": 0, "arena_extend_strategy": 1}
    as_requested |= {"initial_chunk_size_bytes": -1, "max_dead_bytes_per_chunk": -1}
    onnxruntime.create_and_register_allocator(place, onnxruntime.OrtArenaCfg(as_requested))
