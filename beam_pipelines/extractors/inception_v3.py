"""Image features: InceptionV3 (Szegedy et al. 2016) up to its global average pool, 2,048 values an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from beam_pipelines.extractors import weights as weight_files
from beam_pipelines.extractors.fixed_batch import FixedBatchNetwork, check_images, check_keras_settings
from beam_pipelines.extractors.network_weights import assign_by_order, draw_weights, read_keras_h5

IMAGE_SIZE_PX = 299


def build_network() -> keras.Model:
    """The network without weights: standardised float32 [n, 299, 299, 3] -> float32 [n, 2048]."""
    check_keras_settings()
    shape = (IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3)
    return keras.applications.InceptionV3(include_top=False, weights=None, input_shape=shape, pooling="avg")


def load_published(network: keras.Model, path: Path) -> None:
    """Loads Keras's published `…_notop.h5` (its layers are matched by their order).

    Raises:
        WeightsError: naming the file and the key that don't fit.
    """
    assign_by_order(network, read_keras_h5(path), path)


def standardise(images: np.ndarray) -> np.ndarray:
    """uint8 -> float32 in [-1, 1]: x / 127.5 - 1."""
    return images.astype(np.float32) / np.float32(127.5) - np.float32(1.0)


class InceptionV3Image:
    """InceptionV3 over a batch of images.

    Args:
        weights: a name of `weights.TABLE`, or `untrained`.
        seed: seed of untrained weights.
        batch_size: images of every batch; a result does not depend on what shares its batch.

    Raises:
        WeightsError: where the weights are absent or not the published ones.
    """

    modality = "image"
    dimensions = 2048
    image_size_px = IMAGE_SIZE_PX

    def __init__(self, weights: str = "inception_v3_imagenet", seed: int = 0, batch_size: int = 16):
        if weights == weight_files.UNTRAINED:
            network = build_network()
            draw_weights(network, seed)
        else:
            path = weight_files.locate(weights)
            network = build_network()
            load_published(network, path)
        self._description = self.describe(weights, seed)
        self._run = FixedBatchNetwork(network, standardise, batch_size)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """uint8 [n, 299, 299, 3] RGB, any n -> float32 [n, 2048]."""
        check_images(images, IMAGE_SIZE_PX)
        return self._run(images)

    def description(self) -> dict[str, Any]:
        """What determines the vectors, for fingerprints."""
        return dict(self._description)

    @staticmethod
    def describe(weights: str, seed: int = 0) -> dict[str, Any]:
        """What `description` would say, without building the network.

        Raises:
            WeightsError: where the weights are absent or not the published ones.
        """
        return {
            "network": "inception_v3_avg_pool",
            "weights": weight_files.identity(weights, seed),
            "preprocessing": "rgb_299px_x/127.5-1",
            "precision": "float32",
        }
