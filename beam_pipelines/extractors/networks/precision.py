"""A network whose layers compute in 16 bits; its weights, vectors and last layer stay float32.

Keras's own way, a policy for the whole process, would change every network that is built in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import keras

Precision = Literal["float32", "bfloat16", "mixed_float16", "mixed_bfloat16"]
"""`bfloat16` is OpenVINO's on processors; the mixed ones are Keras's names of compute types.

Half precision overflows beyond 65,504; bfloat16 has 8 bits of mantissa.
"""

FULL: Precision = "float32"
BFLOAT16: Precision = "bfloat16"


def in_precision(network: keras.Model, precision: Precision) -> keras.Model:
    """The same network without its weights' values, computing in `precision`; the last layer computes in float32.

    Args:
        network: a functional model of layers, not of models.
        precision: the compute type; with `float32` the network itself is returned.
    """
    if precision == FULL:
        return network
    import keras  # here, since the configuration needs the names above before TensorFlow starts

    last = network.layers[-1]

    def layer_in_precision(layer: keras.layers.Layer) -> keras.layers.Layer:
        if layer is last or isinstance(layer, keras.layers.InputLayer):
            return layer.__class__.from_config(layer.get_config())
        return layer.__class__.from_config({**layer.get_config(), "dtype": precision})

    return keras.models.clone_model(network, clone_function=layer_in_precision)
