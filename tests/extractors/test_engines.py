"""The built-in networks by ONNX Runtime and by TensorFlow: the graphs are the Keras models, and so are the vectors."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from beam_pipelines.extractors.faces import FaceDetector
from beam_pipelines.extractors.graphs.graph_network import GraphNetwork, graph_of
from beam_pipelines.extractors.graphs.write_graph import write_graph, written_anew
from beam_pipelines.extractors.networks import vggish
from beam_pipelines.extractors.networks.inception_resnet_v1 import InceptionResnetV1Face
from beam_pipelines.extractors.networks.mtcnn import boxes, cascade
from beam_pipelines.extractors.networks.mtcnn.on_onnx import OnnxNetworks
from beam_pipelines.extractors.networks.mtcnn.on_tensorflow import TensorFlowNetworks
from beam_pipelines.extractors.registry import NETWORKS, network_class
from beam_pipelines.extractors.weights import checkpoints
from beam_pipelines.extractors.weights.network_weights import draw_weights
from beam_pipelines.foundation.errors import WeightsError
from tests.extractors.test_vggish import random_variables, write_checkpoint

NARROWING = 16


def of_all_layers() -> keras.Model:
    """A small network of the kinds of layers that VGGish hasn't: those of InceptionV3 and of Inception-ResNet-v1."""
    x = pictures = keras.Input((13, 12, 3))
    ends = []
    for stride, padding in ((1, "same"), (2, "same"), (2, "valid")):
        y = keras.layers.Conv2D(6, (3, 2), strides=stride, padding=padding, use_bias=False)(x)
        y = keras.layers.BatchNormalization(scale=stride == 1)(y)
        y = keras.layers.Activation("relu")(y)
        y = keras.layers.AveragePooling2D(3, strides=stride, padding=padding)(y)
        ends.append(keras.layers.GlobalAveragePooling2D()(y))
        if stride == 1:
            pooled = keras.layers.MaxPooling2D(3, strides=2, padding="same")(y)
            joined = keras.layers.Concatenate()([pooled, keras.layers.Conv2D(4, 1)(pooled)])
            ends.append(keras.layers.GlobalAveragePooling2D()(joined))
    x = keras.layers.Concatenate()([keras.layers.Add()(ends[2:]), *ends[:2]])
    return keras.Model(pictures, keras.layers.UnitNormalization()(keras.layers.Dense(5)(x)), name="small")


def random_weights(network: Any) -> None:
    """Values of no particular kind for every variable; variances are positive."""
    for number, layer in enumerate(layer for layer in network.layers if layer.weights):
        generator = np.random.default_rng(number)
        layer.set_weights([generator.uniform(0.1, 1, tuple(each.shape)).astype(np.float32) for each in layer.weights])


def as_graph(network: keras.Model, folder: Path) -> GraphNetwork:
    (folder / "graph.onnx").write_bytes(write_graph(network))
    return GraphNetwork(folder / "graph.onnx")


@pytest.mark.parametrize(
    ("build", "fill"), [(of_all_layers, random_weights), (lambda: vggish.build_network(NARROWING), draw_weights)]
)
def test_a_graph_gives_what_keras_gives(build: Any, fill: Any, tmp_path: Path) -> None:
    network = build()
    graph = as_graph(network, tmp_path)
    for each in (network, graph):
        fill(each, 3) if fill is draw_weights else fill(each)
    held = [variable.values for layer in graph.layers for variable in layer.weights]
    graph.start(threads=1, gpu=False)
    for values in held:
        # The session has its own copies: what is done to ours afterwards changes nothing.
        values.fill(np.nan)
    rows = np.random.default_rng(5).normal(size=(4, *network.input_shape[1:])).astype(np.float32)
    expected = np.asarray(network.predict_on_batch(rows))
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(graph.predict_on_batch(rows), expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    assert graph.output_shape == network.output_shape


def test_a_layer_that_is_not_known_is_refused() -> None:
    pictures = keras.Input((4, 4, 3))
    with pytest.raises(ValueError, match="LayerNormalization"):
        write_graph(keras.Model(pictures, keras.layers.LayerNormalization()(pictures)))
    with pytest.raises(ValueError, match="tanh"):
        write_graph(keras.Model(pictures, keras.layers.Conv2D(2, 1, activation="tanh")(pictures)))


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (lambda x: keras.layers.Conv2D(3, 1, dilation_rate=2)(x), r"dilation_rate \(2, 2\) isn't written"),
        (lambda x: keras.layers.Conv2D(3, 1, groups=3)(x), "groups 3 isn't written"),
        (lambda x: keras.layers.BatchNormalization(center=False)(x), "center False isn't written"),
        (lambda x: keras.layers.BatchNormalization(axis=1)(x), "axis 1 isn't written"),
        (lambda x: keras.layers.Concatenate(axis=1)([x, x]), "axis 1 isn't written"),
        (lambda x: keras.layers.GlobalAveragePooling2D(keepdims=True)(x), "keepdims True isn't written"),
    ],
)
def test_a_setting_that_is_not_written_is_refused(layer: Any, said: str) -> None:
    pictures = keras.Input((4, 4, 3))
    with pytest.raises(ValueError, match=said):
        write_graph(keras.Model(pictures, layer(pictures)))


@pytest.mark.parametrize("modality", [each for each in NETWORKS if each != "vgg16"])
def test_the_graphs_of_the_package_are_those_of_its_networks(modality: str) -> None:
    kind = network_class(modality)
    path = graph_of(kind)
    assert path is not None
    assert path.read_bytes() == written_anew(kind)


GRAPH_OF_VGG16 = """
from beam_pipelines.extractors.graphs.graph_network import graph_of
from beam_pipelines.extractors.graphs.write_graph import written_anew
from beam_pipelines.extractors.networks.vgg16 import VGG16Image
assert graph_of(VGG16Image).read_bytes() == written_anew(VGG16Image)
"""


@pytest.mark.slow  # in a process of its own: TensorFlow never gives back the 400 MB of a kernel
def test_the_graph_of_vgg16_is_that_of_its_network() -> None:
    subprocess.run([sys.executable, "-c", GRAPH_OF_VGG16], check=True)


def test_a_class_of_a_notebook_has_no_graph() -> None:
    assert graph_of(type("InNotebook", (), {"__module__": "__main__of_a_notebook"})) is None


def test_the_number_of_threads_changes_no_bit(untrained_face: InceptionResnetV1Face) -> None:
    faces = np.random.default_rng(6).integers(0, 256, (4, 160, 160, 3), np.uint8)
    two = InceptionResnetV1Face("untrained", batch_size=4, threads=2)
    np.testing.assert_array_equal(two(faces), untrained_face(faces))


def test_the_three_networks_of_mtcnn_give_what_tensorflow_gives() -> None:
    weights, generator = cascade.read_weight_files(), np.random.default_rng(7)
    pictures = np.clip(generator.normal(0, 0.4, (2, 61, 83, 3)), -1, 1).astype(np.float32)
    found = np.column_stack(
        [[0, 1, 1, 0], generator.uniform(-5, 50, (4, 2)), generator.uniform(52, 90, (4, 2)), [1] * 4]
    )
    answers = []
    for networks in (OnnxNetworks(weights), TensorFlowNetworks(weights)):
        pixels = networks.pixels(pictures)
        proposed = [networks.propose(pixels, *size) for size in ((48, 66), (12, 16), (61, 83))]
        answers.append([*proposed, networks.refine(pixels, found), networks.finish(pixels, found)])
    for ours, theirs in zip(*answers, strict=True):
        for values, expected in zip(ours, theirs, strict=True):
            assert values.shape == expected.shape
            np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5)


def test_boxes_are_those_of_the_package() -> None:
    from mtcnn.utils import bboxes

    generator = np.random.default_rng(8)
    corners = generator.uniform(0, 60, (40, 2))
    some = np.column_stack([np.zeros(40), corners, corners + generator.uniform(5, 40, (40, 2)), generator.random(40)])
    offsets = generator.normal(0, 0.2, (40, 4))
    for method in ("union", "min"):
        for threshold in (0.3, 0.7):
            expected = bboxes.smart_nms_from_bboxes(some, threshold, method=method)
            assert 1 < len(expected) < 40
            np.testing.assert_array_equal(boxes.without_overlaps(some, threshold, method), expected)
    np.testing.assert_array_equal(boxes.as_squares(some), bboxes.resize_to_square(some))
    np.testing.assert_array_equal(boxes.moved(some, offsets), bboxes.adjust_bboxes(some, offsets))
    nothing = np.array([[0, 3, 3, 3, 3, 0.5], [0, 3, 3, 3, 3, 0.4]])
    assert len(boxes.without_overlaps(nothing, 0.5)) == 2


def test_both_engines_find_the_same_faces(girl_friday: np.ndarray) -> None:
    ours, theirs = (
        FaceDetector(batch_size=4, engine=engine)(girl_friday[2:5]) for engine in ("onnxruntime", "tensorflow")
    )
    assert sum(map(len, ours)) >= 3
    for some, others in zip(ours, theirs, strict=True):
        assert [(box.x_px, box.y_px, box.width_px, box.height_px) for box in some] == [
            (box.x_px, box.y_px, box.width_px, box.height_px) for box in others
        ]
        np.testing.assert_allclose([box.score for box in some], [box.score for box in others], rtol=0, atol=1e-5)


@pytest.fixture
def without_tensorflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """Checkpoints are read as without TensorFlow, by a child that is this process; the list of what it was given."""
    children: list[list[str]] = []

    def child(command: list[str], **_: object) -> types.SimpleNamespace:
        children.append(command[3:])
        said: list[object] = []
        with monkeypatch.context() as patch:
            patch.setattr(checkpoints, "sys", types.SimpleNamespace(argv=command[2:]))
            patch.setattr(checkpoints, "print", said.append, raising=False)
            return types.SimpleNamespace(returncode=checkpoints._main(), stdout="".join(map(str, said)), stderr="")

    monkeypatch.setattr(checkpoints, "sys", types.SimpleNamespace(modules={}, executable=sys.executable))
    monkeypatch.setattr(checkpoints.subprocess, "run", child)
    monkeypatch.setenv("CINEAFFECT_WEIGHTS", str(tmp_path / "weights"))
    return children


def test_a_checkpoint_is_converted_once_by_a_child(
    without_tensorflow: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables, path = random_variables(), tmp_path / "some.ckpt"
    write_checkpoint(path, variables)
    for _ in range(2):
        found = checkpoints.read_checkpoint(path)
        assert found.keys() == variables.keys()
        assert all(np.array_equal(found[name], variables[name]) for name in found)
    assert len(without_tensorflow) == 1
    kept = [each.name for each in (tmp_path / "weights").iterdir() if not each.name.endswith(".lock")]
    assert [name.endswith(".npy") for name in kept] == [True], "nothing unfinished is left"
    # A damaged one is made anew; so are an empty one, as a power cut leaves it, and one that looks like a zip file.
    (converted,) = (tmp_path / "weights").glob("*.npy")
    for number, damaged in enumerate((b"", b"PK\x03\x04")):
        (tmp_path / f"{number}.npy").write_bytes(damaged)
        assert checkpoints._read_converted(tmp_path / f"{number}.npy") is None
    content = bytearray(converted.read_bytes())
    content[len(content) // 2] ^= 1
    converted.write_bytes(content)
    found = checkpoints.read_checkpoint(path)
    assert all(np.array_equal(found[name], variables[name]) for name in variables)
    assert len(without_tensorflow) == 2
    # Another content has another file, and a folder that can't be written to is no error.
    write_checkpoint(path, {"other": np.ones(3, np.float32)})
    monkeypatch.setenv("CINEAFFECT_WEIGHTS", str(tmp_path / "some.ckpt"))
    assert checkpoints.read_checkpoint(path).keys() == {"other"}
    monkeypatch.setenv("CINEAFFECT_WEIGHTS", str(tmp_path / "weights"))
    path.write_bytes(b"no checkpoint")
    with pytest.raises(WeightsError, match=r"some\.ckpt: not readable as a TensorFlow checkpoint"):
        checkpoints.read_checkpoint(path)
    assert not list((tmp_path / "weights").glob("*.part"))
    killed = types.SimpleNamespace(returncode=-9, stdout="", stderr="")
    monkeypatch.setattr(checkpoints.subprocess, "run", lambda *_, **__: killed)
    with pytest.raises(WeightsError, match=r"some\.ckpt: the process .* exit code -9"):
        checkpoints.read_checkpoint(path)


READS = "import sys; from pathlib import Path; from beam_pipelines.extractors.weights import checkpoints as c\n"
READS += "print(len(c.read_checkpoint(Path(sys.argv[1]))), 'tensorflow' in sys.modules)"


@pytest.mark.slow
def test_two_processes_that_read_a_checkpoint_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_checkpoint(tmp_path / "some.ckpt", random_variables())
    monkeypatch.setenv("CINEAFFECT_WEIGHTS", str(tmp_path / "weights"))
    command = [sys.executable, "-c", READS, str(tmp_path / "some.ckpt")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0].strip() for process in both] == ["18 False"] * 2
    assert len(list((tmp_path / "weights").glob("*.npy"))) == 1


def test_a_process_with_built_in_networks_imports_no_tensorflow() -> None:
    code = """if True:
        import sys
        import numpy as np
        from beam_pipelines.extraction.one_film import extract_film
        from beam_pipelines.extractors.config import ExtractConfig
        from beam_pipelines.extractors.configured_networks import Networks, describe_tracks
        config = ExtractConfig.model_validate({"modalities": ["face"], "face": {"weights": "untrained"}})
        networks = Networks(config)
        rows = networks.rows("face")
        rows.add(np.zeros((160, 160, 3), np.uint8))
        found = networks.detector(np.zeros((1, 48, 64, 3), np.uint8))
        print(rows.vectors().shape, found, sorted({"tensorflow", "keras", "apache_beam"} & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(1, 512) [[]] []"
