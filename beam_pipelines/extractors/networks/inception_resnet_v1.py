"""Face features: FaceNet's Inception-ResNet-v1, a vector of 512 values and length 1 per face.

The network is that of davidsandberg/facenet (models of 2018). It has plain convolutions, kernel and bias only: batch
normalisation and the scale of each residual branch are constants at inference, and `facenet_weights` folds them into
kernel and bias when it loads them. Layers have the published names.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from beam_pipelines.extractors.batching.fixed_batch import check_keras_settings
from beam_pipelines.extractors.network_inputs import FaceInput, NetworkInput
from beam_pipelines.extractors.networks.convolution import convolution
from beam_pipelines.extractors.networks.published_network import PictureNetwork
from beam_pipelines.extractors.weights.facenet_weights import RESIDUAL_SCALES, load_facenet

if TYPE_CHECKING:
    import keras

IMAGE_SIZE_PX = 160
DIMENSIONS = 512

Step = tuple[str, int, int | tuple[int, int]]
"""One convolution of a branch: the last part of its name, filters, kernel size."""

BLOCK35: tuple[tuple[Step, ...], ...] = (
    (("Conv2d_1x1", 32, 1),),
    (("Conv2d_0a_1x1", 32, 1), ("Conv2d_0b_3x3", 32, 3)),
    (("Conv2d_0a_1x1", 32, 1), ("Conv2d_0b_3x3", 32, 3), ("Conv2d_0c_3x3", 32, 3)),
)
BLOCK17: tuple[tuple[Step, ...], ...] = (
    (("Conv2d_1x1", 128, 1),),
    (("Conv2d_0a_1x1", 128, 1), ("Conv2d_0b_1x7", 128, (1, 7)), ("Conv2d_0c_7x1", 128, (7, 1))),
)
BLOCK8: tuple[tuple[Step, ...], ...] = (
    (("Conv2d_1x1", 192, 1),),
    (("Conv2d_0a_1x1", 192, 1), ("Conv2d_0b_1x3", 192, (1, 3)), ("Conv2d_0c_3x1", 192, (3, 1))),
)
# In the reductions the last convolution of a branch has stride 2 and no padding; a max pool is the last branch.
MIXED_6A: tuple[tuple[Step, ...], ...] = (
    (("Conv2d_1a_3x3", 384, 3),),
    (("Conv2d_0a_1x1", 192, 1), ("Conv2d_0b_3x3", 192, 3), ("Conv2d_1a_3x3", 256, 3)),
)
MIXED_7A: tuple[tuple[Step, ...], ...] = (
    (("Conv2d_0a_1x1", 256, 1), ("Conv2d_1a_3x3", 384, 3)),
    (("Conv2d_0a_1x1", 256, 1), ("Conv2d_1a_3x3", 256, 3)),
    (("Conv2d_0a_1x1", 256, 1), ("Conv2d_0b_3x3", 256, 3), ("Conv2d_1a_3x3", 256, 3)),
)


def build_network() -> keras.Model:
    """The network without weights: standardised float32 [n, 160, 160, 3] -> float32 [n, 512] of length 1."""
    import keras

    check_keras_settings()
    faces = keras.Input((IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3), name="faces")
    x = convolution(faces, "Conv2d_1a_3x3", 32, 3, stride=2, padding="valid")
    x = convolution(x, "Conv2d_2a_3x3", 32, 3, padding="valid")
    x = convolution(x, "Conv2d_2b_3x3", 64, 3)
    x = _max_pool(x)
    x = convolution(x, "Conv2d_3b_1x1", 80, 1, padding="valid")
    x = convolution(x, "Conv2d_4a_3x3", 192, 3, padding="valid")
    x = convolution(x, "Conv2d_4b_3x3", 256, 3, stride=2, padding="valid")
    for index in range(1, 6):
        x = _residual(x, f"Block35_{index}", BLOCK35)
    x = _reduction(x, "Mixed_6a", MIXED_6A)
    for index in range(1, 11):
        x = _residual(x, f"Block17_{index}", BLOCK17)
    x = _reduction(x, "Mixed_7a", MIXED_7A)
    for index in range(1, 6):
        x = _residual(x, f"Block8_{index}", BLOCK8)
    x = _residual(x, "Block8_6", BLOCK8, activation=None)
    x = keras.layers.GlobalAveragePooling2D(data_format="channels_last")(x)
    x = keras.layers.Dense(DIMENSIONS, kernel_initializer="zeros", name="Bottleneck")(x)
    return keras.Model(faces, keras.layers.UnitNormalization()(x), name="inception_resnet_v1")


def standardise(images: np.ndarray) -> np.ndarray:
    """uint8 -> float32: (x - 127.5) / 128, FaceNet's fixed standardisation."""
    return (images.astype(np.float32) - np.float32(127.5)) / np.float32(128.0)


class InceptionResnetV1Face(PictureNetwork):
    """Inception-ResNet-v1 over a batch of cut-out faces: uint8 [n, 160, 160, 3] RGB -> float32 [n, 512] of length 1."""

    modality = "face"
    dimensions = DIMENSIONS
    image_size_px = IMAGE_SIZE_PX
    published = "facenet_vggface2"
    recipe = MappingProxyType({"network": "inception_resnet_v1_l2", "preprocessing": "rgb_160px_(x-127.5)/128"})
    size_mb = 94
    core_s = 0.08
    gains = RESIDUAL_SCALES
    build = staticmethod(build_network)
    load = staticmethod(load_facenet)
    prepare = staticmethod(standardise)

    @classmethod
    def takes(cls, config: Any) -> NetworkInput:
        """The two largest faces."""
        return FaceInput(cls.image_size_px, config.margin)


def _max_pool(x: Any) -> Any:
    import keras

    return keras.layers.MaxPooling2D(3, strides=2, padding="valid", data_format="channels_last")(x)


def _residual(x: Any, prefix: str, branches: tuple[tuple[Step, ...], ...], activation: str | None = "relu") -> Any:
    """x + up(concatenated branches), activated; the scale of the branch is folded into `up`."""
    import keras

    ends = []
    for number, steps in enumerate(branches):
        y = x
        for name, filters, size in steps:
            y = convolution(y, f"{prefix}_Branch_{number}_{name}", filters, size)
        ends.append(y)
    up = convolution(keras.layers.Concatenate()(ends), f"{prefix}_Conv2d_1x1", x.shape[-1], 1, activation=None)
    x = keras.layers.Add()([x, up])
    return keras.layers.Activation(activation)(x) if activation else x


def _reduction(x: Any, prefix: str, branches: tuple[tuple[Step, ...], ...]) -> Any:
    import keras

    ends = []
    for number, steps in enumerate(branches):
        y = x
        for name, filters, size in steps[:-1]:
            y = convolution(y, f"{prefix}_Branch_{number}_{name}", filters, size)
        name, filters, size = steps[-1]
        ends.append(convolution(y, f"{prefix}_Branch_{number}_{name}", filters, size, stride=2, padding="valid"))
    return keras.layers.Concatenate()([*ends, _max_pool(x)])
