"""MTCNN's three networks on ONNX Runtime, written as graphs from the package's weights; TensorFlow isn't imported.

Pictures are shrunk and boxes cut out as TensorFlow does: `ResizeArea` (a pixel is the mean of what it covers, here two
products with sparse matrices) and `CropAndResize` (an operator of ONNX Runtime's own set too).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from beam_pipelines.extractors.networks.mtcnn.boxes import OUTPUT_SIZE_PX, REFINE_SIZE_PX
from beam_pipelines.extractors.onnx_networks.session import CONTRIBUTED, OPSET, start_session

_Pixels = tuple[np.ndarray, np.ndarray]
"""The same pictures as [W, H, n, 3], whose columns are shrunk first, and as [n, 3, H, W], to cut boxes out."""


class OnnxNetworks:
    """The three networks.

    Args:
        weights: the content of the package's weight files, whose hashes are right.
        threads: compute threads of an operation.
    """

    def __init__(self, weights: Mapping[str, bytes], threads: int = 1):
        import joblib

        pnet, rnet, onet = (joblib.load(io.BytesIO(weights[f"{name}.lz4"])) for name in ("pnet", "rnet", "onet"))
        graphs = (
            _proposing(pnet),
            _judging(rnet, REFINE_SIZE_PX, convolutions=3, pools=(3, 3)),
            _judging(onet, OUTPUT_SIZE_PX, convolutions=4, pools=(3, 3, 2), landmarks=True),
        )
        # A film's pyramid has ten sizes, and films differ: an arena would keep memory for each of them.
        self._propose, self._refine, self._finish = (start_session(graph, threads, arena=False) for graph in graphs)

    def pixels(self, images: np.ndarray) -> _Pixels:
        """Pictures float32 [n, H, W, 3] as the methods below take them, in both orders: each is made once."""
        return np.ascontiguousarray(images.transpose(2, 1, 0, 3)), np.ascontiguousarray(images.transpose(0, 3, 1, 2))

    def propose(self, pixels: _Pixels, height_px: int, width_px: int) -> tuple[np.ndarray, np.ndarray]:
        """Offsets [n, h, w, 4] and scores [n, h, w] of the first network's cells in pictures shrunk to a size."""
        by_columns, _ = pixels
        columns, rows, pictures, channels = by_columns.shape
        narrow = _covering(columns, width_px) @ by_columns.reshape(columns, -1)
        narrow = narrow.reshape(width_px, rows, -1).transpose(1, 0, 2).reshape(rows, -1)
        shrunk = (_covering(rows, height_px) @ narrow).reshape(height_px, width_px, pictures, channels)
        # One picture at a time stays in the processor's caches: half the time of eight at once.
        answers = [
            self._propose.run(["offsets", "scores"], {"pixels": picture[None]})
            for picture in np.ascontiguousarray(shrunk.transpose(2, 3, 0, 1))
        ]
        offsets, scores = (np.concatenate(parts) for parts in zip(*answers, strict=True))
        return offsets.transpose(0, 2, 3, 1), scores[:, 0]

    def refine(self, pixels: _Pixels, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Offsets [k, 4] and scores [k] of boxes by the second network."""
        return _judge(self._refine, pixels, boxes)

    def finish(self, pixels: _Pixels, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Offsets [k, 4] and scores [k] of boxes by the third network."""
        return _judge(self._finish, pixels, boxes)


def _judge(session: Any, pixels: _Pixels, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, by_pictures = pixels
    height, width = by_pictures.shape[2:]
    feeds = {
        "pixels": by_pictures,
        "corners": (boxes[:, [2, 1, 4, 3]] / [height, width, height, width]).astype(np.float32),
        "pictures": boxes[:, 0].astype(np.int32),
    }
    offsets, scores = session.run(["offsets", "scores"], feeds)
    return offsets, scores[:, 1]


@lru_cache(maxsize=64)
def _covering(pixels: int, wanted: int) -> Any:
    """The matrix [wanted, pixels] that makes means over equal stretches of a row of pixels, float32, sparse."""
    from scipy import sparse

    # In float32, as TensorFlow's ResizeArea computes where a stretch begins.
    length = np.float32(pixels) / np.float32(wanted)
    edges = np.minimum(np.arange(wanted + 1, dtype=np.float32) * length, pixels).astype(np.float64)[:, None]
    left = np.arange(pixels)
    covered = np.minimum(left + 1, edges[1:]) - np.maximum(left, edges[:-1])
    return sparse.csr_array((np.maximum(covered, 0) / float(length)).astype(np.float32))


def _graph(nodes: list[Any], arrays: list[Any], inputs: dict[str, tuple[int, list[Any]]]) -> bytes:
    from onnx import TensorProto, helper

    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("offsets", "scores")]
    given = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()]
    sets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIBUTED, 1)]
    graph = helper.make_graph(nodes, "mtcnn", given, outputs, arrays)
    return helper.make_model(graph, opset_imports=sets, ir_version=9).SerializeToString()


class _Parts:
    """The nodes and arrays of a graph, one layer after the other; weights are taken in the order of the file."""

    def __init__(self, weights: list[np.ndarray]):
        self.nodes: list[Any] = []
        self.arrays: list[Any] = []
        self._weights = iter(weights)

    def add(
        self, operator: str, inputs: str | list[str], *arrays: np.ndarray, output: str = "", **attributes: Any
    ) -> str:
        """Adds a node with these arrays as its last inputs, and returns the name of its output."""
        from onnx import helper, numpy_helper

        output = output or f"x{len(self.nodes)}"
        names = [f"{output}/{number}" for number in range(len(arrays))]
        for array, name in zip(arrays, names, strict=True):
            self.arrays.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        inputs = inputs if isinstance(inputs, list) else [inputs]
        self.nodes.append(helper.make_node(operator, [*inputs, *names], [output], **attributes))
        return output

    def convolution(self, x: str, output: str = "") -> str:
        """A convolution without padding."""
        return self.add("Conv", x, _turned(next(self._weights)), next(self._weights), output=output)

    def dense(self, x: str, output: str = "") -> str:
        """A layer of all inputs to all outputs."""
        return self.add("Gemm", x, next(self._weights), next(self._weights), output=output)

    def prelu(self, x: str) -> str:
        """max(x, 0) + slope min(x, 0), a slope a channel.

        After convolutions it is written as slope x + (1 - slope) max(x, 0): ONNX Runtime has such products, and not
        PRelu, for the order of channels in which its convolutions compute, and reorders them otherwise.
        """
        slopes = next(self._weights)
        if slopes.ndim == 1:
            return self.add("PRelu", x, slopes)
        slopes = slopes.reshape(-1, 1, 1, 1)
        scaled = self.add("Conv", x, slopes, group=len(slopes))
        positive = self.add("Conv", self.add("Relu", x), np.float32(1) - slopes, group=len(slopes))
        return self.add("Add", [scaled, positive])

    def pool(self, x: str, size: int, padding: str) -> str:
        """The largest of size x size places, every second one."""
        return self.add("MaxPool", x, kernel_shape=[size, size], strides=[2, 2], auto_pad=padding)


def _turned(kernel: np.ndarray) -> np.ndarray:
    """A kernel [height, width, in, out] as ONNX has it."""
    return kernel.transpose(3, 2, 0, 1)


def _proposing(weights: list[np.ndarray]) -> bytes:
    """The first network: pixels float32 [n, 3, h, w] -> offsets [n, 4, h', w'], scores [n, 1, h', w'].

    Its first ten channels are filled up to sixteen, which its convolutions compute anyway.
    """
    from onnx import TensorProto

    kernel, bias, slopes, next_kernel, *others, kernel_of_scores, bias_of_scores = weights
    more = 16 - len(bias)
    filled = [
        np.pad(kernel, ((0, 0),) * 3 + ((0, more),)),
        np.pad(bias, (0, more)),
        np.pad(slopes, ((0, 0),) * 2 + ((0, more),)),
    ]
    next_kernel = np.pad(next_kernel, ((0, 0),) * 2 + ((0, more), (0, 0)))
    parts = _Parts([*filled, next_kernel, *others])
    x = parts.pool(parts.prelu(parts.convolution("pixels")), 2, "SAME_UPPER")
    x = parts.prelu(parts.convolution(parts.prelu(parts.convolution(x))))
    parts.convolution(x, output="offsets")
    # Of two classes, softmax's second value is the logistic function of their difference.
    kernel, bias = (_second_minus_first(each) for each in (kernel_of_scores, bias_of_scores))
    parts.add("Sigmoid", parts.add("Conv", x, _turned(kernel), bias), output="scores")
    return _graph(parts.nodes, parts.arrays, {"pixels": (TensorProto.FLOAT, ["n", 3, "h", "w"])})


def _second_minus_first(array: np.ndarray) -> np.ndarray:
    return array[..., 1:] - array[..., :1]


def _judging(
    weights: list[np.ndarray], size_px: int, convolutions: int, pools: tuple[int, ...], landmarks: bool = False
) -> bytes:
    """The second or third network: pixels float32 [n, 3, H, W] and boxes -> offsets [k, 4], scores [k, 2].

    Args:
        weights: the arrays of its file.
        size_px: side to which boxes are scaled.
        convolutions: how many there are.
        pools: sizes of the pools after the first convolutions; the second is without padding, the others with.
        landmarks: whether the file has those too; nobody asks for them.
    """
    from onnx import TensorProto

    parts, size = _Parts(weights), np.array([size_px, size_px], np.int32)
    inputs = ["pixels", "corners", "pictures"]
    x = parts.add("CropAndResize", inputs, size, domain=CONTRIBUTED, mode="bilinear")
    for number in range(convolutions):
        x = parts.prelu(parts.convolution(x))
        if number < len(pools):
            x = parts.pool(x, pools[number], "VALID" if number == 1 else "SAME_UPPER")
    # The package's vectors run over columns, rows, channels.
    x = parts.add("Flatten", parts.add("Transpose", x, perm=[0, 3, 2, 1]))
    x = parts.prelu(parts.dense(x))
    parts.dense(x, output="offsets")
    if landmarks:
        parts.dense(x, output="landmarks")
    parts.add("Softmax", parts.dense(x), output="scores", axis=1)
    return _graph(
        parts.nodes,
        parts.arrays,
        {
            "pixels": (TensorProto.FLOAT, ["n", 3, "h", "w"]),
            "corners": (TensorProto.FLOAT, ["k", 4]),
            "pictures": (TensorProto.INT32, ["k"]),
        },
    )
