"""Sessions of ONNX Runtime: one way to start them, for networks by configuration and for built-in ones."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import nullcontext, redirect_stdout
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.foundation.gpu_devices import has_gpu_device, hides_gpus

CUDA = "CUDAExecutionProvider"
CONTRIBUTED = "com.microsoft"
"""ONNX Runtime's own set of operators."""

OPSET = 17
"""The standard set of operators of the graphs that are written here."""

_PACKAGES = ("onnxruntime", "onnxruntime-gpu")
_INSTALL = f"pip uninstall -y {' '.join(_PACKAGES)} && pip install '{_PACKAGES[1]}[cuda,cudnn]'"


def onnx_sees_gpu() -> bool:
    """Whether ONNX Runtime is the one for GPUs, and there may be one; `start_session` shows whether it can be used.

    Raises:
        ConfigurationError: if it was installed, and the one for processors over it.
    """
    if not has_gpu_device() or hides_gpus():
        return False
    import onnxruntime

    if CUDA in onnxruntime.get_available_providers():
        return True
    if all(map(_is_installed, _PACKAGES)):
        raise ConfigurationError(
            f"{' and '.join(_PACKAGES)} are both installed, and the first has overwritten files of the second, so that "
            f"it can't use a GPU: {_INSTALL}"
        )
    return False


def _is_installed(package: str) -> bool:
    try:
        return bool(metadata.version(package))
    except metadata.PackageNotFoundError:
        return False


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
        ConfigurationError: if it is to run on a GPU, and ONNX Runtime can't use it.
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
    # It prints what it can't load for a GPU; standard output is a command's result.
    with redirect_stdout(sys.stderr) if gpu else nullcontext():
        if gpu:
            _load_cuda()
        session = onnxruntime.InferenceSession(content, options, providers=[*providers, "CPUExecutionProvider"])
    if gpu:
        if CUDA not in session.get_providers():
            # It would go on with one core of the processors.
            raise ConfigurationError(
                "ONNX Runtime can't start CUDA on this machine: it needs CUDA and cuDNN in the versions that it was "
                f"built for, a driver for them, and free memory of the GPU: {_INSTALL}; or hide the GPU, and the "
                "processors compute: CUDA_VISIBLE_DEVICES=-1"
            )
        # Nor does it go on with that core when the GPU fails later.
        session.disable_fallback()
    return session


@cache
def _load_cuda() -> None:
    """Loads CUDA and cuDNN from the packages that pip installs, which no search path of the system leads to."""
    import onnxruntime

    onnxruntime.preload_dlls()


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
