"""No vector depends on what shares its batch: bit for bit, for every network."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from beam_pipelines.extractors.batching.fixed_batch import FixedBatchNetwork, check_keras_settings, fixed_batches
from beam_pipelines.extractors.networks.inception_resnet_v1 import InceptionResnetV1Face
from beam_pipelines.extractors.networks.inception_v3 import InceptionV3Image
from beam_pipelines.extractors.networks.vggish import VGGishAudio
from beam_pipelines.foundation.errors import ConfigurationError

BATCH = 4
"""Batch size of the networks of these tests; n = 1, a whole batch and one more are the cases."""


def check_bits(network: Any, inputs: np.ndarray) -> None:
    """Whatever else is in its batch, a row at the same place has the same bits; at another the last ones may differ."""
    everything = network(inputs)
    assert everything.shape == (len(inputs), network.dimensions)
    assert everything.dtype == np.float32
    for place in range(BATCH):
        others = np.zeros_like(inputs[:BATCH])
        others[place] = inputs[place]
        assert np.array_equal(network(others)[place], everything[place]), f"alone at place {place}"
    assert np.array_equal(network(inputs[[-1, *range(1, BATCH)]])[0], everything[-1]), "other neighbours"
    np.testing.assert_allclose(network(inputs[::-1])[::-1], everything, rtol=0, atol=1e-5 * np.abs(everything).max())
    for n in (1, BATCH):
        assert np.array_equal(network(inputs[:n]), everything[:n]), f"n = {n}"
    assert np.array_equal(network(inputs[-1:]), everything[-1:]), "the last alone"
    assert network(inputs[:0]).shape == (0, network.dimensions)
    differences = np.linalg.norm(np.diff(everything, axis=0), axis=1) / np.linalg.norm(everything[1:], axis=1)
    assert differences.min() > 1e-3, "different inputs must differ"


@pytest.mark.slow  # VGGish goes the same way
def test_inception_v3(untrained_image: InceptionV3Image) -> None:
    check_bits(untrained_image, np.random.default_rng(1).integers(0, 256, (BATCH + 1, 299, 299, 3), np.uint8))


def test_vggish(untrained_audio: VGGishAudio) -> None:
    generator = np.random.default_rng(2)
    loudness = 10 ** generator.uniform(-3, 0, (2 * BATCH + 1, 1))
    check_bits(untrained_audio, (generator.uniform(-1, 1, (2 * BATCH + 1, 15_360)) * loudness).astype(np.float32))


@pytest.mark.slow
def test_inception_resnet_v1(untrained_face: InceptionResnetV1Face) -> None:
    faces = np.random.default_rng(3).integers(0, 256, (2 * BATCH + 1, 160, 160, 3), np.uint8)
    check_bits(untrained_face, faces)
    np.testing.assert_allclose(np.linalg.norm(untrained_face(faces), axis=1), 1, rtol=1e-5)


def test_batches_are_filled_with_zeros() -> None:
    inputs = np.arange(1, 8, dtype=np.uint8)[:, None]
    batches = [(batch.ravel().tolist(), real) for batch, real in fixed_batches(inputs, 3)]
    assert batches == [([1, 2, 3], 3), ([4, 5, 6], 3), ([7, 0, 0], 1)]


def test_other_settings_of_keras_are_refused() -> None:
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ConfigurationError, match=r"image_data_format.*keras\.json"):
            check_keras_settings()
    finally:
        keras.config.set_image_data_format("channels_last")


def test_wrong_inputs_are_refused(untrained_image: InceptionV3Image, untrained_audio: VGGishAudio) -> None:
    with pytest.raises(ValueError, match="float32"):
        untrained_image(np.zeros((1, 299, 299, 3), np.float32))
    with pytest.raises(ValueError, match="299"):
        untrained_image(np.zeros((1, 224, 224, 3), np.uint8))
    with pytest.raises(ValueError, match="15360"):
        untrained_audio(np.zeros((1, 16_000), np.float32))
    with pytest.raises(ConfigurationError, match="batch_size"):
        FixedBatchNetwork(keras.Sequential([keras.Input((1,))]), np.asarray, batch_size=0)
