"""Audio features: VGGish (Hershey et al. 2017), 128 values for 0.96 s of sound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from beam_pipelines.contracts.records import quantisation
from beam_pipelines.extractors.batching.fixed_batch import check_keras_settings
from beam_pipelines.extractors.network_inputs import NetworkInput, SoundInput
from beam_pipelines.extractors.networks import log_mel
from beam_pipelines.extractors.networks.convolution import convolution
from beam_pipelines.extractors.networks.published_network import PublishedNetwork
from beam_pipelines.extractors.networks.vggish_postprocess import VGGishPostprocessor
from beam_pipelines.extractors.weights import weight_files
from beam_pipelines.extractors.weights.checkpoints import read_checkpoint
from beam_pipelines.extractors.weights.network_weights import assign_by_name, check_shape
from beam_pipelines.extractors.weights.weights_table import VGGISH_PCA
from beam_pipelines.foundation.errors import WeightsError

if TYPE_CHECKING:
    import keras

    from beam_pipelines.extractors.weights.network_weights import Network

DIMENSIONS = 128
CONVOLUTIONS = {
    "conv1": 64,
    "conv2": 128,
    "conv3/conv3_1": 256,
    "conv3/conv3_2": 256,
    "conv4/conv4_1": 512,
    "conv4/conv4_2": 512,
}
"""The filters of each convolution, by its name in the published checkpoint."""

POOL_AFTER = ("conv1", "conv2", "conv3/conv3_2", "conv4/conv4_2")
FULLY_CONNECTED = ("fc1/fc1_1", "fc1/fc1_2")
FULLY_CONNECTED_UNITS = 4096
EMBEDDING = "fc2"


def build_network(narrowing: int = 1) -> keras.Model:
    """The network without weights: float32 [n, 96, 64] -> float32 [n, 128]. The last layer has no activation.

    Args:
        narrowing: divides the number of filters and units, for quick tests.
    """
    import keras

    check_keras_settings()
    patches = keras.Input((log_mel.FRAMES, log_mel.BANDS), name="log_mel")
    x = keras.layers.Reshape((log_mel.FRAMES, log_mel.BANDS, 1))(patches)
    for name, filters in CONVOLUTIONS.items():
        x = convolution(x, _layer_name(name), filters // narrowing)
        if name in POOL_AFTER:
            x = keras.layers.MaxPooling2D(2, padding="same", data_format="channels_last")(x)
    x = keras.layers.Flatten(data_format="channels_last")(x)
    for name in FULLY_CONNECTED:
        units = FULLY_CONNECTED_UNITS // narrowing
        x = keras.layers.Dense(units, activation="relu", kernel_initializer="zeros", name=_layer_name(name))(x)
    x = keras.layers.Dense(DIMENSIONS, kernel_initializer="zeros", name=EMBEDDING)(x)
    return keras.Model(patches, x, name="vggish")


def load_checkpoint(network: Network, path: Path) -> None:
    """Loads the published checkpoint: one file in TensorFlow 1's first format.

    Raises:
        WeightsError: if the file doesn't fit the network; the text names file and variable.
    """
    found, arrays, layers = read_checkpoint(path), {}, {layer.name: layer for layer in network.layers}
    for name in (*CONVOLUTIONS, *FULLY_CONNECTED, EMBEDDING):
        layer = layers[_layer_name(name)]
        for published, ours in zip(("weights", "biases"), layer.weights, strict=True):
            key = f"vggish/{name}/{published}"
            if key not in found:
                raise WeightsError(f"{path}: the variable '{key}' is absent")
            check_shape(path, key, found[key].shape, tuple(ours.shape))
            arrays[f"{layer.name}/{ours.name}"] = found[key]
    assign_by_name(network, arrays, path)


class VGGishAudio(PublishedNetwork):
    """VGGish over a batch of sounds: float32 [n, 15360] (or [n, 15600]), mono, 16 kHz, in [-1, 1] -> float32 [n, 128].

    The contract's window is 0.96 s, 15,360 samples. The 96 frames of 25 ms every 10 ms of a patch span 15,600 samples:
    the front end replaces the last 240 by zeros, so only the last two frames differ from the reference. Windows of
    15,600 samples are accepted too, and then nothing differs.
    """

    modality = "audio"
    dimensions = DIMENSIONS
    window_samples = log_mel.WINDOW_SAMPLES
    size_mb = 289
    core_s = 0.013
    published = "vggish_audioset"
    recipe = MappingProxyType(
        {"network": "vggish_embedding", "preprocessing": "16khz_log_mel_96x64_125-7500hz_0.96s_zero_padded"}
    )
    build = staticmethod(build_network)
    load = staticmethod(load_checkpoint)
    prepare = staticmethod(log_mel.log_mel_patches)

    @classmethod
    def takes(cls, config: Any) -> NetworkInput:
        """The sound that starts at the second."""
        return SoundInput(log_mel.SAMPLE_RATE_HZ, round(config.window_s * log_mel.SAMPLE_RATE_HZ))

    @classmethod
    def describe_options(cls, config: Any) -> dict[str, Any]:
        """The window, and the form of YouTube-8M."""
        options: dict[str, Any] = {"window_s": config.window_s}
        if config.postprocess == "youtube8m":
            options["postprocess"] = {"pca": weight_files.identity(VGGISH_PCA)}
            options[quantisation.STORED] = quantisation.UINT8
        return options

    @classmethod
    def postprocess(cls, config: Any) -> Callable[[np.ndarray], np.ndarray] | None:
        """The form of YouTube-8M: vectors are rounded to 8 bits and converted back."""
        if config.postprocess == "none":
            return None
        postprocessor = VGGishPostprocessor(VGGISH_PCA)
        return lambda vectors: quantisation.dequantise(postprocessor(vectors))

    def check(self, inputs: np.ndarray) -> None:
        """Refuses windows of another length with a ValueError."""
        if inputs.ndim != 2 or inputs.shape[1] not in (log_mel.WINDOW_SAMPLES, log_mel.SPAN_SAMPLES):
            raise ValueError(
                f"sound of shape {list(inputs.shape)}: wanted [n, {log_mel.WINDOW_SAMPLES}] or "
                f"[n, {log_mel.SPAN_SAMPLES}] at 16 kHz"
            )


def _layer_name(checkpoint_name: str) -> str:
    return checkpoint_name.rpartition("/")[2]
