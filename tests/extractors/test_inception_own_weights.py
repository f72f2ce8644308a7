"""A really trained InceptionV3 as weights of one's own and as ONNX, against a vector of another framework."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.graphs.graph_network import INPUT, OUTPUT
from beam_pipelines.extractors.graphs.write_graph import write_graph
from beam_pipelines.extractors.networks.inception_v3 import InceptionV3Image, build_network
from beam_pipelines.extractors.onnx_networks.network import OnnxNetwork
from beam_pipelines.extractors.weights.network_weights import read_npz

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def golden(shared_data: Path) -> tuple[np.ndarray, np.ndarray]:
    """An input float32 [1, 299, 299, 3] as the network takes it, and the vector that tfjs gives."""
    given = np.random.RandomState(4242).uniform(-1, 1, (1, 299, 299, 3)).astype(np.float32)
    return given, read_npz(shared_data / "weights" / "inception_v3_nsfwjs_golden.npz")["pooled"]


@pytest.fixture(scope="module")
def trained(shared_data: Path) -> Any:
    """The network with the weights of the package nsfwjs, put in layer by layer."""
    stored = np.load(shared_data / "weights" / "inception_v3_nsfwjs.npz", allow_pickle=False)
    scales = dict(zip(stored["names"].tolist(), stored["quantization"], strict=True))
    network = build_network()
    for kind in ("conv2d", "batch_normalization"):
        layers = [layer for layer in network.layers if re.fullmatch(rf"{kind}(_\d+)?", layer.name)]
        # In the order of creation, in which the stored names count.
        layers.sort(key=lambda layer: _number(layer.name, kind))
        for number, layer in enumerate(layers, start=1):
            arrays = []
            for variable in layer.weights:
                name = f"{kind}_{number}/{variable.name}"
                scale, minimum = scales[name]
                arrays.append((stored[name].astype(np.float64) * scale + minimum).astype(np.float32))
            layer.set_weights(arrays)
    return network


def _number(name: str, kind: str) -> int:
    return int(name.removeprefix(kind).removeprefix("_") or 0)


def with_arrays(network: Any) -> bytes:
    """The network as an ONNX file that holds its arrays itself."""
    model = onnx.load_model_from_string(write_graph(network))
    variables = {f"{layer.name}/{each.name}": each.numpy() for layer in network.layers for each in layer.weights}
    for array in model.graph.initializer:
        if array.data_location == array.EXTERNAL:
            values = variables[array.name]
            values = values.transpose(3, 2, 0, 1) if values.ndim == 4 else values
            array.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), array.name))
    return model.SerializeToString()


def test_as_h5_of_both_layouts_and_as_onnx(trained: Any, golden: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    given, expected = golden
    np.testing.assert_allclose(trained.predict_on_batch(given)[0], expected, rtol=0, atol=1e-5)
    trained.save_weights(tmp_path / "mine.weights.h5")
    trained.save(tmp_path / "mine.h5")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 299, 299, 3), np.uint8)
    vectors = []
    for name in ("mine.weights.h5", "mine.h5"):
        loaded = InceptionV3Image(str(tmp_path / name), scaling=(0.0, 1.0), batch_size=2)
        np.testing.assert_allclose(loaded.network.predict_on_batch(given)[0], expected, rtol=0, atol=1e-5)
        vectors.append(loaded(pixels))
    path = tmp_path / "mine.onnx"
    path.write_bytes(with_arrays(trained))
    section = {"takes": "picture", "file": str(path), "size_px": 299, "layout": "nhwc"}
    config = ExtractConfig.model_validate({"networks": {"mine": section}})
    network = OnnxNetwork("mine", config.networks["mine"])
    padded = np.zeros((16, 299, 299, 3), np.float32)
    padded[0] = given[0]
    (found,) = network._session.run([OUTPUT], {INPUT: padded})
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-5)
    vectors.append(network(pixels))
    vectors.append(InceptionV3Image(str(tmp_path / "mine.h5"), scaling=(0.0, 1.0), engine="tensorflow")(pixels))
    assert np.ptp(vectors[0]) > 0.1
    for other in vectors[1:]:
        np.testing.assert_allclose(other, vectors[0], rtol=0, atol=1e-5)
