"""The first batch of a network by configuration, run in a child process before a job starts.

A file may come from anywhere: here it may crash, need more memory than it is allowed or never end, and costs only a
sentence. The child also finds out what the file need not say: the length of a vector, and what a row costs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from beam_pipelines.extractors.onnx_networks.config import Configured, TextConfig
from beam_pipelines.extractors.onnx_networks.detector_config import DetectorConfig
from beam_pipelines.extractors.onnx_networks.face_boxes import refuse_odd_boxes
from beam_pipelines.extractors.onnx_networks.network import OnnxNetwork, checked_file, outputs_of
from beam_pipelines.extractors.onnx_networks.preparation import row_shape, row_type
from beam_pipelines.extractors.onnx_networks.tokens import checked_tokenizer
from beam_pipelines.foundation.errors import ConfigurationError

_PROJECT_ROOT = Path(__file__).resolve().parents[3]
_DEADLINE_S = 600.0
_LIKE = 1e-3
"""A row's vectors agree to this share of the largest value, whatever else is in its batch (ours)."""

_Checked = Configured | DetectorConfig
_SECTION: TypeAdapter[_Checked] = TypeAdapter(_Checked)


@dataclass(frozen=True)
class FirstBatch:
    """What the first batch has shown: the length of a vector, and the core seconds of a row."""

    dimensions: int
    core_s: float


def first_batch(name: str, section: _Checked, memory_mb: int) -> FirstBatch:
    """Runs the first batch of a network in a child process, once per process and content of the file.

    Raises:
        ConfigurationError: if the file doesn't fit the section, crashes, or needs more memory than `memory_mb`.
    """
    file = checked_file(name, section)
    tokenizer = checked_tokenizer(name, section)[1] if isinstance(section, TextConfig) else None
    content = json.dumps([file.sha256, dict(file.external), tokenizer], sort_keys=True)
    return _run(section.place(name), name, section.model_dump_json(), memory_mb, content, os.getcwd())


def describe_onnx(name: str, section: _Checked, memory_mb: int) -> dict[str, Any]:
    """All that determines the results of a network by configuration but the film's side, for fingerprints.

    Raises:
        ConfigurationError: as `first_batch` does.
    """
    file = checked_file(name, section)
    described: dict[str, Any] = {"network": "onnx", "weights": file.sha256, "preprocessing": section.preprocessing()}
    described["outputs"] = [tensor.name for tensor in outputs_of(name, section, file)]
    if file.external:
        described["external"] = dict(file.external)
    if isinstance(section, TextConfig):
        described["tokenizer"] = checked_tokenizer(name, section)[1]
    dimensions = first_batch(name, section, memory_mb).dimensions
    return {**described, "dimensions": dimensions, "precision": "as_in_file"}


@lru_cache(maxsize=64)
def _run(place: str, name: str, section: str, memory_mb: int, content: str, directory: str) -> FirstBatch:
    """`content` and `directory` are arguments only so that another file has another cache key."""
    paths = os.pathsep.join(filter(None, [str(_PROJECT_ROOT), os.environ.get("PYTHONPATH", "")]))
    # Nothing that lies in the current folder by chance is taken for a module.
    own = {"PYTHONPATH": paths, "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment = {**os.environ, **own}
    command = [sys.executable, "-m", "beam_pipelines.extractors.onnx_networks.first_batch", str(memory_mb)]
    task = json.dumps({"name": name, "section": json.loads(section)})
    try:
        done = subprocess.run(
            command, input=task, capture_output=True, text=True, env=environment, timeout=_DEADLINE_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigurationError(f"{place}: its first batch took more than {_DEADLINE_S:g} s") from error
    if done.returncode:
        how = f"signal {signal.Signals(-done.returncode).name}" if done.returncode < 0 else "an error"
        raise ConfigurationError(
            f"{place}: its first batch ended with {how}; it may use limits.network_memory_mb = "
            f"{memory_mb}\n{done.stderr.strip()[-2000:]}"
        )
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise ConfigurationError(answer["error"])
    return FirstBatch(**answer)


def _answer(name: str, section: _Checked) -> dict[str, Any]:
    try:
        network = OnnxNetwork(name, section)
        rows = np.zeros((max(2, network.batch_size), *row_shape(section)), row_type(section))
        # Zeros fill batches; noise is what no network expects, and must give finite vectors too.
        if network.tokens:
            rows[:] = network.tokens("What is said in a film.")
        else:
            rows[1:] = np.random.default_rng(0).uniform(0, 1 if rows.dtype == np.float32 else 255, rows[1:].shape)
        if isinstance(
            section, DetectorConfig
        ):  # one that leaves boxes out itself leaves out others of a bright picture
            rows[0, : len(rows[0]) // 2] = 255
        before_s = time.process_time()
        vectors = network(rows)
        core_s = (time.process_time() - before_s) / len(rows)
        if isinstance(section, DetectorConfig):
            refuse_odd_boxes(section, vectors)
        if vectors.shape[1] != network.dimensions:
            # A film that the network gets nothing of would have vectors of the other length.
            raise ConfigurationError(
                f"{section.place(name)}: its vectors have {vectors.shape[1]} values, not the {network.dimensions} "
                f"that the file says\n{network.file.shown()}"
            )
        # The last row keeps its place, and so its path through the kernels.
        rows[:-1] = network.tokens("Other words, and more of them, are said here.") if network.tokens else 0
        apart = np.abs(network(rows)[-1] - vectors[-1]).max()
        if apart > _LIKE * np.abs(vectors).max():
            raise ConfigurationError(
                f"{section.place(name)}: it mixes the rows of a batch: a row's vector changes by {apart:.3g} with "
                f"the other {network.batch_size - 1}\n{network.file.shown()}"
            )
    except ConfigurationError as error:
        return {"error": str(error)}
    return {"dimensions": vectors.shape[1], "core_s": max(0.001, core_s)}


def _main() -> int:
    import resource

    limit = int(sys.argv[1]) << 20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    answers = os.fdopen(os.dup(1), "w")
    # Output of a native library must not mix with the answer.
    os.dup2(2, 1)
    task = json.load(sys.stdin)
    json.dump(_answer(task["name"], _SECTION.validate_python(task["section"])), answers)
    answers.close()
    return 0


if __name__ == "__main__":
    sys.exit(_main())
