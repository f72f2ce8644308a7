"""Starting TensorFlow in a process, with a given number of threads.

Beam starts one process per core; in each of them TensorFlow would start one thread per core, far too many. Networks
compute in batches of fixed size. On an AVX-512 machine the number of threads within an operation changed no bit; on an
AVX2 machine it changed the last ones (by 5e-8). So it is the same in all workers.
"""

from __future__ import annotations

import logging
import os

from beam_pipelines.foundation.gpu_devices import has_gpu_device

_LOG = logging.getLogger(__name__)


def start_tensorflow(threads: int | None = None, at_once: int = 1) -> None:
    """Imports TensorFlow and sets its number of threads.

    If TensorFlow has started already in this process (a notebook, a test), the number stays as it is, and a log line
    says so.

    Args:
        threads: threads within an operation; None leaves both numbers to TensorFlow.
        at_once: threads between operations, one per Python thread that calls networks at the same time.
    """
    # TensorFlow 2.21 writes half a dozen lines before it reads this. Catching them would hide a crash's message too.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Several processes and other programs may share a GPU: none takes all its memory at once.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    import tensorflow as tf

    if threads is not None and tf.config.threading.get_intra_op_parallelism_threads() != threads:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(at_once)
        except RuntimeError:
            _LOG.info("TensorFlow is running already in this process; its number of threads stays as it is")
    # "float32" in a fingerprint means float32: an Ampere GPU would otherwise round factors to 10 bits.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    tf.config.list_physical_devices()


def sees_gpu() -> bool:
    """Whether TensorFlow sees a GPU on this machine; TensorFlow is imported only if there may be one."""
    if not has_gpu_device():
        return False
    start_tensorflow()
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))
