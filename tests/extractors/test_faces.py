"""The face detector on real pictures, and against the package that it drives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest

from beam_pipelines.extractors import configured_networks as networks
from beam_pipelines.extractors.config import ExtractConfig, FaceConfig
from beam_pipelines.extractors.faces import CROP_MARGIN, FaceBox, FaceDetector, crop_face, smallest_face_px
from beam_pipelines.extractors.networks.inception_resnet_v1 import InceptionResnetV1Face
from beam_pipelines.extractors.networks.mtcnn import cascade
from beam_pipelines.extractors.weights import weight_files as weights
from beam_pipelines.foundation.errors import ConfigurationError, WeightsError
from benchmarks.faces import Package, agreeing, iou, matched, pictures_of

LEFT_OF_PX = 330
"""In the clip the woman's face lies left of this column, the man's right of it."""


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(batch_size=4)


@pytest.fixture(scope="module")
def faces(detector: FaceDetector, girl_friday: np.ndarray) -> list[list[FaceBox]]:
    return detector(girl_friday)


def test_finds_the_faces_of_a_film(faces: list[list[FaceBox]]) -> None:
    assert faces[0] == []
    assert all(faces[second] for second in range(1, 7))
    assert [second for second in range(7) if len(faces[second]) == 2] == [3, 6]
    for found in faces:
        assert [face.area_px2 for face in found] == sorted((face.area_px2 for face in found), reverse=True)
        for face in found:
            assert 0 <= face.x_px < face.x_px + face.width_px <= 640
            assert 0 <= face.y_px < face.y_px + face.height_px <= 480
            assert 0.8 < face.score <= 1


def test_boxes_do_not_depend_on_what_shares_the_batch(
    detector: FaceDetector, girl_friday: np.ndarray, faces: list[list[FaceBox]]
) -> None:
    assert detector(girl_friday[::-1])[::-1] == faces
    assert detector(girl_friday[3:4]) == faces[3:4]
    assert detector(girl_friday[:4]) == faces[:4]
    assert detector(girl_friday[:0]) == []


ON_ANOTHER_DEVICE = """
import sys
import numpy as np
import tensorflow as tf
processor = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
from beam_pipelines.extractors.faces import FaceDetector
pictures, found, used = np.load(sys.argv[1]), [], set()
for device in ("CPU:0", "CPU:1"):
    detector = FaceDetector(batch_size=4, device=device, engine="tensorflow")
    networks = detector._cascade._networks
    for name in ("_propose_network", "_refine_network", "_output_network"):
        def noting(pixels, network=getattr(networks, name), device=device):
            answers = network(pixels)
            used.add((device, *(answer.device[-5:] for answer in answers)))
            return answers
        setattr(networks, name, noting)
    found.append(detector(pictures))
assert any(found[0]) and found[0] == found[1]
assert {len(set(devices)) for devices in used} == {1}, used
"""


@pytest.mark.slow  # a process of its own with TensorFlow
def test_all_three_networks_run_on_the_device_that_is_named(girl_friday: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "pictures.npy", girl_friday[3:4])
    subprocess.run([sys.executable, "-c", ON_ANOTHER_DEVICE, str(tmp_path / "pictures.npy")], check=True)


@pytest.mark.parametrize(
    ("gpu", "wanted", "where"),
    [
        (True, True, ("GPU:0", "tensorflow", 1)),
        (True, False, ("CPU:0", "onnxruntime", 1)),
        (False, True, ("CPU:0", "onnxruntime", 1)),
    ],
)
def test_faces_are_found_on_a_gpu_where_that_is_configured(
    gpu: bool, wanted: bool, where: tuple[str, str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "FaceDetector", lambda *settings: settings)
    config = ExtractConfig.model_validate({"device": {"detect_on_gpu": wanted}})
    assert networks.Networks(config, gpu=gpu).detector == ((0.6, 0.7, 0.8), 0.042, 0.709, 8, *where)


def test_agrees_with_the_package_called_picture_by_picture(
    girl_friday: np.ndarray, faces: list[list[FaceBox]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mtcnn import MTCNN

    monkeypatch.chdir(tmp_path)
    package = MTCNN()
    for picture, found in zip(girl_friday, faces, strict=True):
        expected = sorted(package.detect_faces(picture), key=lambda face: -face["box"][2] * face["box"][3])
        assert len(found) == len(expected)
        for face, other in zip(found, expected, strict=True):
            ours = [face.x_px, face.y_px, face.width_px, face.height_px]
            np.testing.assert_allclose(ours, other["box"], atol=1)
            assert face.score == pytest.approx(float(other["confidence"]), abs=1e-3)


@pytest.mark.parametrize("name", ["his_girl_friday_6s.mp4", "mdn_chroma_face_24s.mp4", "nasa_13013_17s.mp4"])
def test_agrees_with_the_package_with_the_configured_smallest_face(name: str, shared_data: Path) -> None:
    """On few pictures of each, with the package's pyramid ended in time; `python -m benchmarks.faces` compares all."""
    pictures = pictures_of(shared_data / "clips" / name, every=6)
    smallest_px = smallest_face_px(pictures.shape[1], FaceConfig().smallest_face)
    same, _ = agreeing(pictures, Package(), smallest_px, ends_in_time=True)
    assert same == len(pictures)


def test_faces_are_matched_one_to_one() -> None:
    box, near, far = FaceBox(0, 0, 10, 10, 1.0), FaceBox(1, 0, 10, 10, 1.0), FaceBox(50, 50, 10, 10, 1.0)
    assert iou(box, near) == pytest.approx(90 / 110)
    assert matched([near], [box, near], 0.5) == 1
    assert matched([near, box], [box, near], 0.9) == 2
    assert matched([box], [far], 0.01) == 0


@pytest.mark.parametrize(("height_px", "share", "side_px"), [(480, 0.042, 20), (240, 0.042, 12), (1080, 0.1, 108)])
def test_the_smallest_face_is_a_share_of_the_height(height_px: int, share: float, side_px: int) -> None:
    assert smallest_face_px(height_px, share) == side_px


def test_a_smallest_face_that_cannot_be_seen_is_refused() -> None:
    assert FaceConfig(detect_height_px=300, smallest_face=0.04).detect_height_px == 300
    with pytest.raises(ValueError, match="detect_height_px must be at least 300"):
        FaceConfig(detect_height_px=299, smallest_face=0.04)


def test_a_larger_smallest_face_still_finds_the_larger_ones(girl_friday: np.ndarray) -> None:
    found = FaceDetector(smallest_face=0.125, batch_size=2)(girl_friday[3:5])
    assert len(found[0]) == 2
    assert len(found[1]) == 1


def test_the_same_person_is_closer_than_the_other_one(
    girl_friday: np.ndarray, faces: list[list[FaceBox]], shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(weights.DIRECTORY_VARIABLE, str(shared_data / "weights"))
    places = [(second, face) for second, found in enumerate(faces) for face in found]
    crops = np.stack([crop_face(girl_friday[second], face, CROP_MARGIN) for second, face in places])
    vectors = InceptionResnetV1Face("facenet_vggface2_folded", batch_size=8)(crops)
    same, different = [], []
    for i, (second, face) in enumerate(places):
        for j, (other_second, other) in enumerate(places[:i]):
            distance = float(np.linalg.norm(vectors[i] - vectors[j]))
            one_person = (face.x_px < LEFT_OF_PX) == (other.x_px < LEFT_OF_PX)
            if one_person and second - other_second == 1:
                same.append(distance)
            elif not one_person and second == other_second:
                different.append(distance)
    assert len(same) == 4
    assert len(different) == 2
    assert max(same) < min(different)


def test_the_largest_face_comes_first_whatever_the_network_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = FaceDetector(batch_size=1)
    # Number of the picture, left, top, right, bottom, score: the largest is neither first nor last nor the surest.
    found = np.array([[0, 10, 10, 40, 40, 0.9], [0, 100, 20, 180, 90, 0.85], [0, 60, 50, 70, 60, 0.99]])
    monkeypatch.setattr(detector, "_cascade", lambda *_: [found])
    (faces,) = detector(np.zeros((1, 100, 200, 3), np.uint8))
    assert [(face.x_px, face.area_px2) for face in faces] == [(100, 5600), (10, 900), (60, 100)]


@pytest.mark.parametrize("shape", [(1, 8, 8, 3), (2, 12, 400, 3), (1, 33, 21, 3)])
def test_small_and_blank_pictures_have_no_face(detector: FaceDetector, shape: tuple[int, ...]) -> None:
    assert detector(np.full(shape, 90, np.uint8)) == [[]] * shape[0]


def test_the_pyramid_never_ends_below_the_first_network() -> None:
    for side_px in range(8, 700, 7):
        for smallest_px in (12, 20, 33, 60, 200):
            scales = cascade.pyramid_scales(side_px, 2 * side_px, smallest_px, 0.709)
            assert all(side_px * scale >= 12 - 1e-6 for scale in scales)
            assert bool(scales) == (side_px >= smallest_px)


def test_settings_out_of_range_and_other_pictures_are_refused(detector: FaceDetector) -> None:
    for settings in (
        {"thresholds": (0.6, 0.7)},
        {"thresholds": (0.6, 0.7, 1.8)},
        {"smallest_face": 0.0},
        {"smallest_face": 1.5},
        {"pyramid_factor": 1.0},
        {"batch_size": 0},
    ):
        with pytest.raises(ConfigurationError, match=next(iter(settings))):
            FaceDetector(**settings)
    with pytest.raises(ValueError, match="float32"):
        detector(np.zeros((1, 40, 40, 3), np.float32))


class Hostile:
    """Runs code when it is unpickled."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.marker,))


def test_a_hostile_file_in_the_working_directory_has_no_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, girl_friday: np.ndarray, faces: list[list[FaceBox]]
) -> None:
    from mtcnn.stages import StagePNet

    monkeypatch.chdir(tmp_path)
    marker = tmp_path / "ran"
    for name in cascade.WEIGHT_FILES:
        joblib.dump(Hostile(marker), tmp_path / name, compress="lz4")
    assert FaceDetector(batch_size=4)(girl_friday[3:4]) == faces[3:4]
    assert not marker.exists()
    # The package itself does run such a file: the test above would notice.
    with pytest.raises(TypeError):
        StagePNet()
    assert marker.exists()


def test_a_package_whose_weights_were_replaced_is_refused_unrun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tampered_detector" / "assets" / "weights"
    folder.mkdir(parents=True)
    (tmp_path / "tampered_detector" / "__init__.py").touch()
    marker = tmp_path / "ran"
    joblib.dump(Hostile(marker), folder / "pnet.lz4", compress="lz4")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(cascade, "PACKAGE", "tampered_detector")
    with pytest.raises(WeightsError, match=r"pnet\.lz4.*sha256"):
        FaceDetector()
    (folder / "pnet.lz4").unlink()
    with pytest.raises(WeightsError, match=r"pnet\.lz4.*absent"):
        FaceDetector()
    assert not marker.exists()


def test_a_description_names_what_decides_the_boxes(detector: FaceDetector) -> None:
    assert detector.description() == FaceDetector.describe((0.6, 0.7, 0.8), 0.042, 0.709)
    assert detector.description() != FaceDetector.describe((0.6, 0.7, 0.7), 0.042, 0.709)


def test_a_crop_has_its_margin_and_stops_at_the_border() -> None:
    rows, columns = np.mgrid[:100, :200]
    image = np.stack([columns, rows, np.zeros_like(rows)], -1).astype(np.uint8)
    inside = crop_face(image, FaceBox(60, 40, 40, 20, 1.0), margin=0.5, size_px=160)
    assert inside.shape == (160, 160, 3)
    assert inside.dtype == np.uint8
    # Columns 50 to 110 and rows 35 to 65 are cut out.
    assert inside[..., 0].min() in range(50, 52)
    assert inside[..., 0].max() in range(108, 110)
    assert inside[..., 1].min() in range(35, 37)
    assert inside[..., 1].max() in range(63, 65)
    border = crop_face(image, FaceBox(0, 0, 30, 30, 1.0), margin=1.0, size_px=64)
    assert border[..., 0].min() == 0
    assert border[..., 0].max() in range(43, 45)
    with pytest.raises(ValueError, match="outside"):
        crop_face(image, FaceBox(300, 10, 20, 20, 1.0))
    with pytest.raises(ValueError, match="negative"):
        crop_face(image, FaceBox(10, 10, 20, 20, 1.0), margin=-0.1)


def test_a_box_on_a_larger_picture_stays_inside() -> None:
    box = FaceBox(10, 20, 30, 40, 0.9)
    assert box.scaled(2.0, 1.5) == FaceBox(20, 30, 60, 60, 0.9)
    edge = FaceBox(330, 100, 10, 100, 0.9).scaled(1921 / 340, 1081 / 200)
    assert edge.x_px + edge.width_px == 1921
    assert edge.y_px + edge.height_px == 1081
    assert box.scaled(0.001, 0.001).area_px2 == 1
