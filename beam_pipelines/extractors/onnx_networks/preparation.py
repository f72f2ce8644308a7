"""From a film's rows (pictures, faces, sounds) to a network's input, and from its outputs to vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from beam_pipelines.extractors.network_inputs import SoundInput
from beam_pipelines.extractors.networks import log_mel
from beam_pipelines.extractors.onnx_networks.config import (
    Configured,
    LogMelConfig,
    OnnxConfig,
    PictureConfig,
    PixelConfig,
    SoundConfig,
)
from beam_pipelines.extractors.onnx_networks.model_file import Tensor

PIXELS, FLOATS = ("uint8",), ("float32", "float16", "float64")
_SMALLEST_VARIANCE = 1e-7
"""What wav2vec 2.0's feature extractor adds to a window's variance."""


def row_shape(section: Configured) -> tuple[int, ...]:
    """The shape of a row as a film gives it."""
    takes = section.network_input()
    if isinstance(takes, SoundInput):
        return (takes.samples,)
    if isinstance(section, PictureConfig):
        return (section.network_input().height_px, section.network_input().width_px, 3)
    return (section.size_px, section.size_px, 3)  # type: ignore[union-attr]


def row_type(section: OnnxConfig) -> str:
    """The type of a row as a film gives it."""
    return "uint8" if isinstance(section, PixelConfig) else "float32"


def preparation(section: Configured, tensor: Tensor) -> Callable[[np.ndarray], np.ndarray]:
    """The function from rows [n, …] to the network's input [n, …], in the input's type."""
    if isinstance(section, PixelConfig):
        prepare = partial(_pixels, section, is_raw=tensor.type in PIXELS)
    elif isinstance(section, LogMelConfig):
        prepare = partial(_log_mel, section, axes=len(tensor.axes))
    else:
        prepare = partial(_sound, section, axes=len(tensor.axes))
    return lambda rows: np.ascontiguousarray(prepare(rows), tensor.type)


def _pixels(section: PixelConfig, pixels: np.ndarray, is_raw: bool) -> np.ndarray:
    if section.channels == "bgr":
        pixels = pixels[..., ::-1]
    if not is_raw:
        low, high = map(np.float32, section.scaling)
        scaled = pixels.astype(np.float32) * ((high - low) / np.float32(255)) + low
        pixels = (scaled - np.asarray(section.mean, np.float32)) / np.asarray(section.deviation, np.float32)
    return np.moveaxis(pixels, -1, 1) if section.layout == "nchw" else pixels


def _sound(section: SoundConfig, samples: np.ndarray, axes: int) -> np.ndarray:
    if section.standardise:
        wide = samples.astype(np.float64)
        centred = wide - wide.mean(axis=1, keepdims=True)
        samples = (centred / np.sqrt(wide.var(axis=1, keepdims=True) + _SMALLEST_VARIANCE)).astype(np.float32)
    return samples[:, None] if axes == 3 else samples


def _log_mel(section: LogMelConfig, samples: np.ndarray, axes: int) -> np.ndarray:
    patches = log_mel.log_mel_patches(samples, section.bands, section.lowest_hz, section.highest_hz, section.log_offset)
    if axes == 3:
        return patches
    return patches[:, None] if section.layout == "nchw" else patches[..., None]


def vectors_of(section: OnnxConfig, outputs: Sequence[np.ndarray]) -> np.ndarray:
    """The vectors of a batch, float32 [n, D], of the outputs that the section names.

    Raises:
        ValueError: if an output doesn't give one vector for each of the batch; the text says why.
    """
    return np.concatenate([_pooled(section, output) for output in outputs], axis=1)


def _pooled(section: OnnxConfig, output: np.ndarray) -> np.ndarray:
    if output.ndim < 2 or section.pool == "none":
        others = [length for length in output.shape[1:] if length != 1]
        if len(others) > 1:
            raise ValueError(f"an output of shape {list(output.shape)} has several vectors: say with `pool` what to do")
        return output.reshape(len(output), -1).astype(np.float32)
    axis = section.vector_axis % output.ndim
    if axis == 0 or not -output.ndim <= section.vector_axis < output.ndim:
        raise ValueError(f"vector_axis: {section.vector_axis} is no axis of a vector in {list(output.shape)}")
    rows = np.moveaxis(output, axis, -1)
    rows = rows.reshape(len(rows), -1, rows.shape[-1])
    if section.pool == "first":
        return rows[:, 0].astype(np.float32)
    if section.pool == "last":
        return rows[:, -1].astype(np.float32)
    wide = rows.astype(np.float64)
    return (wide.mean(axis=1) if section.pool == "mean" else wide.max(axis=1)).astype(np.float32)
