"""How many threads a process computes with.

Beam starts one process a core; TensorFlow would start one thread a core in each of them, and they would fight. Results
don't depend on the number (one second is always computed in the same fixed batch), only speed does.
"""

from __future__ import annotations

import logging

_LOG = logging.getLogger(__name__)


def use_threads(threads: int) -> None:
    """Limits TensorFlow's threads within and between operations; must run before the first tensor is made.

    In a process where TensorFlow has started already (a notebook, a test) the number stays as it is, and a log line says
    so.
    """
    import tensorflow as tf

    if tf.config.threading.get_intra_op_parallelism_threads() == threads:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        _LOG.info("TensorFlow is running already in this process; its number of threads stays as it is")
