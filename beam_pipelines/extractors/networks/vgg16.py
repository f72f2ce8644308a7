"""Image features of the paper's baseline: VGG16 (Simonyan and Zisserman 2015) up to its layer `fc1`, 4,096 values."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from beam_pipelines.extractors.batching.fixed_batch import check_keras_settings
from beam_pipelines.extractors.networks.convolution import convolution
from beam_pipelines.extractors.networks.published_network import PictureNetwork
from beam_pipelines.extractors.weights.network_weights import assign_by_name, read_keras_h5

if TYPE_CHECKING:
    import keras

    from beam_pipelines.extractors.weights.network_weights import Network

IMAGE_SIZE_PX = 224
DIMENSIONS = 4096
BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
"""Convolutions and filters of each block; a 2 x 2 pool follows each."""

MEANS_BGR = (103.939, 116.779, 123.68)
"""ImageNet's mean colour, one number per channel, blue first."""

_ABOVE_FC1 = ("fc2", "predictions")


def build_network(narrowing: int = 1, size_px: int = IMAGE_SIZE_PX) -> keras.Model:
    """The network without weights: float32 [n, 224, 224, 3], BGR minus means -> float32 [n, 4096], after its ReLU.

    Args:
        narrowing: divides the number of filters and units, for quick tests.
        size_px: side of the picture, for quick tests.
    """
    import keras

    check_keras_settings()
    pictures = keras.Input((size_px, size_px, 3), name="pictures")
    x = pictures
    for block, (convolutions, filters) in enumerate(BLOCKS, start=1):
        for number in range(1, convolutions + 1):
            x = convolution(x, f"block{block}_conv{number}", filters // narrowing)
        x = keras.layers.MaxPooling2D(2, data_format="channels_last", name=f"block{block}_pool")(x)
    x = keras.layers.Flatten(data_format="channels_last", name="flatten")(x)
    x = keras.layers.Dense(DIMENSIONS // narrowing, activation="relu", kernel_initializer="zeros", name="fc1")(x)
    return keras.Model(pictures, x, name="vgg16_fc1")


def load_published(network: Network, path: Path) -> None:
    """Loads Keras's published file, the one with the top layers, without those above `fc1`.

    Raises:
        WeightsError: if the file doesn't fit the network; the text names file and key.
    """
    arrays = {}
    for layer, variables in read_keras_h5(path).items():
        if layer in _ABOVE_FC1:
            continue
        for key, array in variables.items():
            # Keras 1, which wrote this file, called them block1_conv1_W_1 and block1_conv1_b_1.
            name = key.removeprefix(f"{layer}_")
            name = {"W_1": "kernel", "b_1": "bias", "W": "kernel", "b": "bias"}.get(name, name)
            arrays[f"{layer}/{name}"] = array
    assign_by_name(network, arrays, path)


def standardise(images: np.ndarray) -> np.ndarray:
    """uint8 RGB -> float32 BGR minus ImageNet's means, not scaled."""
    return images[..., ::-1].astype(np.float32) - np.asarray(MEANS_BGR, np.float32)


class VGG16Image(PictureNetwork):
    """VGG16's `fc1` over a batch of images: uint8 [n, 224, 224, 3] RGB -> float32 [n, 4096]."""

    modality = "vgg16"
    dimensions = DIMENSIONS
    image_size_px = IMAGE_SIZE_PX
    size_mb = 537
    core_s = 0.17
    published = "vgg16_imagenet"
    recipe = MappingProxyType({"network": "vgg16_fc1", "preprocessing": "bgr_224px_minus_imagenet_means"})
    build = staticmethod(build_network)
    load = staticmethod(load_published)
    prepare = staticmethod(standardise)
