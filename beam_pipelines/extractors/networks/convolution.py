"""The convolution that all networks here are built of: channels last, and zeros until weights are loaded or drawn."""

from __future__ import annotations

from typing import Any


def convolution(
    x: Any,
    name: str,
    filters: int,
    size: int | tuple[int, int] = 3,
    stride: int = 1,
    padding: str = "same",
    activation: str | None = "relu",
) -> Any:
    """`x` after a two-dimensional convolution with bias and activation, as a layer of this name."""
    import keras

    return keras.layers.Conv2D(
        filters,
        size,
        stride,
        padding,
        activation=activation,
        kernel_initializer="zeros",
        data_format="channels_last",
        name=name,
    )(x)
