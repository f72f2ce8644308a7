"""16 bits and XLA: what they change of the vectors, and that the fingerprint says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

# The public interface can only enable it.
from tensorflow.python.framework import config as tf_config

from beam_pipelines.contracts.models.exported_model import check_header
from beam_pipelines.contracts.models.model_card import ModelCard
from beam_pipelines.contracts.records.feature_track import fingerprint
from beam_pipelines.extractors.batching.fixed_batch import FixedBatchNetwork, check_keras_settings
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import describe_tracks
from beam_pipelines.extractors.networks.inception_resnet_v1 import InceptionResnetV1Face
from beam_pipelines.extractors.networks.precision import in_precision
from beam_pipelines.extractors.networks.vggish import VGGishAudio, build_network
from beam_pipelines.foundation.configuration import load_section
from beam_pipelines.foundation.errors import ConfigurationError, FilmError
from tests.support.exported_models import make_card
from tests.support.feature_records import make_film_record

BATCH = 4


def faces() -> np.ndarray:
    return np.random.default_rng(31).integers(0, 256, (BATCH, 160, 160, 3), np.uint8)


def sounds() -> np.ndarray:
    return np.random.default_rng(32).uniform(-1, 1, (BATCH, 15_360)).astype(np.float32)


def smallest_cosine(some: np.ndarray, others: np.ndarray) -> float:
    norms = np.linalg.norm(some, axis=1) * np.linalg.norm(others, axis=1)
    return float((np.sum(some * others, axis=1) / norms).min())


@pytest.fixture
def narrow_audio(monkeypatch: pytest.MonkeyPatch) -> VGGishAudio:
    """VGGish with a quarter of its filters and units, as all VGGish networks of the test are: of the whole one several
    copies are 300 MB each."""
    monkeypatch.setattr(VGGishAudio, "build", staticmethod(lambda: build_network(narrowing=4)))
    return VGGishAudio("untrained", batch_size=BATCH, engine="tensorflow")


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(
    ("kind", "full"),
    [
        pytest.param(InceptionResnetV1Face, "untrained_face", id="face", marks=pytest.mark.slow),
        pytest.param(VGGishAudio, "narrow_audio", id="audio"),
    ],
)
def test_sixteen_bits_give_nearly_the_same_vectors(kind: Any, full: Any, precision: Any, request: Any) -> None:
    full = request.getfixturevalue(full)
    inputs = faces() if kind is InceptionResnetV1Face else sounds()
    network = kind("untrained", batch_size=BATCH, precision=precision)
    vectors, expected = network(inputs), full(inputs)
    assert vectors.dtype == np.float32
    assert not np.array_equal(vectors, expected), "it must have computed in 16 bits"
    assert smallest_cosine(vectors, expected) > 0.999
    computes = [layer.compute_dtype for layer in network.network.layers if layer.weights]
    assert precision.removeprefix("mixed_") in computes
    assert {weight.dtype for weight in network.network.weights} == {"float32"}
    assert network.description() == {**full.description(), "precision": precision}


def test_no_policy_is_left_behind() -> None:
    in_precision(build_network(narrowing=32), "mixed_bfloat16")
    check_keras_settings()
    assert keras.layers.Dense(1).dtype_policy.name == "float32"
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        with pytest.raises(ConfigurationError, match="dtype_policy"):
            build_network(narrowing=32)
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_network_in_sixteen_bits_is_the_same_network() -> None:
    network = build_network(narrowing=32)
    assert in_precision(network, "float32") is network
    half = in_precision(network, "mixed_float16")
    assert [layer.name for layer in half.layers] == [layer.name for layer in network.layers]
    assert [weight.shape for weight in half.weights] == [weight.shape for weight in network.weights]
    assert half.layers[-1].compute_dtype == "float32"


@pytest.fixture
def no_determinism() -> Iterator[None]:
    """Keras compiles nothing with XLA in a process that has asked for deterministic operations, as training does."""
    was_enabled = tf_config.is_op_determinism_enabled()
    tf_config.disable_op_determinism()
    yield
    if was_enabled:
        tf_config.enable_op_determinism()


@pytest.mark.usefixtures("no_determinism")
def test_xla_changes_only_last_bits(narrow_audio: VGGishAudio) -> None:
    compiled = VGGishAudio("untrained", batch_size=BATCH, xla=True)
    assert compiled.network.jit_compile
    expected = narrow_audio(sounds())
    np.testing.assert_allclose(compiled(sounds()), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert compiled.description() == narrow_audio.description()


def test_an_overflow_is_said_and_not_written() -> None:
    network = in_precision(keras.Sequential([keras.Input((1,)), *(keras.layers.Dense(1) for _ in range(2))]), "float32")
    network.set_weights([np.full(weight.shape, 1e30, np.float32) for weight in network.get_weights()])
    with pytest.raises(ConfigurationError, match=r"not finite.*mixed_bfloat16"):
        FixedBatchNetwork(network, np.asarray, 2)(np.full((1, 1), 1e30, np.float32))


def test_a_model_refuses_another_precision_and_names_both() -> None:
    described, halved = (VGGishAudio.describe("untrained", 0, precision) for precision in ("float32", "mixed_bfloat16"))
    card = ModelCard.model_validate(make_card("1", {"audio": 128}, {"audio": described}))
    header = make_film_record("film", 3).header
    with pytest.raises(FilmError) as caught:
        check_header(replace(header, descriptions={"audio": halved}), card)
    assert caught.value.reason == "fingerprint_mismatch"
    for part in (fingerprint(described), fingerprint(halved), "precision"):
        assert part in caught.value.detail


def test_precision_is_part_of_its_own_fingerprint_and_the_device_of_none() -> None:
    untrained = [f"{modality}.weights=untrained" for modality in ("image", "audio", "face")]

    def described(*overrides: str) -> dict[str, dict[str, Any]]:
        return describe_tracks(load_section("extract", ExtractConfig, None, [*untrained, *overrides]))

    plain, half = described(), described("image.precision=mixed_bfloat16")
    assert fingerprint(plain["image"]) != fingerprint(half["image"])
    assert (plain["audio"], plain["face"]) == (half["audio"], half["face"])
    assert plain["image"]["precision"] == "float32"
    device = ("device.xla=true", "device.share_batches=true", "device.share_wait_s=2", "image.batch_size=64")
    assert described(*device) == plain
    with pytest.raises(ConfigurationError, match=r"image\.precision"):
        described("image.precision=float16")
