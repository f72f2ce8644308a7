"""Writes a Keras network of the kinds of layers that InceptionV3 has as an ONNX file.

    python -m benchmarks.onnx_export WEIGHTS.h5 inception_v3.onnx

writes InceptionV3 with weights of one's own, up to its average pool: float32 [n, 3, 299, 299] -> `pooled` [n, 2048].
Keras's own `export` needs tf2onnx, which doesn't install beside this TensorFlow.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
INPUT, OUTPUT = "pictures", "pooled"


def export_onnx(network: Any, path: Path) -> Path:
    """Writes a functional Keras model with one input and one output; channels come first in the file.

    Raises:
        ValueError: if a layer is of another kind.
    """
    nodes: list[Any] = []
    arrays: list[Any] = []
    for layer in network.layers:
        inputs = [] if layer is network.layers[0] else [tensor.name for tensor in _tensors(layer.input)]
        nodes += _nodes(layer, [_name(network, name) for name in inputs], _name(network, layer.output.name), arrays)
    height, width, channels = network.input_shape[1:]
    graph = helper.make_graph(
        nodes,
        network.name,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", channels, height, width])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", network.output_shape[-1]])],
        arrays,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9), path)
    return path


def _tensors(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]


def _name(network: Any, tensor: str) -> str:
    return {network.inputs[0].name: INPUT, network.outputs[0].name: OUTPUT}.get(tensor, tensor)


def _nodes(layer: Any, inputs: list[str], output: str, arrays: list[Any]) -> list[Any]:
    """The nodes of a layer; its arrays are added to `arrays`."""
    kind, names = type(layer).__name__, []

    def array(name: str, values: Any) -> str:
        arrays.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), f"{layer.name}/{name}"))
        return f"{layer.name}/{name}"

    if kind == "InputLayer":
        return []
    if kind == "Conv2D":
        names = [array("kernel", np.transpose(layer.kernel.numpy(), (3, 2, 0, 1)))]
        if layer.use_bias:
            names.append(array("bias", layer.bias.numpy()))
        return [helper.make_node("Conv", [*inputs, *names], [output], strides=layer.strides, **_padding(layer))]
    if kind == "BatchNormalization":
        mean, variance, beta = (getattr(layer, name).numpy() for name in ("moving_mean", "moving_variance", "beta"))
        gamma = layer.gamma.numpy() if layer.scale else np.ones_like(mean)
        given = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
        names = [array(name, values) for name, values in given.items()]
        return [helper.make_node("BatchNormalization", [*inputs, *names], [output], epsilon=layer.epsilon)]
    if kind in ("MaxPooling2D", "AveragePooling2D"):
        window = {"kernel_shape": layer.pool_size, "strides": layer.strides, **_padding(layer)}
        return [helper.make_node(kind.removesuffix("ing2D"), inputs, [output], **window)]
    if kind == "GlobalAveragePooling2D":
        pooled = helper.make_node("GlobalAveragePool", inputs, [f"{output}/places"])
        return [pooled, helper.make_node("Flatten", [f"{output}/places"], [output])]
    if kind == "Concatenate":
        return [helper.make_node("Concat", inputs, [output], axis=1)]
    if kind == "Activation" and layer.activation.__name__ == "relu":
        return [helper.make_node("Relu", inputs, [output])]
    raise ValueError(f"{layer.name}: a layer of the kind {kind} isn't written")


def _padding(layer: Any) -> dict[str, str]:
    return {"auto_pad": "SAME_UPPER" if layer.padding == "same" else "VALID"}


def main() -> None:
    """Writes InceptionV3 with the weights of a file."""
    from beam_pipelines.extractors.networks.inception_v3 import InceptionV3Image

    weights, path = sys.argv[1:]
    print(export_onnx(InceptionV3Image(weights).network, Path(path)))


if __name__ == "__main__":
    main()
