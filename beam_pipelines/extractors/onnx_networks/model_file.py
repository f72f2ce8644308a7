"""An ONNX file as data: its inputs, outputs, operators, the files beside it, and its hashes. Nothing of it is run.

A file may come from anywhere. So operators must be ONNX Runtime's own (no library is ever loaded for others), and large
arrays must lie in files of the same folder: a name that leads out of it could read any file of the machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from beam_pipelines.extractors.weights import weight_files
from beam_pipelines.foundation.errors import ConfigurationError

OPERATORS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""The sets of operators that ONNX Runtime has itself."""

_ADDRESS = "_MEM_ADDR_"
"""What ONNX Runtime's marks for an array at an address of this process's memory have in the place of a file's name."""

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


def read_model_file(path: Path) -> ModelFile:
    """Reads and checks a file. It is read once per process, and again when it has changed.

    Raises:
        ConfigurationError: if it is no ONNX file, has operators that aren't ONNX Runtime's, or names files outside its
            folder.
    """
    read, names = _read(path, weight_files.file_digest(path))
    return replace(read, external={name: weight_files.file_digest(path.parent / name) for name in names})


@lru_cache(maxsize=16)
def _read(path: Path, sha256: str) -> tuple[ModelFile, tuple[str, ...]]:
    """A file without the hashes of those beside it, and their names."""
    import onnx

    try:
        model = onnx.load_model(path, load_external_data=False)
    except Exception as error:  # onnx and protobuf have no common base of their errors
        raise ConfigurationError(f"{path}: not readable as an ONNX file: {error}") from error
    if not model.graph.node:
        raise ConfigurationError(f"{path}: not an ONNX file, or one without any operator")
    nodes, tensors = _nodes_and_tensors(model)
    own = {function.domain for function in model.functions}
    strange = sorted(
        {f"{n.domain}.{n.op_type}" for n in nodes if n.domain not in {*OPERATORS, *own} or n.op_type == _NOT_RUN_HERE}
    )
    if strange:
        raise ConfigurationError(
            f"{path}: its operators {', '.join(strange)} aren't ONNX Runtime's own, and no library is loaded for them"
        )
    names = {_location(tensor, path) for tensor in tensors if tensor.data_location == tensor.EXTERNAL}
    given = {tensor.name for tensor in model.graph.initializer}
    read = ModelFile(
        path,
        sha256,
        {},
        tuple(_tensor(each) for each in model.graph.input if each.name not in given),
        tuple(_tensor(each) for each in model.graph.output),
        dict(sorted(Counter(node.op_type for node in nodes).items())),
    )
    if not all(text.isprintable() for text in (*map(str, (*read.inputs, *read.outputs)), *read.operators, *names)):
        raise ConfigurationError(f"{path}: its names have control characters")
    if not (read.inputs and read.outputs):
        raise ConfigurationError(f"{path}: the network takes nothing, or gives nothing")
    return read, tuple(sorted(names))


def _nodes_and_tensors(model: Any) -> tuple[list[Any], list[Any]]:
    """All operators and arrays of a file: the graph's, and those of functions, their defaults, branches and loops."""
    nodes: list[Any] = []
    tensors: list[Any] = []
    parts = [model.graph, *model.functions]
    while parts:
        part = parts.pop()
        nodes += part.node
        # A graph has arrays of its own, a function has defaults of its operators' attributes.
        tensors += getattr(part, "initializer", ())
        sparse = [*getattr(part, "sparse_initializer", ())]
        attributes = [*getattr(part, "attribute_proto", ()), *(each for node in part.node for each in node.attribute)]
        for attribute in attributes:
            parts += [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
            tensors += [*attribute.tensors, attribute.t]
            sparse += [*attribute.sparse_tensors, attribute.sparse_tensor]
        tensors += (array for each in sparse for array in (each.values, each.indices))
    return nodes, tensors


def _location(tensor: Any, path: Path) -> str:
    """The name of the file that holds an array, below the folder of the ONNX file."""
    names = [entry.value for entry in tensor.external_data if entry.key == "location"]
    place = f"{path}: its array {tensor.name!r} lies in {', '.join(map(repr, names))}"
    if any(_ADDRESS in name for name in names):
        raise ConfigurationError(f"{place}: an address in memory, which isn't read")
    if len(names) != 1:
        raise ConfigurationError(f"{place}: not in one file")
    folder = path.parent.resolve()
    try:
        found = (folder / names[0]).resolve()
        is_there = found.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # too long, with a zero byte, or links in a circle
        raise ConfigurationError(f"{place}: {error}") from error
    if not found.is_relative_to(folder):
        raise ConfigurationError(
            f"{place}, outside the file's folder: not opened; put the file itself into that folder, not a link to it"
        )
    if not is_there:
        raise ConfigurationError(
            f"{path}: the file {names[0]!r}, which holds its array {tensor.name!r}, isn't beside it"
        )
    return str(names[0])


def _tensor(value: Any) -> Tensor:
    import onnx

    kind = value.type.tensor_type
    try:
        type_ = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
    except KeyError:
        type_ = "no tensor"
    axes = tuple(
        axis.dim_value if axis.HasField("dim_value") and axis.dim_value > 0 else axis.dim_param or "?"
        for axis in kind.shape.dim
    )
    return Tensor(value.name, type_, axes)
