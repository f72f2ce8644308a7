"""Writes a network of the registry, a Keras model, as a graph of ONNX without its weights.

    python -m beam_pipelines.extractors.graphs.write_graph image vgg16 audio face

puts each one beside the module of its class; a test compares them with what this gives. (Keras's own `export` needs
tf2onnx, which doesn't install beside this TensorFlow.) Arrays are named `<layer>/<variable>`, in the order of Keras's
layers, and said to lie elsewhere: `graph_network` gives them. So a graph has some 50 kB, and one file of weights serves
both engines.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from beam_pipelines.extractors.graphs.graph_network import AXES_OF_CONVOLUTIONS, INPUT, OUTPUT, graph_of
from beam_pipelines.extractors.onnx_networks.session import OPSET

_IR_VERSION = 9
_ELSEWHERE = "the weights"
_WRITTEN: Mapping[str, Any] = MappingProxyType(
    {"data_format": "channels_last", "dilation_rate": (1, 1), "groups": 1, "center": True, "keepdims": False}
)
"""Settings of layers that have one value in graphs; another value would give another network."""


def written_anew(kind: Any) -> bytes:
    """The graph of a network's class, the same bytes in every process."""
    import keras

    # Layers without a name of their own are numbered through the process.
    keras.utils.clear_session()
    return write_graph(kind.build())


def write_graph(network: Any) -> bytes:
    """A functional Keras model with one input and one output as the content of an ONNX file.

    Raises:
        ValueError: if a layer is of a kind, or has a setting, that isn't known here.
    """
    from onnx import TensorProto, helper

    writer, names = _Writer(), {id(layer.output): layer.name for layer in network.layers}
    writer.rename(network.layers[0].name, INPUT)
    for layer in network.layers[1:]:
        given = layer.input if isinstance(layer.input, list) else [layer.input]
        writer.layer(layer, [names[id(tensor)] for tensor in given], layer.name)
    writer.node("Identity", [names[id(network.outputs[0])]], OUTPUT)
    graph = helper.make_graph(
        writer.nodes,
        network.name,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", *network.input_shape[1:]])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", network.output_shape[-1]])],
        writer.arrays,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)
    return bytes(model.SerializeToString(deterministic=True))


class _Writer:
    """Nodes and arrays of a graph. Channels come last in Keras and first in the graph, so names are of such tensors."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.arrays: list[Any] = []
        self._last: dict[str, str] = {}
        """Keras's name of a tensor -> the graph's name of the same with channels last, where a layer needs it."""

    def rename(self, keras_name: str, name: str) -> None:
        """Says that the graph's tensor `name`, channels last, is Keras's."""
        self._last[keras_name] = name

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        """Adds a node with one output, whose inputs have channels first."""
        from onnx import helper

        for name in inputs:
            if name in self._last:
                first = helper.make_node("Transpose", [self._last.pop(name)], [name], perm=[0, 3, 1, 2])
                self.nodes.append(first)
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))

    def layer(self, layer: Any, inputs: list[str], output: str) -> None:
        """Adds the nodes of a layer."""
        _refuse_unwritten(layer)
        kind = type(layer).__name__
        if kind == "Conv2D":
            arrays = self._arrays(layer)
            self._activated(layer, "Conv", inputs + arrays, output, strides=layer.strides, **_padding(layer))
        elif kind == "Dense":
            self._activated(layer, "Gemm", inputs + self._arrays(layer), output)
        elif kind == "BatchNormalization":
            names = self._arrays(layer)
            if not layer.scale:
                names.insert(0, self._constant(f"{layer.name}/ones", [1.0] * layer.moving_mean.shape[0]))
            self.node("BatchNormalization", inputs + names, output, epsilon=layer.epsilon)
        elif kind in ("MaxPooling2D", "AveragePooling2D"):
            window = {"kernel_shape": layer.pool_size, "strides": layer.strides, **_padding(layer)}
            self.node(kind.removesuffix("ing2D"), inputs, output, **window)
        elif kind == "GlobalAveragePooling2D":
            self.node("GlobalAveragePool", inputs, f"{output}/places")
            self.node("Flatten", [f"{output}/places"], output)
        elif kind == "Concatenate":
            self.node("Concat", inputs, output, axis=1)
        elif kind == "Add":
            self.node("Add", inputs, output)
        elif kind == "Activation" and layer.activation.__name__ == "relu":
            self.node("Relu", inputs, output)
        elif kind == "Flatten":
            self.node("Transpose", inputs, f"{output}/channels_last", perm=[0, 2, 3, 1])
            self.node("Flatten", [f"{output}/channels_last"], output)
        elif kind == "Reshape" and tuple(layer.output.shape[1:]) == (*layer.input.shape[1:], 1):
            # A channel is put in front instead of behind.
            (name,) = (self._last.pop(name) for name in inputs)
            self.node("Unsqueeze", [name, self._constant(f"{output}/axis", [1])], output)
        elif kind == "UnitNormalization":
            smallest = self._constant(f"{output}/smallest", 1e-12)
            self.node("ReduceSumSquare", inputs, f"{output}/square", axes=[1], keepdims=1)
            self.node("Max", [f"{output}/square", smallest], f"{output}/positive")
            self.node("Sqrt", [f"{output}/positive"], f"{output}/length")
            self.node("Div", [*inputs, f"{output}/length"], output)
        else:
            raise ValueError(f"{layer.name}: a layer of the kind {kind} isn't written")

    def _activated(self, layer: Any, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        activation = layer.activation.__name__
        if activation not in ("linear", "relu"):
            raise ValueError(f"{layer.name}: the activation {activation} isn't written")
        plain = output if activation == "linear" else f"{output}/linear"
        self.node(operator, inputs, plain, **attributes)
        if activation == "relu":
            self.node("Relu", [plain], output)

    def _arrays(self, layer: Any) -> list[str]:
        """The names of a layer's variables, whose values lie elsewhere; a convolution's kernel is turned around."""
        from onnx import TensorProto

        names = []
        for variable in layer.weights:
            shape = tuple(variable.shape)
            array = TensorProto(name=f"{layer.name}/{variable.name}", data_type=TensorProto.FLOAT)
            array.dims.extend((shape[3], shape[2], shape[0], shape[1]) if len(shape) == AXES_OF_CONVOLUTIONS else shape)
            array.data_location = TensorProto.EXTERNAL
            array.external_data.add(key="location", value=_ELSEWHERE)
            self.arrays.append(array)
            names.append(array.name)
        return names

    def _constant(self, name: str, values: Any) -> str:
        import numpy as np
        from onnx import numpy_helper

        array = np.asarray(values)
        self.arrays.append(
            numpy_helper.from_array(array.astype(np.float32) if array.dtype.kind == "f" else array, name)
        )
        return name


def _refuse_unwritten(layer: Any) -> None:
    for setting, written in _WRITTEN.items():
        if (found := getattr(layer, setting, written)) != written:
            raise ValueError(f"{layer.name}: {setting} {found!r} isn't written, only {written!r} is")
    last = len(layer.output.shape) - 1
    if getattr(layer, "axis", -1) not in (-1, last, [-1], [last]):
        raise ValueError(f"{layer.name}: axis {layer.axis!r} isn't written, only the last one is")


def _padding(layer: Any) -> dict[str, str]:
    return {"auto_pad": "SAME_UPPER" if layer.padding == "same" else "VALID"}


def main() -> None:
    """Writes the graphs of the modalities that the command names."""
    from beam_pipelines.extractors.registry import network_class

    for modality in sys.argv[1:]:
        kind = network_class(modality)
        path = graph_of(kind)
        assert path is not None, "the registry's classes lie in files"
        path.write_bytes(written_anew(kind))
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
