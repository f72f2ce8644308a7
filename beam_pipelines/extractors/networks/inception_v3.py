"""Image features: InceptionV3 (Szegedy et al. 2016) up to its global average pool, 2,048 values per image."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from beam_pipelines.extractors.batching.fixed_batch import check_keras_settings
from beam_pipelines.extractors.networks.published_network import PictureNetwork
from beam_pipelines.extractors.weights.network_weights import assign_by_order, read_keras_h5

if TYPE_CHECKING:
    import keras

    from beam_pipelines.extractors.weights.network_weights import Network

IMAGE_SIZE_PX = 299
SCALING = (-1.0, 1.0)
"""What the published weights want the pixel values 0 and 255 to become."""


def build_network() -> keras.Model:
    """The network without weights: standardised float32 [n, 299, 299, 3] -> float32 [n, 2048]."""
    import keras

    check_keras_settings()
    shape = (IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3)
    return keras.applications.InceptionV3(include_top=False, weights=None, input_shape=shape, pooling="avg")


def load_published(network: Network, path: Path) -> None:
    """Loads Keras's published `…_notop.h5`, or a file of that layout; layers are matched by their order.

    Raises:
        WeightsError: if the file doesn't fit the network; the text names file and key.
    """
    assign_by_order(network, read_keras_h5(path), path)


def standardise(images: np.ndarray, scaling: tuple[float, float] = SCALING) -> np.ndarray:
    """uint8 -> float32 in [-1, 1]: x / 127.5 - 1; or in [0, 1]: x / 255."""
    if scaling != SCALING:
        return images.astype(np.float32) / np.float32(255)
    return images.astype(np.float32) / np.float32(127.5) - np.float32(1.0)


class InceptionV3Image(PictureNetwork):
    """InceptionV3 over a batch of images: uint8 [n, 299, 299, 3] RGB -> float32 [n, 2048].

    Args:
        given: as `PublishedNetwork` takes them.
        scaling: what the pixel values 0 and 255 become, for weights of one's own.
    """

    modality = "image"
    dimensions = 2048
    image_size_px = IMAGE_SIZE_PX
    size_mb = 87
    core_s = 0.08
    published = "inception_v3_imagenet"
    recipe = MappingProxyType({"network": "inception_v3_avg_pool", "preprocessing": "rgb_299px_x/127.5-1"})
    build = staticmethod(build_network)
    load = staticmethod(load_published)

    def __init__(self, *given: Any, scaling: tuple[float, float] = SCALING, **named: Any):
        self._scaling = scaling
        super().__init__(*given, **named)

    def prepare(self, batch: np.ndarray) -> np.ndarray:  # type: ignore[override]  # its scaling is the instance's
        """Turns pictures into the network's input."""
        return standardise(batch, self._scaling)

    @classmethod
    def options(cls, config: Any) -> dict[str, Any]:
        """The scaling, if its section has one."""
        return {"scaling": getattr(config, "scaling", SCALING)}

    @classmethod
    def describe_options(cls, config: Any) -> dict[str, Any]:
        """The preprocessing, if it isn't that of the published weights."""
        return {} if cls.options(config)["scaling"] == SCALING else {"preprocessing": "rgb_299px_x/255"}
