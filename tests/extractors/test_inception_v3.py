"""InceptionV3 from a file in the layout in which Keras publishes it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from beam_pipelines.extractors.batching.fixed_batch import FixedBatchNetwork
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import describe_tracks
from beam_pipelines.extractors.networks.inception_v3 import InceptionV3Image, build_network, load_published, standardise
from beam_pipelines.extractors.weights.network_weights import (
    KERAS_3_SUFFIX,
    assign_by_name,
    assign_by_order,
    draw_weights,
    read_keras3_h5,
    read_keras_h5,
)
from beam_pipelines.foundation.errors import WeightsError


@pytest.mark.parametrize("root", ["layers", "model_weights"])
def test_weights_whose_root_is_a_link_are_refused(root: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "elsewhere.h5", "w") as file:
        file.create_group(root).attrs["layer_names"] = []
    path = tmp_path / "mine.h5"
    with h5py.File(path, "w") as file:
        file[root] = h5py.ExternalLink("elsewhere.h5", root)
    with pytest.raises(WeightsError, match=f"'{root}' is not a group"):
        read_keras3_h5(path, small_network(top=False)) if root == "layers" else read_keras_h5(path)


def write_published(network: keras.Model, folder: Path) -> Path:
    """A weight file written by Keras's own writer of the old layout, one level up as the published file has it."""
    whole = folder / "whole.h5"
    network.save(whole)
    path = folder / "notop.h5"
    with h5py.File(whole) as source, h5py.File(path, "w") as target:
        for name, value in source["model_weights"].attrs.items():
            target.attrs[name] = value
        for name in source["model_weights"]:
            source.copy(source["model_weights"][name], target, name)
    whole.unlink()
    return path


@pytest.mark.slow  # small networks have quick tests, and the graph is compared with Keras's by `test_engines`
def test_the_published_layout_gives_the_same_network(untrained_image: InceptionV3Image, tmp_path: Path) -> None:
    network = build_network()
    draw_weights(network, 0)
    published, expected = write_published(network, tmp_path), network.get_weights()
    # Keras's own loader reads the file alike, which is how the published one is meant.
    for load in (load_published, keras.Model.load_weights):
        network.set_weights([np.full_like(weight, -1) for weight in expected])
        load(network, published)
        assert all(np.array_equal(a, b) for a, b in zip(network.get_weights(), expected, strict=True))
    pictures = np.random.default_rng(0).integers(0, 256, (4, 299, 299, 3), np.uint8)
    by_keras = FixedBatchNetwork(network, standardise, 4)(pictures)
    for mine in (untrained_image, InceptionV3Image(str(published), batch_size=4)):
        np.testing.assert_allclose(mine(pictures), by_keras, rtol=0, atol=1e-5 * np.abs(by_keras).max())


def test_standardisation_is_the_one_of_keras_applications() -> None:
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=-1)
    expected = keras.applications.inception_v3.preprocess_input(images.astype(np.float32))
    np.testing.assert_allclose(standardise(images), expected, atol=1e-6)


def small_network(top: bool) -> keras.Model:
    """Layers of the kinds of InceptionV3, and, as a fine-tuned network has them, two above them."""
    x = pictures = keras.Input((8, 8, 3))
    for filters in (4, 5):
        x = keras.layers.Conv2D(filters, 3, use_bias=False)(x)
        x = keras.layers.BatchNormalization(scale=False)(x)
        x = keras.layers.Activation("relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    if top:
        x = keras.layers.Dense(2)(keras.layers.Dense(3)(x))
    network = keras.Model(pictures, x)
    generator = np.random.default_rng(len(network.weights))
    network.set_weights([generator.uniform(0.5, 1, weight.shape) for weight in network.weights])
    return network


@pytest.mark.parametrize("top", [False, True])
def test_weights_of_a_fine_tuned_network_in_both_layouts(top: bool, tmp_path: Path) -> None:
    theirs, pictures = small_network(top), np.random.default_rng(1).uniform(size=(1, 8, 8, 3))
    expected = theirs.layers[-3 if top else -1].output
    answer = keras.Model(theirs.input, expected).predict_on_batch(pictures)
    theirs.save_weights(tmp_path / "mine.weights.h5")
    theirs.save(tmp_path / "mine.h5")
    for name in ("mine.weights.h5", "mine.h5"):
        mine = small_network(top=False)
        mine.set_weights([np.zeros(weight.shape) for weight in mine.weights])
        path = tmp_path / name
        if name.endswith(KERAS_3_SUFFIX):
            assign_by_name(mine, read_keras3_h5(path, mine), path)
        else:
            assign_by_order(mine, read_keras_h5(path), path)
        np.testing.assert_array_equal(mine.predict_on_batch(pictures), answer)
    larger = keras.Model(
        theirs.input, keras.layers.Conv2D(2, 1)(theirs.layers[-3 if top else -1].output[:, None, None])
    )
    with pytest.raises(WeightsError, match=r"mine\.weights\.h5: '/layers/conv2d_2/vars/0' is absent or a link"):
        read_keras3_h5(tmp_path / "mine.weights.h5", larger)
    larger.save_weights(tmp_path / "larger.weights.h5")
    with pytest.raises(WeightsError, match="'conv2d_2' belongs to no layer"):
        read_keras3_h5(tmp_path / "larger.weights.h5", small_network(top=False))
    with pytest.raises(WeightsError, match=r"not a \.weights\.h5 file of Keras 3"):
        read_keras3_h5(tmp_path / "mine.h5", small_network(top=False))


def test_weights_of_ones_own_are_in_the_fingerprint_with_their_scaling(tmp_path: Path) -> None:
    (tmp_path / "mine.h5").write_bytes(b"weights")

    def described(**image: object) -> dict[str, object]:
        section = {"weights": str(tmp_path / "mine.h5"), **image}
        return describe_tracks(ExtractConfig.model_validate({"modalities": ["image"], "image": section}))["image"]

    plain, scaled = described(), described(scaling=[0, 1])
    assert plain["weights"] == hashlib.sha256(b"weights").hexdigest()
    assert plain["licence"] == "own"
    assert (plain["preprocessing"], scaled["preprocessing"]) == ("rgb_299px_x/127.5-1", "rgb_299px_x/255")
    assert {**scaled, "preprocessing": plain["preprocessing"]} == plain
    np.testing.assert_allclose(standardise(np.array([0, 51, 255], np.uint8), (0.0, 1.0)), [0, 0.2, 1], rtol=1e-7)
    for wrong in ({"scaling": [0, 255]}, {"weights": "inception_v3_imagenet", "scaling": [0, 1]}):
        with pytest.raises(ValueError, match="scaling"):
            described(**wrong)


def test_a_wrong_shape_and_a_missing_layer_name_file_and_key(tmp_path: Path) -> None:
    network = small_network(top=False)
    wrong = write_published(network, tmp_path)
    with h5py.File(wrong, "r+") as file:
        layers = [name.decode() if isinstance(name, bytes) else name for name in file.attrs["layer_names"]]
        layer = next(name for name in layers if len(file[name].attrs["weight_names"]))
        key = file[layer].attrs["weight_names"][0]
        shape = file[layer][key].shape
        del file[layer][key]
        file[layer][key] = np.zeros((*shape[:-1], shape[-1] + 1), np.float32)
    with pytest.raises(WeightsError, match=rf"notop\.h5: '{layer}/.*' has the shape"):
        load_published(network, wrong)
    with h5py.File(wrong, "r+") as file:
        file.attrs["layer_names"] = [name for name in layers if name != layer]
    with pytest.raises(WeightsError, match="layers with weights"):
        load_published(network, wrong)
    wrong.write_bytes(b"not HDF5")
    with pytest.raises(WeightsError, match="HDF5"):
        load_published(network, wrong)
