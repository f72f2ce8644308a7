"""Records what the untrained networks give for one made-up second: `python tests/golden/regenerate.py`.

To be run only when a change of the networks, of their drawn weights or of their preprocessing is meant. The inputs are
formulas in integers and in single sines, so that they are the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).with_name("untrained_networks.npz")
VALUES = 32
"""So many values of each vector are kept: enough to notice another network, few enough for a small file."""


def picture(side_px: int) -> np.ndarray:
    """uint8 [side, side, 3]: three gradients that wrap around."""
    rows, columns = np.mgrid[:side_px, :side_px]
    return np.stack([(3 * rows + columns) % 256, (rows + 2 * columns) % 256, (rows * columns) // 7 % 256], -1).astype(
        np.uint8
    )


def sound() -> np.ndarray:
    """float32 [15360]: 0.96 s of a rising tone at 16 kHz."""
    times_s = np.arange(15_360) / 16_000
    return (0.4 * np.sin(2 * np.pi * (220 + 300 * times_s) * times_s)).astype(np.float32)


def first_value(modality: str, network: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The first values of the vector that a modality's network gives for the made-up second, float32 [32]."""
    inputs = {"image": partial(picture, 299), "audio": sound, "face": partial(picture, 160)}
    vectors = network(inputs[modality]()[None])
    return vectors[0, :VALUES]


if __name__ == "__main__":
    from beam_pipelines.extractors.networks.inception_resnet_v1 import InceptionResnetV1Face
    from beam_pipelines.extractors.networks.inception_v3 import InceptionV3Image
    from beam_pipelines.extractors.networks.vggish import VGGishAudio

    kinds = {"image": InceptionV3Image, "audio": VGGishAudio, "face": InceptionResnetV1Face}
    np.savez(GOLDEN, **{name: first_value(name, kind("untrained", batch_size=4)) for name, kind in kinds.items()})
