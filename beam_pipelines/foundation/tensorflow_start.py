"""Starting TensorFlow in a process: with a given number of threads, and without the noise of its start-up.

Beam starts one process per core; in each of them TensorFlow would start one thread per core, far too many. Networks
compute in batches of fixed size. On an AVX-512 machine the number of threads within an operation changed no bit; on an
AVX2 machine it changed the last ones (by 5e-8). So it is the same in all workers.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOG = logging.getLogger(__name__)
_GPU_DEVICES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")
"""What the drivers of NVIDIA, of NVIDIA under Windows, and of AMD leave on Linux."""

_ONE_AT_A_TIME = threading.Lock()
# TensorFlow 2.21 prints these at every start, whatever TF_CPP_MIN_LOG_LEVEL says. They tell a user nothing.
_START_UP_NOISE = re.compile(
    r"absl::InitializeLog|oneDNN custom operations|Could not find cuda drivers|failed call to cuInit|"
    r"Unable to register cu|cpu_feature_guard|rebuild TensorFlow with the appropriate compiler flags"
)


def start_tensorflow(threads: int | None = None, at_once: int = 1) -> None:
    """Imports TensorFlow and sets its number of threads.

    If TensorFlow has started already in this process (a notebook, a test), the number stays as it is, and a log line
    says so.

    Args:
        threads: threads within an operation; None leaves both numbers to TensorFlow.
        at_once: threads between operations, one per Python thread that calls networks at the same time.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Several processes and other programs may share a GPU: none takes all its memory at once.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    # Threads of one process may come at once, and what standard error is can be changed by only one of them.
    with _ONE_AT_A_TIME, _without_start_up_noise():
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
    """Whether TensorFlow sees a GPU on this machine; imports TensorFlow only where there may be one."""
    if sys.platform == "linux" and not any(map(os.path.exists, _GPU_DEVICES)):
        return False
    start_tensorflow()
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


@contextmanager
def _without_start_up_noise() -> Iterator[None]:
    """Holds back standard error, and afterwards lets all but TensorFlow's known start-up lines through."""
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
            aside.seek(0)
            for line in aside.read().decode("utf-8", "replace").splitlines():
                if not _START_UP_NOISE.search(line):
                    print(line, file=sys.stderr)
