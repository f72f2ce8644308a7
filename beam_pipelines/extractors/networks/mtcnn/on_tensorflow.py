"""MTCNN's three networks on TensorFlow, as the package `mtcnn` has them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from beam_pipelines.extractors.networks.mtcnn.boxes import OUTPUT_SIZE_PX, REFINE_SIZE_PX
from beam_pipelines.foundation.errors import ConfigurationError


class TensorFlowNetworks:
    """The three networks on one device.

    Args:
        weights: the content of the package's weight files, whose hashes are right.
        device: TensorFlow's name of the device, `CPU:0` or `GPU:0`.

    Raises:
        ConfigurationError: if Keras has another backend than TensorFlow.
    """

    def __init__(self, weights: Mapping[str, bytes], device: str = "CPU:0"):
        import keras

        if keras.config.backend() != "tensorflow":
            raise ConfigurationError(
                f"the face detector (mtcnn) runs on TensorFlow only, KERAS_BACKEND is {keras.config.backend()}"
            )
        import joblib
        import tensorflow as tf
        from mtcnn.network.onet import ONet
        from mtcnn.network.pnet import PNet
        from mtcnn.network.rnet import RNet

        self._device = device
        networks = []
        with tf.device(device):
            for kind, name in ((PNet, "pnet.lz4"), (RNet, "rnet.lz4"), (ONet, "onet.lz4")):
                network = kind()
                network.build()
                network.set_weights(joblib.load(io.BytesIO(weights[name])))
                # One graph for all sizes of pictures: tracing at every step of every pyramid would cost more.
                anything = tf.TensorSpec([None, None, None, 3], tf.float32)
                networks.append(tf.function(network, input_signature=[anything]))
        self._propose_network, self._refine_network, self._output_network = networks

    def pixels(self, images: np.ndarray) -> Any:
        """Pictures float32 [n, H, W, 3] as the methods below take them."""
        import tensorflow as tf

        with tf.device(self._device):
            return tf.constant(images)

    def propose(self, pixels: Any, height_px: int, width_px: int) -> tuple[np.ndarray, np.ndarray]:
        """Offsets [n, h, w, 4] and scores [n, h, w] of the first network's cells in pictures shrunk to a size."""
        import tensorflow as tf

        with tf.device(self._device):
            shrunk = tf.image.resize(pixels, [height_px, width_px], tf.image.ResizeMethod.AREA)
            offsets, scores = self._propose_network(shrunk)
        return offsets.numpy(), scores.numpy()[..., 1]

    def refine(self, pixels: Any, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Offsets [k, 4] and scores [k] of boxes by the second network."""
        return self._judge(self._refine_network, pixels, boxes, REFINE_SIZE_PX)

    def finish(self, pixels: Any, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Offsets [k, 4] and scores [k] of boxes by the third network."""
        return self._judge(self._output_network, pixels, boxes, OUTPUT_SIZE_PX)

    def _judge(self, network: Any, pixels: Any, boxes: np.ndarray, size_px: int) -> tuple[np.ndarray, np.ndarray]:
        import tensorflow as tf
        from mtcnn.utils.images import extract_patches

        with tf.device(self._device):
            answers = network(extract_patches(pixels, boxes, expected_size=(size_px, size_px)))
        return answers[0].numpy(), answers[-1].numpy()[:, 1]
