"""Networks and pictures that several tests of the extractors share: each is built once, or anew after others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from beam_pipelines.extractors.networks.inception_resnet_v1 import InceptionResnetV1Face
from beam_pipelines.extractors.networks.inception_v3 import InceptionV3Image
from beam_pipelines.extractors.networks.vggish import VGGishAudio
from tests.support.kept_networks import kept_network


def untrained(kind: Any) -> Any:
    """A network with drawn weights: the one that jobs of this process have used, if they have (`kept_networks`)."""
    return kept_network(
        (kind, "untrained", 0, 4, "float32", False, "onnxruntime", 1, None), lambda: kind("untrained", batch_size=4)
    )


@pytest.fixture(scope="module")
def untrained_image() -> InceptionV3Image:
    return untrained(InceptionV3Image)


@pytest.fixture(scope="module")
def untrained_audio() -> VGGishAudio:
    return untrained(VGGishAudio)


@pytest.fixture(scope="module")
def untrained_face() -> InceptionResnetV1Face:
    return untrained(InceptionResnetV1Face)


@pytest.fixture(scope="session")
def girl_friday(shared_data: Path) -> np.ndarray:
    """The pictures on screen at 0, 1, … 6 s of `his_girl_friday_6s.mp4`: uint8 [7, 480, 640, 3]."""
    pictures: list[np.ndarray] = []
    with av.open(str(shared_data / "clips" / "his_girl_friday_6s.mp4")) as container:
        latest: np.ndarray | None = None
        first_s: float | None = None
        for frame in container.decode(video=0):
            first_s = frame.time if first_s is None else first_s
            while latest is not None and frame.time - first_s > len(pictures):
                pictures.append(latest)
            latest = frame.to_ndarray(format="rgb24")
    assert latest is not None
    return np.stack([*pictures, latest])[:7]
