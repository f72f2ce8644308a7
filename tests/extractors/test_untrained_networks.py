"""Untrained networks: they give what they gave before, the seed decides, and they keep what the demonstration shows."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from beam_pipelines.extractors.networks.inception_resnet_v1 import InceptionResnetV1Face
from beam_pipelines.extractors.networks.inception_v3 import InceptionV3Image
from beam_pipelines.extractors.networks.vggish import VGGishAudio, build_network
from beam_pipelines.extractors.weights import weight_files as weights
from beam_pipelines.extractors.weights.network_weights import draw_weights
from beam_pipelines.foundation.errors import WeightsError
from tests.golden.regenerate import GOLDEN, VALUES, first_value

EXAMPLES = 40


def correlation_held_out(vectors: np.ndarray, target: np.ndarray) -> float:
    """Pearson's r of a ridge regression on the last quarter, fitted on the rest."""
    train = 3 * len(target) // 4
    centred = (vectors - vectors[:train].mean(0)) / (vectors[:train].std(0) + 1e-9)
    kernel = centred @ centred.T
    ridge = kernel[:train, :train] + 0.01 * centred.shape[1] * np.eye(train)
    predicted = kernel[train:, :train] @ np.linalg.solve(ridge, target[:train] - target[:train].mean())
    return float(np.corrcoef(predicted, target[train:])[0, 1])


@pytest.mark.parametrize("modality", ["image", "audio", "face"])
def test_they_give_what_they_gave_before(modality: str, request: pytest.FixtureRequest) -> None:
    """Between kinds of CPU the last bits differ: the bound is 1e-4 of the largest value."""
    with np.load(GOLDEN, allow_pickle=False) as golden:
        recorded = golden[modality]
    assert recorded.shape == (VALUES,)
    scale = np.abs(recorded).max()
    assert scale > 0
    found = first_value(modality, request.getfixturevalue(f"untrained_{modality}"))
    np.testing.assert_allclose(found, recorded, rtol=0, atol=1e-4 * scale)


def test_pictures_keep_their_brightness_and_colour(untrained_image: InceptionV3Image) -> None:
    generator = np.random.default_rng(0)
    brightness, warmth = generator.uniform(60, 190, EXAMPLES), generator.uniform(-50, 50, EXAMPLES)
    rows, columns = np.mgrid[:299, :299] / 299
    pictures = []
    for bright, warm in zip(brightness, warmth, strict=True):
        texture = 30 * np.sin(2 * np.pi * (generator.uniform(2, 8) * columns + generator.uniform(2, 8) * rows))
        channels = [bright + texture + shift for shift in (warm, 0, -warm)]
        pictures.append(np.clip(np.stack(channels, -1), 0, 255).astype(np.uint8))
    vectors = untrained_image(np.stack(pictures))
    assert correlation_held_out(vectors, brightness) > 0.9
    assert correlation_held_out(vectors, warmth) > 0.9


def test_sounds_keep_their_loudness_and_pitch(untrained_audio: VGGishAudio) -> None:
    generator = np.random.default_rng(1)
    loudness, pitch = generator.uniform(-2, -0.2, EXAMPLES), generator.uniform(5, 7.3, EXAMPLES)
    seconds = np.arange(15_360) / 16_000
    tones = 2 * np.pi * np.exp(pitch)[:, None] * seconds + generator.uniform(0, 6, (EXAMPLES, 1))
    sounds = np.sin(tones) + 0.4 * np.sin(2 * tones) + 0.1 * generator.standard_normal((EXAMPLES, 15_360))
    vectors = untrained_audio((10 ** loudness[:, None] * sounds).astype(np.float32))
    assert correlation_held_out(vectors, loudness) > 0.9
    assert correlation_held_out(vectors, pitch) > 0.8


def test_faces_keep_their_light(untrained_face: InceptionResnetV1Face) -> None:
    from matplotlib import cbook
    from PIL import Image

    with Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as photograph:
        face = np.asarray(photograph.convert("RGB").crop((190, 60, 350, 220)), np.float64)
    generator = np.random.default_rng(2)
    exponents = generator.uniform(0.5, 1.8, EXAMPLES)
    noise = generator.normal(0, 4, (EXAMPLES, *face.shape))
    crops = [255 * (face / 255) ** exponent + grain for exponent, grain in zip(exponents, noise, strict=True)]
    assert correlation_held_out(untrained_face(np.clip(crops, 0, 255).astype(np.uint8)), exponents) > 0.9


def test_the_seed_decides_and_is_named() -> None:
    drawn = []
    for seed in (7, 7, 8):
        network = build_network(narrowing=32)
        draw_weights(network, seed)
        drawn.append([np.asarray(weight) for weight in network.get_weights()])
    assert all(np.array_equal(a, b) for a, b in zip(drawn[0], drawn[1], strict=True))
    assert not np.array_equal(drawn[0][0], drawn[2][0])
    for network_class in (InceptionV3Image, VGGishAudio, InceptionResnetV1Face):
        assert network_class.describe("untrained", 8)["weights"] == "untrained-seed-8"


def test_global_randomness_is_left_alone() -> None:
    keras.utils.set_random_seed(1)
    expected = np.random.random()
    keras.utils.set_random_seed(1)
    draw_weights(build_network(narrowing=32), 3)
    assert np.random.random() == expected


@pytest.mark.parametrize("network_class", [InceptionV3Image, VGGishAudio, InceptionResnetV1Face])
def test_absent_weights_stop_before_anything_is_built(network_class, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(weights.DIRECTORY_VARIABLE, str(tmp_path))
    with pytest.raises(WeightsError, match="cineaffect weights fetch"):
        network_class()


def test_a_description_names_what_decides_and_nothing_else(untrained_face: InceptionResnetV1Face) -> None:
    description = untrained_face.description()
    assert description == InceptionResnetV1Face.describe("untrained", 0)
    assert set(description) == {"network", "weights", "preprocessing", "precision"}
