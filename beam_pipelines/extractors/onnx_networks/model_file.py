"""An ONNX file as data: its inputs, outputs, operators, the files beside it, and its hashes. Nothing of it is run.

A file may come from anywhere. So operators must be ONNX Runtime's own (no library is ever loaded for others), and large
arrays must lie in files of the same folder: a name that leads out of it could read any file of the machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import util
from pathlib import Path
from typing import Any

from beam_pipelines.extractors.weights import weight_files
from beam_pipelines.foundation.errors import ConfigurationError

OPERATORS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""The sets of operators that ONNX Runtime has itself."""

_NOT_RUN_HERE = "EPContext"
"""An operator of `com.microsoft` that names a compiled file."""


@dataclass(frozen=True)
class Tensor:
    """An input or output: its name, its type as NumPy calls it, and its axes; an axis of any length has its name."""

    name: str
    type: str
    axes: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.name}  {self.type} [{', '.join(map(str, self.axes))}]"


@dataclass(frozen=True)
class ModelFile:
    """What an ONNX file says of itself.

    Attributes:
        path: the file.
        sha256: its hash.
        external: name -> hash of the files beside it that hold arrays.
        inputs, outputs: those that a caller sees.
        operators: name -> how often it occurs.
    """

    path: Path
    sha256: str
    external: Mapping[str, str]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: Mapping[str, int]

    def shown(self) -> str:
        """Inputs and outputs, as errors show them."""
        lines = [f"{self.path} has", *(f"  input   {each}" for each in self.inputs)]
        return "\n".join([*lines, *(f"  output  {each}" for each in self.outputs)])


def check_installed() -> None:
    """Checks that ONNX Runtime is installed.

    Raises:
        ConfigurationError: if it isn't; the text says how to install it.
    """
    if util.find_spec("onnxruntime") is None or util.find_spec("onnx") is None:
        raise ConfigurationError(
            "networks by configuration need ONNX Runtime: run pip install 'cineaffect[onnx]', or, for an NVIDIA GPU, "
            "'cineaffect[onnx-gpu]' (never both)"
        )


def read_model_file(path: Path) -> ModelFile:
    """Reads and checks a file. It is read once per process, and again when it has changed.

    Raises:
        ConfigurationError: if it is no ONNX file, has operators that aren't ONNX Runtime's, or names files outside its
            folder.
    """
    check_installed()
    status = path.stat()
    read, names = _read(path, status.st_size, status.st_mtime_ns)
    return replace(read, external={name: weight_files.file_digest(path.parent / name) for name in names})


@lru_cache(maxsize=16)
def _read(path: Path, size_bytes: int, modified_ns: int) -> tuple[ModelFile, tuple[str, ...]]:
    """A file without the hashes of those beside it, and their names."""
    import onnx

    try:
        model = onnx.load_model(path, load_external_data=False)
    except Exception as error:  # onnx and protobuf have no common base of their errors
        raise ConfigurationError(f"{path}: not readable as an ONNX file: {error}") from error
    if not model.graph.node:
        raise ConfigurationError(f"{path}: not an ONNX file, or one without any operator")
    nodes = [*_nodes(model.graph.node), *(node for each in model.functions for node in _nodes(each.node))]
    own = {function.domain for function in model.functions}
    strange = sorted(
        {f"{n.domain}.{n.op_type}" for n in nodes if n.domain not in {*OPERATORS, *own} or n.op_type == _NOT_RUN_HERE}
    )
    if strange:
        raise ConfigurationError(
            f"{path}: its operators {', '.join(strange)} aren't ONNX Runtime's own, and no library is loaded for them"
        )
    names = {_location(tensor, path) for tensor in _tensors(model.graph, nodes) if _is_external(tensor)}
    given = {tensor.name for tensor in model.graph.initializer}
    read = ModelFile(
        path,
        weight_files.file_digest(path),
        {},
        tuple(_tensor(each) for each in model.graph.input if each.name not in given),
        tuple(_tensor(each) for each in model.graph.output),
        dict(sorted(Counter(node.op_type for node in nodes).items())),
    )
    return read, tuple(sorted(names))


def _nodes(nodes: Sequence[Any]) -> Iterator[Any]:
    """All nodes, also those of branches and loops."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _nodes(graph.node)


def _tensors(graph: Any, nodes: Sequence[Any]) -> Iterator[Any]:
    """All arrays of a file: the graph's, those of its branches and loops, and the constants."""
    graphs = [graph]
    for node in nodes:
        for attribute in node.attribute:
            graphs += [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
            yield from attribute.tensors
            if attribute.HasField("t"):
                yield attribute.t
            for sparse in (*attribute.sparse_tensors, attribute.sparse_tensor):
                yield from (sparse.values, sparse.indices)
    for each in graphs:
        yield from each.initializer
        for sparse in each.sparse_initializer:
            yield from (sparse.values, sparse.indices)


def _is_external(tensor: Any) -> bool:
    return bool(tensor.data_location == tensor.EXTERNAL)


def _location(tensor: Any, path: Path) -> str:
    """The name of the file that holds an array, below the folder of the ONNX file."""
    name = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    folder = path.parent.resolve()
    found = (folder / name).resolve()
    if not name or not found.is_relative_to(folder):
        raise ConfigurationError(
            f"{path}: its array '{tensor.name}' lies in '{name}', outside the file's folder: not opened; put the file "
            "itself into that folder, not a link to it"
        )
    if not found.is_file():
        raise ConfigurationError(f"{path}: the file '{name}', which holds its array '{tensor.name}', isn't beside it")
    return str(name)


def _tensor(value: Any) -> Tensor:
    import onnx

    kind = value.type.tensor_type
    type_ = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name if kind.elem_type else "no tensor"
    axes = tuple(
        axis.dim_value if axis.HasField("dim_value") and axis.dim_value > 0 else axis.dim_param or "?"
        for axis in kind.shape.dim
    )
    return Tensor(value.name, type_, axes)
