"""The networks give the same vectors under another backend of Keras as by ONNX Runtime."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_pipelines.extractors.networks.inception_resnet_v1 import InceptionResnetV1Face
from beam_pipelines.extractors.networks.inception_v3 import InceptionV3Image
from beam_pipelines.extractors.networks.vggish import VGGishAudio

PROGRAM = """
import sys
import numpy as np
from beam_pipelines.extractors.networks.inception_resnet_v1 import InceptionResnetV1Face
from beam_pipelines.extractors.networks.inception_v3 import InceptionV3Image
from beam_pipelines.extractors.networks.vggish import VGGishAudio

with np.load(sys.argv[1], allow_pickle=False) as inputs:
    vectors = {
        kind.modality: kind("untrained", batch_size=2, engine="tensorflow")(inputs[kind.modality])
        for kind in (InceptionV3Image, VGGishAudio, InceptionResnetV1Face)
    }
np.savez(sys.argv[2], **vectors)
"""


def needs(backend: str) -> object:
    absent = importlib.util.find_spec(backend) is None
    return pytest.param(backend, marks=pytest.mark.skipif(absent, reason=f"needs {backend}"))


@pytest.mark.slow
@pytest.mark.parametrize("backend", [needs("jax"), needs("torch")])
def test_another_backend_gives_the_same_vectors(
    backend: str,
    tmp_path: Path,
    untrained_image: InceptionV3Image,
    untrained_audio: VGGishAudio,
    untrained_face: InceptionResnetV1Face,
) -> None:
    generator = np.random.default_rng(12)
    inputs: dict[str, Any] = {
        "image": generator.integers(0, 256, (2, 299, 299, 3), np.uint8),
        "audio": generator.uniform(-1, 1, (2, 15_360)).astype(np.float32),
        "face": generator.integers(0, 256, (2, 160, 160, 3), np.uint8),
    }
    np.savez(tmp_path / "inputs.npz", **inputs)
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "inputs.npz"), str(tmp_path / "vectors.npz")]
    subprocess.run(command, env=environment, check=True, timeout=300)
    with np.load(tmp_path / "vectors.npz", allow_pickle=False) as vectors:
        for network in (untrained_image, untrained_audio, untrained_face):
            ours = network(inputs[network.modality])
            np.testing.assert_allclose(vectors[network.modality], ours, rtol=0, atol=1e-4 * np.abs(ours).max())
