"""A network that always sees one batch shape, so that no vector depends on what shares its batch.

Convolution libraries choose their kernels by shape: the same image has other last bits in a batch of 1 than in a batch
of 16. With one shape for all batches, short ones filled with zeros, it has the same bits whatever its neighbours are.
Its place in the batch may change its last bits (it does with AVX2 kernels, not with AVX-512), and so may the number of
threads. A second's place depends on its film alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from beam_pipelines.extractors.graphs.graph_network import GraphNetwork
from beam_pipelines.foundation.errors import ConfigurationError, NotFiniteError

if TYPE_CHECKING:
    import keras


def check_keras_settings() -> None:
    """Refuses settings of Keras that would change the networks.

    Raises:
        ConfigurationError: if there is such a setting; the text names it and its file.
    """
    import keras

    for name, found, wanted in (
        ("image_data_format", keras.config.image_data_format(), "channels_last"),
        ("floatx", keras.config.floatx(), "float32"),
        ("dtype_policy", keras.config.dtype_policy().name, "float32"),
    ):
        if found != wanted:
            raise ConfigurationError(
                f"Keras's setting {name} is {found!r}, the networks need {wanted!r}: "
                f"correct it in ~/.keras/keras.json or where it is set"
            )


def fixed_batches(inputs: np.ndarray, batch_size: int) -> Iterator[tuple[np.ndarray, int]]:
    """Cuts `[n, …]` into batches of exactly `batch_size`, the last one filled with zeros.

    Yields:
        The batch `[batch_size, …]`, and how many of its rows are real.
    """
    for start in range(0, len(inputs), batch_size):
        rows = inputs[start : start + batch_size]
        if len(rows) == batch_size:
            yield rows, batch_size
            continue
        batch = np.zeros((batch_size, *inputs.shape[1:]), inputs.dtype)
        batch[: len(rows)] = rows
        yield batch, len(rows)


def vectors_in_batches(
    run: Callable[[np.ndarray], np.ndarray], inputs: np.ndarray, batch_size: int, dimensions: Callable[[], int]
) -> np.ndarray:
    """Runs a network in batches of one size.

    Args:
        run: maps a raw batch `[batch_size, …]` to vectors `[batch_size, D]`.
        inputs: `[n, …]`, any n.
        batch_size: rows of every batch.
        dimensions: says the length of a vector; asked if there are no rows.

    Returns:
        float32 `[n, D]`.

    Raises:
        FloatingPointError: if a value is infinite or NaN.
    """
    found = [np.asarray(run(batch), np.float32)[:real] for batch, real in fixed_batches(inputs, batch_size)]
    vectors = np.concatenate(found) if found else np.empty((0, dimensions()), np.float32)
    if not np.isfinite(vectors).all():
        raise FloatingPointError("vectors that are not finite")
    return vectors


class FixedBatchNetwork:
    """A network as a function from `[n, …]` to float32 `[n, D]`, run in batches of one size.

    Args:
        network: a Keras model with one input and one output `[batch, D]`, or a graph that has been started.
        prepare: maps a raw batch `[batch_size, …]` to the model's float32 input.
        batch_size: rows of every batch.
        xla: compile the network with XLA; vectors then differ in their last bits.
    """

    def __init__(
        self,
        network: keras.Model | GraphNetwork,
        prepare: Callable[[np.ndarray], np.ndarray],
        batch_size: int,
        xla: bool = False,
    ):
        if batch_size < 1:
            raise ConfigurationError(f"batch_size must be at least 1, it is {batch_size}")
        self.network = network
        self.batch_size = batch_size
        self._prepare = prepare
        if isinstance(network, GraphNetwork):
            return
        import keras

        # XLA gains nothing for these networks on a CPU and compiles slowly; JAX has no other compiler.
        network.compile(jit_compile=xla or keras.config.backend() == "jax")

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Runs the network on `[n, …]`, any n; returns float32 `[n, D]`.

        Raises:
            NotFiniteError: if a value is infinite or NaN, as happens when half precision overflows.
        """
        try:
            return vectors_in_batches(
                lambda batch: self.network.predict_on_batch(self._prepare(batch)),
                inputs,
                self.batch_size,
                lambda: self.network.output_shape[-1],
            )
        except FloatingPointError as error:
            cause = "its weights or its input are at fault"
            if not isinstance(self.network, GraphNetwork):
                cause += ", or precision mixed_float16, which overflows where mixed_bfloat16 and float32 don't"
            raise NotFiniteError(f"{self.network.name}: gives {error}; {cause}") from error


def check_images(images: np.ndarray, size_px: int) -> None:
    """Refuses everything except uint8 `[n, size_px, size_px, 3]`.

    Raises:
        ValueError: if shape or type differ; the text names them.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (size_px, size_px, 3):
        raise ValueError(
            f"images of shape {list(images.shape)} and type {images.dtype}: wanted uint8 [n, {size_px}, {size_px}, 3]"
        )
