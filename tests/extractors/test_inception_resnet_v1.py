"""FaceNet's Inception-ResNet-v1 from both forms of its weights, against an independent forward pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from beam_pipelines.extractors.networks.inception_resnet_v1 import InceptionResnetV1Face, build_network, standardise
from beam_pipelines.extractors.weights import weight_files as weights
from beam_pipelines.extractors.weights.facenet_weights import RESIDUAL_SCALES, load_facenet
from beam_pipelines.extractors.weights.network_weights import read_npz
from beam_pipelines.foundation.errors import WeightsError

FOLDED = "inception_resnet_v1_20180402_folded.npz"


@pytest.fixture(scope="module")
def folded(shared_data: Path) -> dict[str, np.ndarray]:
    return read_npz(shared_data / "weights" / FOLDED)


@pytest.fixture(scope="module")
def golden(shared_data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Standardised input and the embedding that an independent forward pass in float64 gives."""
    faces = np.random.RandomState(20180402).uniform(-1, 1, (2, 160, 160, 3)).astype(np.float32)
    embedding = read_npz(shared_data / "weights" / "inception_resnet_v1_20180402_golden.npz")["embedding"]
    return faces, embedding


def write_published_layout(path: Path, folded: dict[str, np.ndarray]) -> None:
    """Un-folds the network with made-up statistics into keras-facenet's layout: normalisations, scales and all."""
    generator = np.random.default_rng(9)
    layers: dict[str, dict[str, np.ndarray]] = {"input_1": {}}
    for layer in sorted({key.split("/")[0] for key in folded}):
        kernel, bias = (folded[f"{layer}/{name}"].astype(np.float64) for name in ("kernel", "bias"))
        if layer in RESIDUAL_SCALES:
            scale = RESIDUAL_SCALES[layer]
            layers[layer] = {"kernel:0": kernel / scale, "bias:0": bias / scale}
            continue
        variance, mean = generator.uniform(0.05, 4, bias.shape), generator.normal(0, 1, bias.shape)
        deviation = np.sqrt(variance + 0.001)
        layers[layer] = {"kernel:0": kernel * deviation}
        layers[f"{layer}_BatchNorm"] = {
            "beta:0": bias + mean / deviation,
            "moving_mean:0": mean,
            "moving_variance:0": variance,
        }
        layers[f"{layer}_Activation"] = {}
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([name.encode() for name in layers])
        file.attrs["backend"] = b"tensorflow"
        for layer, arrays in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = np.array([f"{layer}/{name}".encode() for name in arrays], dtype="S")
            for name, array in arrays.items():
                group.create_dataset(f"{layer}/{name}", data=array.astype(np.float32))


@pytest.fixture(scope="module")
def published(folded: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("facenet") / "20180402-114759-weights.h5"
    write_published_layout(path, folded)
    return path


@pytest.fixture(scope="module")
def face(shared_data: Path) -> InceptionResnetV1Face:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(weights.DIRECTORY_VARIABLE, str(shared_data / "weights"))
        return InceptionResnetV1Face("facenet_vggface2_folded", batch_size=2)


@pytest.fixture(scope="module")
def empty() -> keras.Model:
    return build_network()


def test_the_folded_weights_match_the_golden(face: InceptionResnetV1Face, golden) -> None:
    np.testing.assert_allclose(face.network.predict_on_batch(golden[0]), golden[1], rtol=0, atol=1e-5)
    assert face.description()["weights"] == weights.TABLE["facenet_vggface2_folded"].sha256


def test_the_published_layout_matches_the_golden_on_both_engines(empty: keras.Model, published: Path, golden) -> None:
    load_facenet(empty, published)
    by_keras = empty.predict_on_batch(golden[0])
    np.testing.assert_allclose(by_keras, golden[1], rtol=0, atol=1e-5)
    face = InceptionResnetV1Face(str(published), batch_size=2)
    np.testing.assert_allclose(face.network.predict_on_batch(golden[0]), by_keras, rtol=0, atol=1e-6)


def test_standardisation() -> None:
    values = standardise(np.array([0, 127, 255], np.uint8))
    np.testing.assert_array_equal(values, np.array([-127.5, -0.5, 127.5], np.float32) / 128)


def test_the_folded_form_that_does_not_fit_names_file_and_key(empty: keras.Model, tmp_path: Path) -> None:
    keys = [f"{layer.name}/{weight.name}" for layer in empty.layers for weight in layer.weights]
    small: dict[str, Any] = {key: np.zeros((1,), np.float32) for key in keys}
    for change, message in (
        ({**small}, r"bad\.npz: '\S+' has the shape \[1\]"),
        ({key: value for key, value in small.items() if key != "Bottleneck/bias"}, "'Bottleneck/bias' is absent"),
        ({**small, "Logits/kernel": small["Bottleneck/bias"]}, "'Logits/kernel' belongs to no layer"),
    ):
        np.savez(tmp_path / "bad.npz", **change)
        with pytest.raises(WeightsError, match=message):
            load_facenet(empty, tmp_path / "bad.npz")


class Hostile:
    """Runs code when it is unpickled."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.marker,))


def test_pickled_objects_in_an_npz_are_refused_unrun(empty: keras.Model, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    arrays: dict[str, Any] = {"Bottleneck/bias": np.array([Hostile(marker)], dtype=object)}
    np.savez(tmp_path / "hostile.npz", **arrays)
    with pytest.raises(WeightsError, match=r"hostile\.npz"):
        load_facenet(empty, tmp_path / "hostile.npz")
    assert not marker.exists()


@pytest.mark.parametrize("name", ["bad.npz", "bad.h5", "bad.pkl"])
def test_a_file_of_another_kind(name: str, empty: keras.Model, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"neither the one nor the other")
    with pytest.raises(WeightsError, match=name):
        load_facenet(empty, tmp_path / name)


@pytest.mark.parametrize("kind", ["soft link", "external link", "external storage", "text", "gone", "normalisation"])
def test_an_h5_that_leads_elsewhere_or_lacks_something(kind: str, empty: keras.Model, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.h5"
    with h5py.File(elsewhere, "w") as file:
        file["secret"] = np.zeros((3, 3, 3, 32), np.float32)
    path = tmp_path / "linked.h5"
    layer = "Conv2d_1a_3x3"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer]
        group = file.create_group(layer)
        group.attrs["weight_names"] = [f"{layer}/kernel:0"]
        inner = group.create_group(layer)
        if kind == "soft link":
            file["other"] = np.zeros((3, 3, 3, 32), np.float32)
            inner["kernel:0"] = h5py.SoftLink("/other")
        elif kind == "external link":
            inner["kernel:0"] = h5py.ExternalLink(str(elsewhere), "secret")
        elif kind == "external storage":
            inner.create_dataset("kernel:0", (4,), np.float32, external=[(str(elsewhere), 0, 16)])
        elif kind == "text":
            inner["kernel:0"] = "kernel"
        elif kind == "normalisation":
            inner["kernel:0"] = np.zeros((3, 3, 3, 32), np.float32)
    message = f"{layer}_BatchNorm' is absent" if kind == "normalisation" else f"{layer}/kernel:0' is"
    with pytest.raises(WeightsError, match=message):
        load_facenet(empty, path)
