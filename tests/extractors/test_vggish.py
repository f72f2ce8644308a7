"""VGGish against a forward pass in NumPy, from a checkpoint in the published format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import correlate2d

from beam_pipelines.extractors.networks.vggish import VGGishAudio, build_network, load_checkpoint
from beam_pipelines.extractors.networks.vggish_postprocess import VGGishPostprocessor
from beam_pipelines.extractors.weights import weight_files as weights
from beam_pipelines.extractors.weights.vggish_self_test import self_test, tone_windows
from beam_pipelines.foundation.errors import WeightsError

NARROWING = 32
SHAPES = {
    "conv1": (3, 3, 1, 2),
    "conv2": (3, 3, 2, 4),
    "conv3/conv3_1": (3, 3, 4, 8),
    "conv3/conv3_2": (3, 3, 8, 8),
    "conv4/conv4_1": (3, 3, 8, 16),
    "conv4/conv4_2": (3, 3, 16, 16),
    "fc1/fc1_1": (6 * 4 * 16, 128),
    "fc1/fc1_2": (128, 128),
    "fc2": (128, 128),
}
"""The published network with a 32nd of its filters and units (the embedding keeps its 128)."""


def random_variables() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(11)
    variables = {}
    for name, shape in SHAPES.items():
        scale = np.sqrt(2 / np.prod(shape[:-1]))
        variables[f"vggish/{name}/weights"] = (generator.standard_normal(shape) * scale).astype(np.float32)
        variables[f"vggish/{name}/biases"] = (generator.standard_normal(shape[-1]) * 0.1).astype(np.float32)
    return variables


def write_checkpoint(path: Path, variables: dict[str, np.ndarray]) -> None:
    """One file in TensorFlow 1's first format, as the AudioSet release has it."""
    import tensorflow.compat.v1 as tf1

    with tf1.Graph().as_default(), tf1.Session() as session:
        held = [tf1.Variable(value, name=name, use_resource=False) for name, value in variables.items()]
        session.run(tf1.variables_initializer(held))
        saver = tf1.train.Saver(held, write_version=tf1.train.SaverDef.V1)
        saver.save(session, str(path), write_meta_graph=False, write_state=False)


def numpy_vggish(patch: np.ndarray, variables: dict[str, np.ndarray]) -> np.ndarray:
    """[96, 64] -> [128], in float64."""
    x = patch[:, :, None].astype(np.float64)
    for name in list(SHAPES)[:6]:
        kernel, bias = variables[f"vggish/{name}/weights"], variables[f"vggish/{name}/biases"]
        planes = [
            sum(correlate2d(x[:, :, i], kernel[:, :, i, o], mode="same") for i in range(kernel.shape[2])) + bias[o]
            for o in range(kernel.shape[3])
        ]
        x = np.maximum(np.stack(planes, -1), 0)
        if name not in ("conv3/conv3_1", "conv4/conv4_1"):
            height, width, channels = x.shape
            x = x.reshape(height // 2, 2, width // 2, 2, channels).max(axis=(1, 3))
    x = x.reshape(-1)
    for name in ("fc1/fc1_1", "fc1/fc1_2", "fc2"):
        x = x @ variables[f"vggish/{name}/weights"] + variables[f"vggish/{name}/biases"]
        x = x if name == "fc2" else np.maximum(x, 0)
    return x


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vggish") / "vggish_model.ckpt"
    write_checkpoint(path, random_variables())
    assert path.is_file(), "the first format is one file, not an index with data beside it"
    return path


def test_a_checkpoint_of_the_published_format_gives_the_published_network(checkpoint: Path) -> None:
    network = build_network(NARROWING)
    load_checkpoint(network, checkpoint)
    patches = np.random.default_rng(4).normal(-1, 2, (3, 96, 64)).astype(np.float32)
    expected = np.stack([numpy_vggish(patch, random_variables()) for patch in patches])
    assert expected.min() < 0, "the last layer has no activation"
    np.testing.assert_allclose(network.predict_on_batch(patches), expected, rtol=1e-4, atol=1e-4)


def test_the_full_size_has_the_published_number_of_values() -> None:
    # In float32 they are 288.6 MB of the 291.1 MB of the published file; the rest is names and tables.
    assert build_network().count_params() == 72_141_184


def test_other_shapes_and_absent_variables_name_file_and_variable(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"vggish_model\.ckpt: 'vggish/conv1/weights' has the shape"):
        load_checkpoint(build_network(NARROWING // 2), checkpoint)
    variables = random_variables()
    del variables["vggish/fc2/biases"]
    write_checkpoint(tmp_path / "part.ckpt", variables)
    with pytest.raises(WeightsError, match=r"part\.ckpt: the variable 'vggish/fc2/biases' is absent"):
        load_checkpoint(build_network(NARROWING), tmp_path / "part.ckpt")


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"\0" * 100_000])
def test_a_file_that_is_no_checkpoint(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.ckpt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"bad\.ckpt"):
        load_checkpoint(build_network(NARROWING), tmp_path / "bad.ckpt")


def test_the_self_test_refuses_what_is_not_vggish(untrained_audio: VGGishAudio) -> None:
    windows = tone_windows()
    assert windows.shape == (3, 15_600)
    assert np.abs(windows).max() == pytest.approx(1.0)
    with pytest.raises(WeightsError, match="FAILED"):
        self_test(untrained_audio)


def test_longer_windows_than_a_second_are_told_apart(untrained_audio: VGGishAudio) -> None:
    windows = tone_windows()
    cut = untrained_audio(windows[:, :15_360])
    assert untrained_audio(windows).shape == cut.shape == (3, 128)
    assert not np.array_equal(untrained_audio(windows), cut)


def test_post_processing_by_the_published_parameters(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(weights.DIRECTORY_VARIABLE, str(shared_data / "weights"))
    with np.load(shared_data / "weights" / "vggish_pca_params.npz", allow_pickle=False) as file:
        matrix, means = file["pca_eigen_vectors"], file["pca_means"].reshape(-1)
    embeddings = np.random.default_rng(6).normal(0, 0.3, (5, 128)).astype(np.float32)
    expected = np.empty((5, 128), np.uint8)
    for row, embedding in enumerate(embeddings):
        for component in range(128):
            value = sum(matrix[component, i] * (float(embedding[i]) - means[i]) for i in range(128))
            expected[row, component] = int((min(2.0, max(-2.0, value)) + 2.0) * 255 / 4)
    quantised = VGGishPostprocessor()(embeddings)
    assert quantised.dtype == np.uint8
    assert np.abs(quantised.astype(int) - expected.astype(int)).max() <= 1
    assert (quantised == expected).mean() > 0.99
    assert np.ptp(quantised) > 100
