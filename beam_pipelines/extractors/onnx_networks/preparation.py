"""From a film's rows (pictures, faces, sounds) to a network's input, and from its outputs to vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from beam_pipelines.extractors.network_inputs import FaceInput, PictureInput, SoundInput
from beam_pipelines.extractors.networks import log_mel
from beam_pipelines.extractors.onnx_networks.config import (
    Configured,
    LogMelConfig,
    OnnxConfig,
    OnnxFile,
    Pixels,
    SoundConfig,
    TextConfig,
)
from beam_pipelines.extractors.onnx_networks.detector_config import DetectorConfig
from beam_pipelines.extractors.onnx_networks.model_file import Tensor

PIXELS, FLOATS, TOKENS = ("uint8",), ("float32", "float16", "float64"), ("int64", "int32")
MASK, KINDS = "attention_mask", "token_type_ids"
"""What a network for text may take beside tokens: where there are any, and to which of two texts they belong."""

_SMALLEST_VARIANCE = 1e-7
"""What wav2vec 2.0's feature extractor adds to a window's variance."""

_SMALLEST_LENGTH = 1e-12


def row_shape(section: Configured | DetectorConfig) -> tuple[int, ...]:
    """The shape of a row as a film gives it."""
    takes = section.network_input()
    if isinstance(takes, SoundInput):
        return (takes.samples,)
    if isinstance(takes, PictureInput):
        return (takes.height_px, takes.width_px, 3)
    return (takes.size_px, takes.size_px, 3) if isinstance(takes, FaceInput) else (2, takes.tokens)


def row_type(section: OnnxFile) -> str:
    """The type of a row as a film gives it."""
    if isinstance(section, TextConfig):
        return "int64"
    return "uint8" if isinstance(section, Pixels) else "float32"


def preparation(section: Configured | DetectorConfig, tensor: Tensor) -> Callable[[np.ndarray], np.ndarray]:
    """The function from rows [n, …] to one of the network's inputs [n, …], in the input's type."""
    if isinstance(section, TextConfig):
        prepare = partial(_tokens, name=tensor.name)
    elif isinstance(section, Pixels):
        prepare = partial(_pixels, section, is_raw=tensor.type in PIXELS)
    elif isinstance(section, LogMelConfig):
        prepare = partial(_log_mel, section, axes=len(tensor.axes))
    else:
        prepare = partial(_sound, section, axes=len(tensor.axes))
    return lambda rows: np.ascontiguousarray(prepare(rows), tensor.type)


def _pixels(section: Pixels, pixels: np.ndarray, is_raw: bool) -> np.ndarray:
    if section.channels == "bgr":
        pixels = pixels[..., ::-1]
    if not is_raw:
        low, high = map(np.float32, section.scaling)
        scaled = pixels.astype(np.float32) * ((high - low) / np.float32(255)) + low
        pixels = (scaled - np.asarray(section.mean, np.float32)) / np.asarray(section.deviation, np.float32)
    return np.moveaxis(pixels, -1, 1) if section.layout == "nchw" else pixels


def _tokens(rows: np.ndarray, name: str) -> np.ndarray:
    if name == KINDS:
        return np.zeros_like(rows[:, 0])
    return rows[:, 1] if name == MASK else rows[:, 0]


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


def vectors_of(section: OnnxConfig, outputs: Sequence[np.ndarray], batch: np.ndarray) -> np.ndarray:
    """The vectors of a batch of rows, float32 [n, D], of the outputs that the section names.

    Raises:
        ValueError: if an output doesn't give one vector for each of the batch; the text says why.
    """
    mask = batch[:, 1] > 0 if isinstance(section, TextConfig) else None
    vectors = np.concatenate([_pooled(section, output, mask) for output in outputs], axis=1)
    if isinstance(section, TextConfig) and section.normalise:
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        return (vectors / np.maximum(lengths, _SMALLEST_LENGTH)).astype(np.float32)
    return vectors


def _pooled(section: OnnxConfig, output: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
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
    if mask is None:
        mask = np.ones(rows.shape[:2], bool)
    elif mask.shape != rows.shape[:2]:
        raise ValueError(f"an output of shape {list(output.shape)} has no vector for each of {mask.shape[1]} tokens")
    if section.pool in ("first", "last"):
        place = 0 if section.pool == "first" else np.maximum(mask.sum(axis=1), 1) - 1
        return rows[np.arange(len(rows)), place].astype(np.float32)
    wide, there = rows.astype(np.float64), mask[:, :, None]
    if section.pool == "max":
        return wide.max(axis=1, where=there, initial=-np.inf).astype(np.float32)
    return (wide.sum(axis=1, where=there) / np.maximum(there.sum(axis=1), 1)).astype(np.float32)
