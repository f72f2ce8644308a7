"""VGG16's fc1 against Keras' own VGG16 with the same weights, and against a forward pass in NumPy."""

from __future__ import annotations

import math
from pathlib import Path

import h5py
import keras
import numpy as np
import onnx
from scipy.signal import correlate2d

from beam_pipelines.extractors.graphs.graph_network import GraphNetwork, graph_of
from beam_pipelines.extractors.networks.vgg16 import BLOCKS, VGG16Image, build_network, load_published, standardise
from beam_pipelines.extractors.weights.network_weights import draw_weights

# Inputs of the size that ImageNet's means leave.
PICTURES = np.random.default_rng(3).integers(0, 256, (2, 32, 32, 3), np.uint8)


def test_keras_own_network_gives_the_same(tmp_path: Path) -> None:
    ours = build_network(size_px=32)
    draw_weights(ours, 5)
    theirs = keras.applications.VGG16(weights=None, include_top=False, input_shape=(32, 32, 3), pooling=None)
    convolutions = [layer for layer in ours.layers if layer.weights][:-1]
    for layer in convolutions:
        theirs.get_layer(layer.name).set_weights(layer.get_weights())
    inputs = keras.applications.vgg16.preprocess_input(PICTURES.astype(np.float32))
    np.testing.assert_allclose(standardise(PICTURES), inputs, atol=1e-4)
    kernel, bias = ours.get_layer("fc1").get_weights()
    flat = np.asarray(theirs.predict_on_batch(inputs)).reshape(2, -1)
    expected = np.maximum(flat.astype(np.float64) @ kernel + bias, 0)
    assert (expected > 0).any()
    np.testing.assert_allclose(ours.predict_on_batch(inputs), expected, rtol=1e-4, atol=1e-3)


def test_numpy_gives_the_same() -> None:
    network = build_network(narrowing=32, size_px=32)
    draw_weights(network, 8)
    for layer in network.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, np.linspace(-1, 1, len(bias), dtype=np.float32)])
    x = standardise(PICTURES[:1])[0].astype(np.float64)
    for block, (convolutions, _) in enumerate(BLOCKS, start=1):
        for number in range(1, convolutions + 1):
            kernel, bias = network.get_layer(f"block{block}_conv{number}").get_weights()
            planes = [
                sum(correlate2d(x[:, :, i], kernel[:, :, i, o], mode="same") for i in range(kernel.shape[2])) + bias[o]
                for o in range(kernel.shape[3])
            ]
            x = np.maximum(np.stack(planes, -1), 0)
        x = x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, -1).max(axis=(1, 3))
    kernel, bias = network.get_layer("fc1").get_weights()
    expected = np.maximum(x.reshape(-1) @ kernel + bias, 0)
    np.testing.assert_allclose(network.predict_on_batch(standardise(PICTURES[:1]))[0], expected, rtol=1e-4, atol=1e-3)


def test_the_file_with_the_top_is_read_up_to_fc1(tmp_path: Path) -> None:
    network = build_network(narrowing=32, size_px=32)
    draw_weights(network, 8)
    path = tmp_path / "published.h5"
    with h5py.File(path, "w") as file:
        layers = [layer for layer in network.layers if layer.weights]
        file.attrs["layer_names"] = [name.encode() for name in (*(layer.name for layer in layers), "fc2")]
        for layer in layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}_W_1:0", f"{layer.name}_b_1:0"]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, array in zip(names, layer.get_weights(), strict=True):
                group[name] = array
        group = file.create_group("fc2")
        group.attrs["weight_names"] = [b"fc2_W_1:0"]
        group["fc2_W_1:0"] = np.zeros((128, 128), np.float32)
    other = build_network(narrowing=32, size_px=32)
    load_published(other, path)
    assert all(np.array_equal(a, b) for a, b in zip(other.get_weights(), network.get_weights(), strict=True))


def test_the_full_size_has_the_published_number_of_values() -> None:
    # VGG16 has 138,357,544; without fc2 (16,781,312) and predictions (4,097,000). Its graph is that of the Keras model
    # (`test_engines`), which takes 500 MB.
    path = graph_of(VGG16Image)
    assert path is not None
    network = GraphNetwork(path)
    values = sum(math.prod(variable.shape) for layer in network.layers for variable in layer.weights)
    assert values == 138_357_544 - 16_781_312 - 4_097_000
    assert network.output_shape == (None, VGG16Image.dimensions) == (None, 4096)
    (given,) = onnx.load(path, load_external_data=False).graph.input
    assert given.type.tensor_type.shape.dim[1].dim_value == VGG16Image.image_size_px == 224
