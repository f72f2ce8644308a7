"""Records what the untrained networks give for one made-up second: `python tests/golden/regenerate.py`.

To be run only when a change of the networks, of their drawn weights or of their preprocessing is meant. The inputs are
formulas in integers and in single sines, so that they are the same everywhere.
"""

from __future__ import annotations

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


def first_values() -> dict[str, np.ndarray]:
    """Modality -> the first values of the vector of its untrained network with seed 0, float32 [32]."""
    from beam_pipelines.extractors.networks.inception_resnet_v1 import InceptionResnetV1Face
    from beam_pipelines.extractors.networks.inception_v3 import InceptionV3Image
    from beam_pipelines.extractors.networks.vggish import VGGishAudio

    image = InceptionV3Image("untrained", seed=0, batch_size=2)
    audio = VGGishAudio("untrained", seed=0, batch_size=2)
    face = InceptionResnetV1Face("untrained", seed=0, batch_size=2)
    vectors = {
        "image": image(picture(299)[None]),
        "audio": audio(sound()[None]),
        "face": face(picture(InceptionResnetV1Face.image_size_px)[None]),
    }
    return {modality: vector[0, :VALUES] for modality, vector in vectors.items()}


if __name__ == "__main__":
    np.savez(GOLDEN, **first_values())
