"""Small ONNX files with random weights, and their outputs by another engine: onnx's reference implementation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

OPSET = 19
TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "uint8": TensorProto.UINT8,
    "int64": TensorProto.INT64,
}


def write_onnx(
    path: Path,
    nodes: Sequence[Any],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Mapping[str, Sequence[int | str]],
    arrays: Mapping[str, np.ndarray],
    type_: str = "float32",
    **external: Any,
) -> Path:
    """Writes a network; `external` goes to onnx.save."""
    kinds = [
        [helper.make_tensor_value_info(name, TYPES[kind], axes) for name, axes in named.items()]
        for named, kind in ((inputs, type_), (outputs, "float32" if type_ in ("uint8", "int64") else type_))
    ]
    constants = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(list(nodes), "network", kinds[0], kinds[1], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.save(model, path, **external)
    return path


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    """A node; names are separated by spaces."""
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def pictures_network(
    path: Path, size_px: int = 24, batch: int | str = "batch", type_: str = "float32", **external: Any
) -> Path:
    """[n, 3, size, size] -> `embeds` [n, 5], and `tokens` [n, 9, 4]: what a vision transformer gives."""
    generator = np.random.default_rng(1)
    arrays = {
        "kernel": generator.normal(0, 0.3, (4, 3, size_px // 3, size_px // 3)),
        "matrix": generator.normal(0, 1, (4, 5)),
    }
    typed = {name: array.astype(type_) for name, array in arrays.items()}
    nodes = [
        node("Conv", "pixels kernel", "places", strides=[size_px // 3] * 2),
        node("Relu", "places", "active"),
        node("Reshape", "active four", "flat"),
        node("Transpose", "flat", "tokens", perm=[0, 2, 1]),
        node("GlobalAveragePool", "active", "mean"),
        node("Flatten", "mean", "row"),
        node("MatMul", "row matrix", "embeds"),
    ]
    inputs = {"pixels": [batch, 3, size_px, size_px]}
    outputs = {"embeds": [batch, 5], "tokens": [batch, 9, 4]}
    return write_onnx(path, nodes, inputs, outputs, {**typed, "four": np.array([0, 4, 9])}, type_, **external)


def quantised_network(path: Path, size_px: int) -> Path:
    """uint8 [n, size, size, 3] -> [n, 6], with weights in 8 bits and a static batch of 4."""
    generator = np.random.default_rng(2)
    arrays = {
        "weights": generator.integers(-128, 128, (size_px * size_px * 3, 6), np.int8),
        "scale": np.float32(0.004),
        "zero": np.int8(3),
    }
    nodes = [
        node("Cast", "bytes", "numbers", to=TensorProto.FLOAT),
        node("Flatten", "numbers", "row"),
        node("DequantizeLinear", "weights scale zero", "matrix"),
        node("MatMul", "row matrix", "vectors"),
    ]
    inputs = {"bytes": [4, size_px, size_px, 3]}
    return write_onnx(path, nodes, inputs, {"vectors": [4, 6]}, {k: np.asarray(v) for k, v in arrays.items()}, "uint8")


def sounds_network(path: Path, samples: int, step: int) -> Path:
    """[n, samples] -> `hidden` [n, samples / step, 3], one vector a step of time."""
    kernel = np.random.default_rng(3).normal(0, 0.2, (3, 1, step)).astype(np.float32)
    nodes = [
        node("Unsqueeze", "wave one", "channel"),
        node("Conv", "channel kernel", "steps", strides=[step]),
        node("Tanh", "steps", "bounded"),
        node("Transpose", "bounded", "hidden", perm=[0, 2, 1]),
    ]
    outputs = {"hidden": ["n", "time", 3]}
    return write_onnx(path, nodes, {"wave": ["n", samples]}, outputs, {"kernel": kernel, "one": np.array([1])})


def patches_network(path: Path, bands: int) -> Path:
    """[n, 1, 96, bands] -> [n, 7]."""
    matrix = np.random.default_rng(4).normal(0, 0.05, (96 * bands, 7)).astype(np.float32)
    nodes = [node("Flatten", "patches", "row"), node("MatMul", "row matrix", "vectors")]
    return write_onnx(path, nodes, {"patches": ["n", 1, 96, bands]}, {"vectors": ["n", 7]}, {"matrix": matrix})


def texts_network(path: Path, words: int, tokens: int | str = "tokens") -> Path:
    """`input_ids`, `attention_mask`, `token_type_ids`: int64 [n, tokens] -> `hidden` [n, tokens, 4], `first` [n, 4].

    The mean over the unmasked tokens is added to each, as attention does it.
    """
    generator = np.random.default_rng(5)
    arrays = {
        "words": generator.normal(0, 1, (words, 4)).astype(np.float32),
        "kinds": generator.normal(0, 1, (2, 4)).astype(np.float32),
        "one": np.array([1]),
        "two": np.array([2]),
        "zero": np.array(0),
    }
    nodes = [
        node("Gather", "words input_ids", "embedded"),
        node("Gather", "kinds token_type_ids", "kind"),
        node("Add", "embedded kind", "all"),
        node("Cast", "attention_mask", "mask", to=TensorProto.FLOAT),
        node("Unsqueeze", "mask two", "column"),
        node("Mul", "all column", "there"),
        node("ReduceSum", "there one", "sum", keepdims=1),
        node("ReduceSum", "column one", "count", keepdims=1),
        node("Div", "sum count", "mean"),
        node("Add", "all mean", "hidden"),
        node("Gather", "hidden zero", "first", axis=1),
    ]
    inputs = {name: ["n", tokens] for name in ("input_ids", "attention_mask", "token_type_ids")}
    outputs: dict[str, list[int | str]] = {"hidden": ["n", tokens, 4], "first": ["n", 4]}
    return write_onnx(path, nodes, inputs, outputs, arrays, "int64")


def reference(path: Path, output: str, *values: np.ndarray) -> np.ndarray:
    """An output of a file by onnx's reference implementation, which shares no code with ONNX Runtime."""
    evaluator = ReferenceEvaluator(str(path))
    (found,) = evaluator.run([output], dict(zip(evaluator.input_names, values, strict=True)))
    return np.asarray(found)


def squares_detector(
    path: Path, coding: str, height_px: int = 32, width_px: int = 48, cell_px: int = 8, batch: int | str = "n"
) -> Path:
    """Finds bright cells: each cell of a picture [n, 3, height, width] in [0, 1] is a box, its red mean the score.

    The outputs are `boxes` and `scores`, as `extract.face.detector.coding` says. With corners there are two classes,
    and each box is there a second time, a pixel wider and with .9 of the score. With cells `sure` is the score again.
    """
    rows, columns = np.mgrid[: height_px // cell_px, : width_px // cell_px].reshape(2, -1).astype(np.float32) * cell_px
    corners = np.stack([columns, rows, columns + cell_px, rows + cell_px], axis=1)
    if coding == "cells":
        boxes = np.tile(np.array([0.5, 0.5, 0, 0], np.float32), (len(rows), 1))
    else:
        boxes = np.concatenate([corners, corners + np.array([0, 0, 1, 0], np.float32)])
        boxes /= np.float32([width_px, height_px] * 2) if coding == "corners_in_shares" else 1
    arrays = {
        "red": np.array([0]),
        "places": boxes[None].astype(np.float32),
        "flat": np.array([0, -1, 1]),
        "none": np.float32(0),
        "one": np.float32(1),
        "less": np.float32(0.9),
    }
    nodes = [
        node("AveragePool", "pixels", "means", kernel_shape=[cell_px] * 2, strides=[cell_px] * 2),
        node("Gather", "means red", "reds", axis=1),
        node("Reshape", "reds flat", "face"),
    ]
    if coding == "cells":
        nodes += [
            node("Identity", "face", "scores"),
            node("Identity", "face", "sure"),
            node("Mul", "face none", "zero"),
        ]
    else:
        nodes += [
            node("Mul", "face less", "again"),
            node("Concat", "face again", "both", axis=1),
            node("Sub", "one both", "background"),
            node("Concat", "background both", "scores", axis=2),
            node("Mul", "both none", "zero"),
        ]
    nodes.append(node("Add", "zero places", "boxes"))
    found = {"boxes": [batch, len(boxes), 4], "scores": [batch, len(boxes), 1 if coding == "cells" else 2]}
    outputs = {**found, **({"sure": [batch, len(boxes), 1]} if coding == "cells" else {})}
    return write_onnx(path, nodes, {"pixels": [batch, 3, height_px, width_px]}, outputs, arrays)
