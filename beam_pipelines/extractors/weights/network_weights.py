"""Putting weights into a network: seeded ones for untrained networks, and arrays from files.

Files are data here, never programs: from an HDF5 file only plain data sets are read, through h5py, and links are
refused; from an npz file only plain arrays, without pickle.
"""

from __future__ import annotations

import logging
import math
import re
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import h5py
import numpy as np

from beam_pipelines.foundation.errors import WeightsError

if TYPE_CHECKING:
    import keras

    from beam_pipelines.extractors.graphs.graph_network import GraphNetwork

    Network: TypeAlias = keras.Model | GraphNetwork
    """What is filled: its layers have names and variables, and these names and Keras's shapes."""

_LOG = logging.getLogger(__name__)
_MOST_AXES_OF_DENSE = 2
KERAS_3_SUFFIX = ".weights.h5"
_KERAS_3_ROOTS = ("layers", "_layer_checkpoint_dependencies")
"""Where a functional model's layers lie; the second name was that of Keras 3.0."""


def draw_weights(network: Network, seed: int, gains: Mapping[str, float] | None = None) -> None:
    """Fills a network with random weights that preserve the signal; they are the same on every backend.

    Kernels are drawn from N(0, 2 / fan-in) (He et al. 2015), which keeps the variance through layers with ReLU;
    biases are 0 and batch normalisation does nothing. Each layer has its own stream of the seed, by its position.

    Args:
        network: the network to fill.
        seed: seed of all weights.
        gains: factors on the kernels of some layers, by name; residual branches need one below 1.
    """
    layers = [layer for layer in network.layers if layer.weights]
    for position, layer in enumerate(layers):
        generator = np.random.default_rng([seed, position])
        drawn = []
        for variable in layer.weights:
            shape = tuple(variable.shape)
            if variable.name == "kernel":
                scale = math.sqrt(2.0 / math.prod(shape[:-1])) * (gains or {}).get(layer.name, 1.0)
                kernel = generator.standard_normal(shape, np.float32)
                # In place, since one of VGG16's kernels has 400 MB.
                kernel *= np.float32(scale)
                drawn.append(kernel)
            else:
                drawn.append(np.full(shape, variable.name in ("gamma", "moving_variance"), np.float32))
        layer.set_weights(drawn)


def assign_by_name(network: Network, arrays: Mapping[str, np.ndarray], source: Path) -> None:
    """Puts arrays, named `<layer>/<variable>`, into the layers of those names.

    Raises:
        WeightsError: if an array is absent, has another shape, or belongs to no layer; the text names file and key.
    """
    wanted = {f"{layer.name}/{variable.name}": variable for layer in network.layers for variable in layer.weights}
    for key in arrays:
        if key not in wanted:
            raise WeightsError(f"{source}: '{key}' belongs to no layer of the network {network.name}")
    for key in wanted:
        if key not in arrays:
            raise WeightsError(f"{source}: '{key}' is absent")
    for key, variable in wanted.items():
        check_shape(source, key, arrays[key].shape, tuple(variable.shape))
    for key, variable in wanted.items():
        variable.assign(np.asarray(arrays[key], np.float32))


def assign_by_order(network: Network, layers: Mapping[str, Mapping[str, np.ndarray]], source: Path) -> None:
    """Puts the arrays of a file's layers into a network's layers in their order, as Keras does for its published files.

    Raises:
        WeightsError: if the number of layers or a shape differs; the text names file and key.
    """
    mine = [layer for layer in network.layers if layer.weights]
    theirs = {name: arrays for name, arrays in layers.items() if arrays}
    top = list(theirs)[len(mine) :]
    if all(array.ndim <= _MOST_AXES_OF_DENSE for name in top for array in theirs[name].values()):
        # Dense layers above the network, as a fine-tuned one has them.
        for name in top:
            _LOG.info("%s: '%s' lies above the layers of %s and is left out", source, name, network.name)
            del theirs[name]
    if len(mine) != len(theirs):
        raise WeightsError(f"{source}: it holds {len(theirs)} layers with weights, {network.name} has {len(mine)}")
    for layer, (name, arrays) in zip(mine, theirs.items(), strict=True):
        if len(arrays) != len(layer.weights):
            raise WeightsError(f"{source}: '{name}' holds {len(arrays)} arrays, not {len(layer.weights)}")
        for variable, (key, array) in zip(layer.weights, arrays.items(), strict=True):
            check_shape(source, f"{name}/{key}", array.shape, tuple(variable.shape))
    for layer, arrays in zip(mine, theirs.values(), strict=True):
        layer.set_weights([np.asarray(array, np.float32) for array in arrays.values()])


def check_shape(source: Path, key: str, found: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """Refuses an array of another shape.

    Raises:
        WeightsError: if the shapes differ; the text names file and key.
    """
    if tuple(found) != tuple(wanted):
        raise WeightsError(f"{source}: '{key}' has the shape {list(found)}, not {list(wanted)}")


def read_keras_h5(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """Reads a weight file in the layout of Keras 2: layers in order, and the arrays of each in order.

    Returns:
        Layer name -> array name (`kernel`, `beta`, …; unique within its layer) -> array.

    Raises:
        WeightsError: if the file is not HDF5 or has another layout; the text names file and key.
    """
    try:
        with h5py.File(path, "r") as file:
            is_whole_model = "layer_names" not in file.attrs and "model_weights" in file
            root = _group(path, file, "model_weights") if is_whole_model else file
            return {name: _read_layer(path, root, name) for name in _names(path, root, "layer_names")}
    except OSError as error:
        raise WeightsError(f"{path}: not readable as HDF5: {error}") from error


def read_keras3_h5(path: Path, network: Network) -> dict[str, np.ndarray]:
    """Reads a `.weights.h5` file of Keras 3, which knows layers by their class and number, for a network's own layers.

    Dense layers above the network, as a fine-tuned one has them, are left out.

    Returns:
        `<layer>/<variable>` -> array, for `assign_by_name`.

    Raises:
        WeightsError: if the file is not HDF5, has another layout, or more layers of a class than the network has.
    """
    found: dict[str, np.ndarray] = {}
    numbers: Counter[str] = Counter()
    try:
        with h5py.File(path, "r") as file:
            name = next((name for name in _KERAS_3_ROOTS if file.get(name, getlink=True)), None)
            if name is None:
                raise WeightsError(f"{path}: has no '{_KERAS_3_ROOTS[0]}': not a .weights.h5 file of Keras 3")
            root = _group(path, file, name)
            for layer in network.layers:
                kind = _snake_case(getattr(layer, "kind", type(layer).__name__))
                name = f"{kind}_{numbers[kind]}" if numbers[kind] else kind
                numbers[kind] += 1
                for place, variable in enumerate(layer.weights):
                    found[f"{layer.name}/{variable.name}"] = _read_array(path, root, f"{name}/vars/{place}")
            for kind, count in numbers.items():
                further = f"{kind}_{count}"
                if further in root and len(_group(path, root, further).get("vars", ())):
                    raise WeightsError(f"{path}: '{further}' belongs to no layer of the network {network.name}")
    except OSError as error:
        raise WeightsError(f"{path}: not readable as HDF5: {error}") from error
    return found


def _snake_case(name: str) -> str:
    """A class's name as Keras 3 writes it: Conv2D -> conv2d, BatchNormalization -> batch_normalization."""
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


def _read_layer(path: Path, root: h5py.Group, name: str) -> dict[str, np.ndarray]:
    group = _group(path, root, name)
    arrays = {}
    for weight_name in _names(path, group, "weight_names"):
        arrays[weight_name.rpartition("/")[2].partition(":")[0]] = _read_array(path, group, weight_name)
    return arrays


def _group(path: Path, root: h5py.Group, name: str) -> h5py.Group:
    """A group of the file itself: a soft or an external link could lead to any file of the machine."""
    if root.get(name, getclass=True, getlink=True) is not h5py.HardLink or not isinstance(root[name], h5py.Group):
        raise WeightsError(f"{path}: '{name}' is not a group")
    return root[name]


def _read_array(path: Path, group: h5py.Group, name: str) -> np.ndarray:
    node: h5py.Group | h5py.Dataset = group
    for part in name.split("/"):
        # A soft or an external link could lead to any file of the machine.
        if not isinstance(node, h5py.Group) or node.get(part, getclass=True, getlink=True) is not h5py.HardLink:
            raise WeightsError(f"{path}: '{group.name}/{name}' is absent or a link")
        node = node[part]
    if not isinstance(node, h5py.Dataset) or node.is_virtual or node.external or node.dtype.kind != "f":
        raise WeightsError(f"{path}: '{group.name}/{name}' is not a plain data set of floating-point numbers")
    return node[()]


def _names(path: Path, group: h5py.Group, attribute: str) -> list[str]:
    if attribute not in group.attrs:
        raise WeightsError(
            f"{path}: '{group.name}' has no attribute {attribute}: not a weight file of Keras 2's layout"
        )
    return [name.decode("utf-8") if isinstance(name, bytes) else str(name) for name in group.attrs[attribute]]


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an npz file; pickled objects are refused.

    Raises:
        WeightsError: if the file is no npz file of plain arrays.
    """
    if not zipfile.is_zipfile(path):
        raise WeightsError(f"{path}: not an npz file")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path}: not readable as an npz file of plain arrays: {error}") from error
