"""FaceNet's weights in their two forms, as the kernel and bias of every convolution.

The published checkpoint (keras-facenet's h5) has a batch normalisation after each convolution without bias, with an
offset beta and no gain, and a constant scale on each residual branch. At inference both are linear, so

    kernel' = kernel / sqrt(variance + 0.001)        bias' = beta - mean / sqrt(variance + 0.001)

for a normalised convolution, and kernel' = s kernel, bias' = s bias for the last convolution of a residual branch of
scale s. The folded npz holds the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from beam_pipelines.extractors.weights.network_weights import assign_by_name, check_shape, read_keras_h5, read_npz
from beam_pipelines.foundation.errors import WeightsError

if TYPE_CHECKING:
    from beam_pipelines.extractors.weights.network_weights import Network

BATCH_NORMALISATION_EPSILON = 0.001
NORMALISATION_SUFFIX = "_BatchNorm"

RESIDUAL_SCALES: Mapping[str, float] = MappingProxyType(
    {f"Block35_{index}_Conv2d_1x1": 0.17 for index in range(1, 6)}
    | {f"Block17_{index}_Conv2d_1x1": 0.10 for index in range(1, 11)}
    | {f"Block8_{index}_Conv2d_1x1": 0.20 for index in range(1, 6)}
    | {"Block8_6_Conv2d_1x1": 1.0}
)
"""The scale of each residual branch, by the name of its last convolution."""


def load_facenet(network: Network, path: Path) -> None:
    """Loads a folded `.npz` or the published `.h5` into the network of `inception_resnet_v1`.

    Raises:
        WeightsError: if the file doesn't fit the network; the text names file and key.
    """
    if path.suffix == ".npz":
        arrays = read_npz(path)
    elif path.suffix == ".h5":
        arrays = fold(read_keras_h5(path), path)
    else:
        raise WeightsError(f"{path}: Inception-ResNet-v1 loads the folded .npz or keras-facenet's .h5")
    assign_by_name(network, arrays, path)


def fold(layers: Mapping[str, Mapping[str, np.ndarray]], source: Path) -> dict[str, np.ndarray]:
    """Folds batch normalisation and residual scales into the convolutions.

    Args:
        layers: layer name -> array name -> array, from the published file.
        source: the file, for error messages.

    Returns:
        `<layer>/kernel` and `<layer>/bias`, float32, folded in float64.

    Raises:
        WeightsError: if arrays are absent or don't fit together.
    """
    folded: dict[str, np.ndarray] = {}
    for name, arrays in layers.items():
        if not arrays or name.endswith(NORMALISATION_SUFFIX):
            continue
        kernel = _array(arrays, name, "kernel", source)
        outputs = (kernel.shape[-1],)
        if name in RESIDUAL_SCALES:
            scale = RESIDUAL_SCALES[name]
            kernel, bias = kernel * scale, _array(arrays, name, "bias", source, outputs) * scale
        else:
            normalisation = name + NORMALISATION_SUFFIX
            if normalisation not in layers:
                raise WeightsError(f"{source}: '{normalisation}' is absent")
            statistics = layers[normalisation]
            beta = _array(statistics, normalisation, "beta", source, outputs)
            mean = _array(statistics, normalisation, "moving_mean", source, outputs)
            variance = _array(statistics, normalisation, "moving_variance", source, outputs)
            gain = 1.0 / np.sqrt(variance + BATCH_NORMALISATION_EPSILON)
            kernel, bias = kernel * gain, beta - mean * gain
        folded[f"{name}/kernel"] = kernel.astype(np.float32)
        folded[f"{name}/bias"] = bias.astype(np.float32)
    return folded


def _array(
    arrays: Mapping[str, np.ndarray], layer: str, name: str, source: Path, shape: tuple[int, ...] | None = None
) -> np.ndarray:
    if name not in arrays:
        raise WeightsError(f"{source}: '{layer}/{name}' is absent")
    if shape is not None:
        check_shape(source, f"{layer}/{name}", arrays[name].shape, shape)
    return arrays[name].astype(np.float64)
