"""InceptionV3 from a file in the layout in which Keras publishes it."""

from __future__ import annotations

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from beam_pipelines.extractors.networks.inception_v3 import InceptionV3Image, build_network, load_published, standardise
from beam_pipelines.foundation.errors import WeightsError


@pytest.fixture(scope="module")
def published(untrained_image: InceptionV3Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weight file written by Keras's own writer of the old layout, one level up as the published file has it."""
    folder = tmp_path_factory.mktemp("inception")
    whole = folder / "whole.h5"
    network = untrained_image.network
    network.save(whole)
    path = folder / "notop.h5"
    with h5py.File(whole) as source, h5py.File(path, "w") as target:
        for name, value in source["model_weights"].attrs.items():
            target.attrs[name] = value
        for name in source["model_weights"]:
            source.copy(source["model_weights"][name], target, name)
    whole.unlink()
    return path


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return build_network()


def test_the_published_layout_gives_the_same_network(
    untrained_image: InceptionV3Image, network: keras.Model, published: Path
) -> None:
    expected = untrained_image.network.get_weights()
    # Keras's own loader reads the file alike, which is how the published one is meant.
    for load in (load_published, keras.Model.load_weights):
        network.set_weights([np.full_like(weight, -1) for weight in expected])
        load(network, published)
        assert all(np.array_equal(a, b) for a, b in zip(network.get_weights(), expected, strict=True))


def test_standardisation_is_the_one_of_keras_applications() -> None:
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=-1)
    expected = keras.applications.inception_v3.preprocess_input(images.astype(np.float32))
    np.testing.assert_allclose(standardise(images), expected, atol=1e-6)


def test_a_wrong_shape_and_a_missing_layer_name_file_and_key(
    network: keras.Model, published: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.h5"
    wrong.write_bytes(published.read_bytes())
    with h5py.File(wrong, "r+") as file:
        layers = [name.decode() if isinstance(name, bytes) else name for name in file.attrs["layer_names"]]
        layer = next(name for name in layers if len(file[name].attrs["weight_names"]))
        key = file[layer].attrs["weight_names"][0]
        shape = file[layer][key].shape
        del file[layer][key]
        file[layer][key] = np.zeros((*shape[:-1], shape[-1] + 1), np.float32)
    with pytest.raises(WeightsError, match=rf"wrong\.h5: '{layer}/.*' has the shape"):
        load_published(network, wrong)
    with h5py.File(wrong, "r+") as file:
        file.attrs["layer_names"] = [name for name in layers if name != layer]
    with pytest.raises(WeightsError, match="layers with weights"):
        load_published(network, wrong)
    wrong.write_bytes(b"not HDF5")
    with pytest.raises(WeightsError, match="HDF5"):
        load_published(network, wrong)
