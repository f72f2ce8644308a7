"""The process in which openSMILE runs: it reads windows of sound and writes feature vectors, raw little-endian floats.

An input message is a count n (uint32) and n x 80,000 samples. An output message is n (0 if openSMILE failed or gave
values that are not finite) and n x 1,582 values. This process must never import TensorFlow: openSMILE 2.6 crashes
next to it.
"""

from __future__ import annotations

import os
import sys

import numpy as np
import opensmile

from beam_pipelines.extractors.networks.opensmile_is10 import DIMENSIONS, EXIT_OTHER_SET, RATE_HZ, WINDOW_SAMPLES

_LOUDEST = 32767 / 32768


def main() -> int:
    """Answers until the other side closes its pipe, and returns the exit code."""
    smile = opensmile.Smile(
        feature_set=opensmile.FeatureSet.IS10, feature_level=opensmile.FeatureLevel.Functionals, num_workers=1
    )
    if smile.num_features != DIMENSIONS:
        return EXIT_OTHER_SET
    source = sys.stdin.buffer
    # Output of a native library must not mix with the numbers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while head := source.read(4):
        count = int.from_bytes(head, "little")
        content = source.read(4 * WINDOW_SAMPLES * count)
        if len(content) < 4 * WINDOW_SAMPLES * count:
            return 0
        rows = _features(smile, np.frombuffer(content, "<f4").reshape(count, WINDOW_SAMPLES))
        answers.write(len(rows).to_bytes(4, "little") + rows.tobytes())
        answers.flush()
    return 0


def _features(smile: opensmile.Smile, windows: np.ndarray) -> np.ndarray:
    rows = np.empty((len(windows), DIMENSIONS), "<f4")
    for row, window in zip(rows, windows, strict=True):
        # opensmile multiplies by 32768 and casts to int16: full scale would become the most negative sample.
        row[:] = smile.process_signal(np.clip(window, -1.0, _LOUDEST), RATE_HZ).to_numpy()[0]
    return rows if np.isfinite(rows).all() else rows[:0]


if __name__ == "__main__":
    sys.exit(main())
