"""A face detector by configuration: how its boxes are read, where they lie in a film, and what is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from beam_pipelines.commands import networks as networks_command
from beam_pipelines.contracts.records.feature_track import fingerprint
from beam_pipelines.extractors.config import ExtractConfig, FaceConfig
from beam_pipelines.extractors.configured_networks import Networks, describe_tracks, pin_networks
from beam_pipelines.extractors.face_track import FaceAccumulator
from beam_pipelines.extractors.faces import FaceBox
from beam_pipelines.extractors.network_inputs import FaceInput
from beam_pipelines.extractors.onnx_networks import first_batch as first_batch_module
from beam_pipelines.extractors.onnx_networks.detector import OnnxFaceDetector
from beam_pipelines.extractors.onnx_networks.detector_config import DetectorConfig
from beam_pipelines.extractors.onnx_networks.face_boxes import candidates
from beam_pipelines.extractors.onnx_networks.first_batch import FirstBatch
from beam_pipelines.foundation.configuration import load_section
from beam_pipelines.foundation.errors import ConfigurationError, NotFiniteError
from beam_pipelines.media.video.picture_shape import PictureShape
from beam_pipelines.media.video.sample_frames import SampledFrame
from benchmarks.faces import judged_faces, matched, pictures_of
from tests.support.documentation import blocks_of
from tests.support.onnx_files import node, squares_detector, write_onnx
from tests.support.page_reader import DOCS

PAGE = DOCS / "your-own-network.md"
CODINGS = ("corners_in_shares", "corners_in_pixels", "cells")
YUNET = "yunet_n_dynamic.onnx"
"""Of libfacedetection.train at 0047ac24, `onnx/`; sha256 104ee26c71d5c270…"""

FILE = {"file": "a", "size_px": 8, "boxes": "b", "scores": "s"}
CELLS = {"coding": "cells", "strides_px": [8], "objectness": "sure"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("detectors")
    return {coding: squares_detector(folder / f"{coding}.onnx", coding) for coding in CODINGS}


def section_of(path: Path | str, file_coding: str, **keys: Any) -> DetectorConfig:
    values = {"file": str(path), "size_px": [32, 48], "boxes": "boxes", "scores": "scores", "coding": file_coding}
    values |= CELLS if file_coding == "cells" else {}
    detector = FaceConfig.model_validate({"detector": {**values, **keys}}).detector
    assert isinstance(detector, DetectorConfig)
    return detector


def picture(height_px: int, width_px: int, *bright: tuple[int, int, int, int]) -> np.ndarray:
    """Black, with white rectangles (left, top, width, height)."""
    image = np.zeros((height_px, width_px, 3), np.uint8)
    for left, top, width, height in bright:
        image[top : top + height, left : left + width] = 255
    return image


def places(faces: list[FaceBox]) -> list[tuple[int, int, int, int]]:
    return [(face.x_px, face.y_px, face.width_px, face.height_px) for face in faces]


@pytest.mark.parametrize("coding", CODINGS)
def test_each_coding_gives_the_same_faces(files: dict[str, Path], coding: str) -> None:
    detector = OnnxFaceDetector(section_of(files[coding], coding))
    images = np.stack([picture(32, 48, (8, 16, 8, 8), (24, 0, 8, 8)), picture(32, 48)])
    images[0, 16:24, 8:16] = 250
    found, nothing = detector(images)
    assert places(found) == [(24, 0, 8, 8), (8, 16, 8, 8)]
    assert [face.score for face in found] == pytest.approx([1, 250 / 255])
    assert nothing == []
    assert detector(images[:0]) == []
    with pytest.raises(ValueError, match="wanted uint8"):
        detector(images.astype(np.float32))


def test_a_picture_of_another_shape_is_padded_or_stretched(files: dict[str, Path]) -> None:
    """What is bright fills whole cells of the network's picture, where the file sees it."""
    path = files["corners_in_shares"]
    padded = OnnxFaceDetector(section_of(path, "corners_in_shares"))
    # Twice as large, and too wide: 4 black lines above it.
    (faces,) = padded([picture(48, 96, (32, 8, 16, 16))])
    assert places(faces) == [(32, 8, 16, 16)]
    # Twice as large, and too narrow: 9 black columns on its left.
    (faces,) = padded([picture(64, 60, (14, 16, 16, 16))])
    assert places(faces) == [(14, 16, 16, 16)]
    stretched = OnnxFaceDetector(section_of(path, "corners_in_shares", resize="stretch"))
    (faces,) = stretched([picture(64, 48, (16, 32, 8, 16))])
    assert places(faces) == [(16, 32, 8, 16)]


def test_boxes_that_overlap_a_better_one_go_and_the_limits_are_those_of_the_section(files: dict[str, Path]) -> None:
    path, image = files["corners_in_pixels"], picture(32, 48, (8, 8, 8, 8))
    both = OnnxFaceDetector(section_of(path, "corners_in_pixels", most_overlap=0.95))([image])[0]
    assert places(both) == [(8, 8, 9, 8), (8, 8, 8, 8)]
    assert [face.score for face in both] == pytest.approx([0.9, 1])
    image[8:16, 8:16] = 128
    assert OnnxFaceDetector(section_of(path, "corners_in_pixels"))([image]) == [[]]
    assert OnnxFaceDetector(section_of(path, "corners_in_pixels", least_score=0.5))([image])[0]


def test_a_score_is_the_root_of_its_product_with_objectness() -> None:
    section = section_of("a.onnx", "cells", size_px=8)
    found = candidates(section, [np.full((1, 1, 4), 0.5), np.float32([[[0.81]]]), np.float32([[0.25]])])
    half = np.exp(0.5) / 2
    np.testing.assert_allclose(found, [[0.5 - half, 0.5 - half, 0.5 + half, 0.5 + half, 0.45]], rtol=1e-6)


class Rows:
    """Keeps the faces that were cut out."""

    def __init__(self, detector: OnnxFaceDetector):
        self.detector, self.crops = detector, list[np.ndarray]()

    def rows(self, modality: str) -> Any:
        return self

    def add(self, crop: np.ndarray) -> None:
        self.crops.append(crop)

    def flush(self) -> None:
        pass

    def vectors(self) -> np.ndarray:
        return np.ones((len(self.crops), 2), np.float32)


def test_a_film_of_wide_pixels_has_its_faces_where_they_are_shown(files: dict[str, Path]) -> None:
    section = section_of(files["cells"], "cells")
    networks: Any = Rows(OnnxFaceDetector(section))
    shape = PictureShape(48, 64, pixel_aspect=Fraction(2))
    faces = FaceAccumulator(networks, FaceConfig(detector=section), shape, {"face": FaceInput(16, 0.0)})
    for t in range(3):
        faces.add(SampledFrame(t, picture(64, 48, *([(16, 16, 8, 16)] if t == 1 else [])), t, True))
    track = faces.finish({"face": {}})["face"]
    assert track.present.tolist() == [[0, 0], [1, 0], [0, 0]]
    np.testing.assert_allclose(track.boxes[1, 0], [16 / 48, 16 / 64, 24 / 48, 32 / 64])
    assert len(networks.crops) == 1
    assert networks.crops[0].min() == 255


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"boxes": "box"}, "extract.face.detector.boxes: there is no 'box'; did you mean 'boxes'?"),
        ({"scores": "score"}, "extract.face.detector.scores: there is no 'score'; did you mean 'scores'?"),
        ({"objectness": "sure"}, "extract.face.detector.objectness: there is no 'sure'"),
        ({"size_px": 32}, "extract.face.detector: the section makes an input of [n, 3, 32, 32]"),
        ({"scores": "boxes"}, "extract.face.detector: scores of shape [1, 48, 4], wanted [1, 48]"),
        ({"boxes": "scores"}, "extract.face.detector: boxes of shape [1, 48, 2], wanted [n, N, 4]"),
        ({"scaling": [0, 255]}, "which are no probabilities"),
        ({"coding": "cells", "strides_px": [16]}, "boxes of shape [1, 48, 4] for 6 cells of 16 px"),
        ({"coding": "corners_in_pixels"}, "coding: corners_in_pixels: the middle of all coordinates is then 0.01"),
        ({"sha256": "0" * 64}, "extract.face.detector.sha256: "),
        ({"file": "absent.onnx"}, "extract.face.detector.file: there is no file"),
        ({"batch_size": 2}, ""),
    ],
)
def test_what_does_not_fit_the_file_is_refused_by_its_first_batch(
    files: dict[str, Path], keys: dict[str, Any], said: str
) -> None:
    section = section_of(files["corners_in_shares"], "corners_in_shares", **keys)
    # Not in the child process, whose start takes a second.
    answer = first_batch_module._answer("detector", section)
    assert said in answer["error"] if said else answer["dimensions"] == 48 * 5, answer


def test_numbers_that_are_no_corners_are_refused(tmp_path: Path, files: dict[str, Path]) -> None:
    pixels = section_of(files["corners_in_pixels"], "corners_in_shares")
    assert "the middle of all coordinates is then" in first_batch_module._answer("detector", pixels)["error"]
    centres = np.float32([[[0.9, 0.9, 0.1, 0.1], [0.5, 0.5, 0.2, 0.3]]])
    nodes = [
        node("GlobalMaxPool", "pixels", "most"),
        node("Gather", "most red", "one", axis=1),
        node("Add", "one zeros", "scores"),
        node("Mul", "scores zeros", "blank"),
        node("Add", "blank places", "boxes"),
    ]
    arrays = {"red": np.array(0), "zeros": np.zeros((1, 2, 1), np.float32), "places": centres}
    axes: list[int | str] = ["n", 3, 32, 48]
    path = write_onnx(
        tmp_path / "centres.onnx", nodes, {"pixels": axes}, {"boxes": ["n", 2, 4], "scores": ["n", 2, 1]}, arrays
    )
    answer = first_batch_module._answer("detector", section_of(path, "corners_in_shares"))
    assert "most boxes then end left of or above where they begin" in answer["error"]


def choosing_detector(path: Path) -> Path:
    """Gives a box for each row of a picture that is bright, as non-maximum suppression would."""
    nodes = [
        node("ReduceMax", "pixels width", "rows", keepdims=0),
        node("ReduceMax", "rows rest", "most", keepdims=0),
        node("Greater", "most half", "is"),
        node("NonZero", "is", "places"),
        node("Cast", "places", "floats", to=1),
        node("Mul", "floats none", "zeros"),
        node("Add", "zeros half", "flat"),
        node("Transpose", "flat", "columns", perm=[1, 0]),
        node("Unsqueeze", "columns first", "scores"),
        node("Concat", "scores scores scores scores", "same", axis=2),
        node("Add", "same corners", "boxes"),
    ]
    arrays = {
        "half": np.float32([0.5]),
        "none": np.float32(0),
        "first": np.array([0]),
        "width": np.array([3]),
        "rest": np.array([0, 1]),
        "corners": np.float32([[[-0.25, -0.25, 0.25, 0.25]]]),
    }
    outputs: dict[str, list[int | str]] = {"boxes": [1, "k", 4], "scores": [1, "k", 1]}
    return write_onnx(path, nodes, {"pixels": [1, 3, 32, 48]}, outputs, arrays)


def test_a_file_that_chooses_its_boxes_itself_is_refused_before_a_job_and_in_one(tmp_path: Path) -> None:
    section = section_of(choosing_detector(tmp_path / "choosing.onnx"), "corners_in_shares")
    said = "without non-maximum suppression"
    assert said in first_batch_module._answer("detector", section)["error"]
    half, whole = picture(32, 48, (0, 0, 48, 16)), picture(32, 48, (0, 0, 48, 32))
    with pytest.raises(ConfigurationError, match="16 boxes for some pictures and 32 for others"):
        OnnxFaceDetector(section)(np.stack([half, whole]))
    with pytest.raises(ConfigurationError, match=f"no box for a picture.*{said}"):
        OnnxFaceDetector(section)([picture(32, 48)])


def test_scores_that_are_no_probabilities_are_the_fault_of_a_film(files: dict[str, Path]) -> None:
    """Its other films have good ones; a job goes on without it."""
    section = section_of(files["corners_in_shares"], "corners_in_shares", scaling=[0, 1.01])
    with pytest.raises(NotFiniteError, match=r"extract.face.detector: the network gives scores from .* to 1.01"):
        OnnxFaceDetector(section)([picture(32, 48, (0, 0, 48, 32))])
    none = [np.zeros((1, 96, 4), np.float32), np.full((1, 96, 2), np.nan, np.float32)]
    with pytest.raises(FloatingPointError, match="scores from nan"):
        candidates(section, none)


@pytest.mark.parametrize(
    ("detector", "said"),
    [
        ("mtcn", "extract.face.detector: must be mtcnn, or the keys of an ONNX file"),
        ({**FILE, "coding": "cells", "box": 1}, "did you mean 'boxes'?"),
        ({**FILE, "coding": "cells"}, "strides_px: with `coding: cells`"),
        ({**FILE, "scores": ["s", "t"], "coding": "corners_in_shares"}, "2 outputs for 1"),
        ({**FILE, "boxes": [], "scores": [], "coding": "corners_in_shares"}, "boxes: name an output"),
        (FILE, "extract.face.detector.coding: "),
    ],
)
def test_a_section_that_cannot_be_is_refused(detector: Any, said: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"extract": {"face": {"detector": detector}}}))
    with pytest.raises(ConfigurationError) as caught:
        load_section("extract", ExtractConfig, str(tmp_path / "mine.yaml"))
    assert said in str(caught.value)


def test_settings_of_mtcnn_do_not_go_with_a_file(files: dict[str, Path]) -> None:
    section = section_of(files["cells"], "cells")
    for key, value in (("smallest_face", 0.1), ("detect_height_px", 480), ("pyramid_factor", 0.8)):
        with pytest.raises(ValueError, match=f"{key}: it belongs to MTCNN"):
            FaceConfig.model_validate({"detector": section, key: value})


def test_the_detector_is_part_of_the_faces_fingerprint_and_mtcnn_has_the_one_it_had(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A child process for each would take a second; the next test has a real one.
    monkeypatch.setattr(first_batch_module, "first_batch", lambda *_: FirstBatch(240, 0.1))

    def found(detector: Any, **face: Any) -> str:
        keys = {"modalities": ["face"], "face": {"weights": "untrained", "detector": detector, **face}}
        return fingerprint(describe_tracks(pin_networks(ExtractConfig.model_validate(keys)))["face"])

    assert found("mtcnn") == "50b46fa8798e03d5"
    one = section_of(files["cells"], "cells")
    prints = {
        found(detector)
        for detector in (
            "mtcnn",
            one,
            one.model_copy(update={"least_score": 0.6}),
            one.model_copy(update={"resize": "stretch"}),
            section_of(files["corners_in_shares"], "corners_in_shares"),
        )
    }
    assert len(prints) == 5
    assert found(one.model_copy(update={"batch_size": 4}), detector_batch_size=4) == found(one)
    config = ExtractConfig.model_validate({"modalities": ["face"], "face": {"detector": one}})
    pinned = pin_networks(config).face.detector
    assert isinstance(pinned, DetectorConfig)
    assert pinned.sha256 is not None
    without = ExtractConfig.model_validate(
        {"modalities": ["image"], "face": {"detector": {**one.model_dump(), "file": "absent"}}}
    )
    assert pin_networks(without) == without


def test_networks_start_it_and_the_child_tries_it(files: dict[str, Path]) -> None:
    section = section_of(files["cells"], "cells")
    shown = first_batch_module.first_batch("detector", section, 2048)
    assert shown.dimensions == 24 * 5
    config = ExtractConfig.model_validate({"face": {"detector": section}})
    assert places(Networks(config, gpu=False).detector([picture(32, 48, (0, 0, 8, 8))])[0]) == [(0, 0, 8, 8)]


def test_show_prints_a_detectors_section(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    for coding in CODINGS:
        assert networks_command.main(["show", str(files[coding])]) == 0
        section = capsys.readouterr().out.partition("a section to paste:")[2]
        config = ExtractConfig.model_validate(yaml.safe_load(section)["extract"])
        assert isinstance(config.face.detector, DetectorConfig)
        assert config.face.detector == pin_networks(config).face.detector
        assert (config.face.detector.size_px, config.face.detector.resize) == ((32, 48), "pad")
        assert config.face.detector.objectness == ("sure" if coding == "cells" else None)
        OnnxFaceDetector(config.face.detector)


def test_the_page_s_detector_finds_what_opencv_finds_with_it(shared_data: Path) -> None:
    """With the real YuNet; the boxes are those of `cv2.FaceDetectorYN` (OpenCV 4) at this size, 0.5 and 0.3."""
    if not (shared_data / "weights" / YUNET).is_file():
        pytest.skip(f"needs ../shared/data/weights/{YUNET}")
    (block,) = (yaml.safe_load(block.text) for block in blocks_of(PAGE) if YUNET in block.text)
    keys = block["extract"]["face"]["detector"] | {"file": str(shared_data / "weights" / YUNET), "least_score": 0.5}
    pictures = pictures_of(shared_data / "clips" / "his_girl_friday_6s.mp4", every=1)
    found = OnnxFaceDetector(DetectorConfig.model_validate(keys | {"size_px": [480, 640]}))(pictures)
    assert places(found[2]) == [(397, 73, 54, 70)]
    assert places(found[3]) == [(381, 74, 58, 76), (250, 212, 53, 82)]
    assert places(found[5]) == [(130, 211, 57, 95), (411, 60, 55, 70)]
    assert [face.score for face in found[5]] == pytest.approx([0.815, 0.914], abs=1e-3)
    judged = judged_faces("his_girl_friday_6s.mp4", "face", range(7))
    faces = OnnxFaceDetector(DetectorConfig.model_validate(keys))(pictures)
    assert sum(map(len, judged)) == sum(matched(a, b, 0.5) for a, b in zip(faces, judged, strict=True)) == 10
