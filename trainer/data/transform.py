"""The transform graph of `prepare` as a function: raw features in, the model's inputs out.

Training and export both load it here, so that they can't differ. It is loaded as a plain SavedModel, since importing
tensorflow_transform would import Beam.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from beam_pipelines.contracts.models.model_card import SAVED_MODEL
from beam_pipelines.contracts.records.feature_track import PRESENT_SUFFIX
from beam_pipelines.contracts.runs import TRANSFORM_GRAPH
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError


class RowTransform:
    """A loaded transform graph: a function of rows, one per second.

    Attributes:
        raw_dimensions: modality -> values per second as extracted.
        dimensions: modality -> values per second after the transform.
        slots: modality -> slots per second.
        graph: the loaded SavedModel; an object that exports the function must keep it as an attribute.
    """

    def __init__(self, graph: Any):
        self.graph = graph
        self._function = graph.transform_fn
        self._inputs: dict[str, tf.TensorSpec] = self._function.structured_input_signature[0][0]
        sizes = {key: int(spec.shape[-1]) for key, spec in self._inputs.items()}
        outputs = {key: int(spec.shape[-1]) for key, spec in self._function.structured_outputs.items()}
        self.raw_dimensions = {key: size for key, size in sizes.items() if key + PRESENT_SUFFIX in sizes}
        self.dimensions = {key: outputs[key] for key in self.raw_dimensions if key in outputs}
        self.slots = {key: sizes[key + PRESENT_SUFFIX] for key in self.raw_dimensions}

    def digest(self) -> str:
        """SHA-256 of the graph's content: its operations in their order, its constants and its statistics.

        Names are left out, and float64 statistics count as float32, in which the graph applies them: a second `prepare`
        on the same records gives the same digest. It covers the graph's content and not its results, since the last
        digits of a matrix product depend on the processor.
        """
        state = hashlib.sha256()
        for operation in self._function.graph.get_operations():
            state.update(f"{operation.type}\n".encode())
            if operation.type == "Const":
                _add_array(state, tf.make_ndarray(operation.get_attr("value")))
        for statistic in self._function.captured_inputs:
            _add_array(state, statistic.numpy())
        return state.hexdigest()

    def __call__(self, rows: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Transforms rows.

        Args:
            rows: modality -> float [N, D as extracted], `<modality>_present` -> float [N, slots], for any of the
                modalities that the graph knows; arrays or tensors. Further keys are ignored.

        Returns:
            The same keys, modality -> float32 [N, D after the transform], presence unchanged.
        """
        given = {key: tf.cast(rows[key], spec.dtype) for key, spec in self._inputs.items() if key in rows}
        if not given:
            raise ValueError(f"no rows of {sorted(self.raw_dimensions)} among {sorted(rows)}")
        count = tf.shape(next(iter(given.values())))[0]
        # The graph needs all its inputs; those that a model doesn't use are filled in and left out of the result.
        absent = {
            key: tf.zeros((count, spec.shape[-1]), spec.dtype) for key, spec in self._inputs.items() if key not in given
        }
        transformed = self._function({**given, **absent})
        answer = {key: transformed[key] for key in transformed if key in given}
        return {**answer, **{key: given[key] for key in given if key.endswith(PRESENT_SUFFIX)}}


def _add_array(state: Any, array: np.ndarray) -> None:
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    state.update(f"{array.dtype.str} {array.shape}\n".encode())
    state.update(repr(array.tolist()).encode() if array.dtype == object else np.ascontiguousarray(array).tobytes())


def load_transform(transform_directory: str) -> RowTransform:
    """Loads the graph of a tf.Transform output, local or `gs://`.

    Raises:
        ConfigurationError: if the directory holds none.
    """
    with storage.local_tree(transform_directory) as path:
        graph = path / TRANSFORM_GRAPH
        if not (graph / SAVED_MODEL).is_file():
            raise ConfigurationError(
                f"{transform_directory}: holds no transform graph ({TRANSFORM_GRAPH}/{SAVED_MODEL}); run prepare first"
            )
        return RowTransform(tf.saved_model.load(str(graph)))
