"""One training step on several devices and several workers: every replica takes its share of each batch.

    batch of B windows      0 1 2 3 4 | 5 6 7 8 9         shares of two replicas; their sizes differ by at most one
    gradients, statistics   summed over the replicas      so that the step is that of one device on the whole batch

All replicas know the whole batch (one int32 per window), so they need only their own number. Sums over replicas are
differentiable; outside a replica, or with a single one, they are the identity and cost nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from beam_pipelines.foundation.errors import ConfigurationError

CLUSTER = "TF_CONFIG"
"""The environment variable that describes a worker's cluster to TensorFlow."""


def make_strategy(name: str) -> Any:
    """The strategy with a name; call it before anything else of TensorFlow runs in the process.

    Args:
        name: `one` device; `mirrored`, all GPUs of this machine; `multi_worker`, all workers that TF_CONFIG names;
            `auto`: `multi_worker` if TF_CONFIG is set, else `mirrored` if there are several GPUs, else `one`.

    Raises:
        ConfigurationError: if `multi_worker` has no TF_CONFIG, or TensorFlow refuses TF_CONFIG.
    """
    if name == "auto":
        several = len(tf.config.list_physical_devices("GPU")) > 1
        name = "multi_worker" if os.environ.get(CLUSTER) else "mirrored" if several else "one"
    if name == "multi_worker":
        if not os.environ.get(CLUSTER):
            raise ConfigurationError(
                f"--strategy multi_worker: the environment variable {CLUSTER} is not set; it names the addresses of "
                "all workers, and which of them this is"
            )
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except ValueError as error:
            raise ConfigurationError(f"{CLUSTER}: {error}") from error
    return tf.distribute.MirroredStrategy() if name == "mirrored" else tf.distribute.get_strategy()


def is_chief(strategy: Any) -> bool:
    """Whether this process writes: it is the first worker, or the only one."""
    resolver = strategy.cluster_resolver
    return resolver is None or resolver.task_type in (None, "", "chief") or _is_first_worker(resolver)


def _is_first_worker(resolver: Any) -> bool:
    return resolver.task_id == 0 and "chief" not in resolver.cluster_spec().as_dict()


def replicas() -> int:
    """The number of replicas that run the calling code; 1 outside a replica."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else int(context.num_replicas_in_sync)


def replica_sum(value: Any) -> Any:
    """The sum over all replicas of a tensor or a list of tensors, equal on each; differentiable."""
    if replicas() == 1:
        return value
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, value)


def own_share(values: Any) -> Any:
    """This replica's part of a batch that all replicas have, [B, …] -> [b, …]."""
    count = replicas()
    if count == 1:
        return values
    size, number = tf.shape(values)[0], tf.cast(_number(), tf.int32)
    return values[size * number // count : size * (number + 1) // count]


def rows_of_all(rows: Any) -> tuple[Any, Any]:
    """The number of rows of all replicas, and the number of those before this replica's; int32 scalars."""
    count = replicas()
    if count == 1:
        return rows, tf.zeros((), tf.int32)
    own = tf.one_hot(_number(), count, dtype=tf.float64) * tf.cast(rows, tf.float64)
    sizes = tf.cast(replica_sum(own), tf.int32)
    return tf.reduce_sum(sizes), tf.reduce_sum(sizes[: _number()])


def normalize_over_replicas(layer: Any, x: Any) -> Any:
    """Batch normalisation in training with the moments of the whole batch, however replicas share it.

    Mean and (biased) variance cover the rows of all replicas with equal weights; for shares of different sizes a mean
    of the replicas' means would be wrong. The moving averages are updated as in Keras.

    Args:
        layer: a built `keras.layers.BatchNormalization` with centre and scale.
        x: float [n, size], this replica's rows.
    """
    count = replica_sum(tf.cast(tf.shape(x)[0], x.dtype))
    mean = replica_sum(tf.reduce_sum(x, axis=0)) / count
    variance = replica_sum(tf.reduce_sum(tf.square(x - mean), axis=0)) / count
    for average, value in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        average.assign(average * layer.momentum + tf.stop_gradient(value) * (1.0 - layer.momentum))
    return (x - mean) * (layer.gamma * tf.math.rsqrt(variance + layer.epsilon)) + layer.beta


def copies(strategy: Any, values: Mapping[str, Any]) -> Any:
    """Copies tensors that every step reads to each of this process's devices, in the form that `strategy.run` takes."""
    if strategy.num_replicas_in_sync == 1:
        return dict(values)
    devices = iter(strategy.extended.worker_devices)

    def on_next_device(_: Any) -> dict[str, Any]:
        with tf.device(next(devices)):
            return {key: tf.identity(value) for key, value in values.items()}

    return strategy.experimental_distribute_values_from_function(on_next_device)


def chiefs_value(strategy: Any, value: Any) -> Any:
    """The first replica's value on all workers, so that all decide alike: a number, or a float array of any shape."""
    if strategy.num_replicas_in_sync == 1:
        return value

    @tf.function
    def share(own: Any) -> Any:
        return strategy.run(lambda: replica_sum(tf.where(tf.equal(_number(), 0), own, tf.zeros_like(own))))

    shared = strategy.experimental_local_results(share(tf.constant(value, tf.float64)))[0].numpy()
    return float(shared) if shared.ndim == 0 else shared


def _number() -> Any:
    return tf.distribute.get_replica_context().replica_id_in_sync_group
