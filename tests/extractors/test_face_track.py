"""Faces in square pixels and in one field: what the detector gets, where its boxes lie, and what is cut out."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import cbook
from PIL import Image

from beam_pipelines.contracts.records.feature_track import FeatureTrack
from beam_pipelines.extractors.config import FaceConfig
from beam_pipelines.extractors.face_track import FaceAccumulator
from beam_pipelines.extractors.faces import FaceBox, FaceDetector
from beam_pipelines.extractors.network_inputs import FaceInput
from beam_pipelines.media.probe import probe_film
from beam_pipelines.media.video.picture_shape import BlackBars, PictureShape
from beam_pipelines.media.video.resize import resize_image
from beam_pipelines.media.video.sample_frames import SampledFrame, sample_frames
from tests.support.picture_clips import INTERLACED, Shown, write_frames

CONFIG = FaceConfig(detector_batch_size=2, margin=0.0)


class Networks:
    """A detector, and a face network that keeps what it gets."""

    def __init__(self, detector):
        self.detector = detector
        self.crops: list[np.ndarray] = []

    def rows(self, modality: str):
        assert modality == "face"
        return self

    def add(self, crop: np.ndarray) -> None:
        self.crops.append(crop)

    def flush(self) -> None:
        pass

    def vectors(self) -> np.ndarray:
        return np.ones((len(self.crops), 512), np.float32)


class OneBox:
    """Finds one face in every picture, and keeps the pictures."""

    def __init__(self, box: FaceBox):
        self.box = box
        self.pictures = np.zeros(0)

    def __call__(self, pictures: np.ndarray) -> list[list[FaceBox]]:
        self.pictures = pictures
        return [[self.box]] * len(pictures)


def track_of(images: list[np.ndarray], shape: PictureShape, networks: Networks) -> FeatureTrack:
    faces = FaceAccumulator(networks, CONFIG, shape, {"face": FaceInput(160, CONFIG.margin)})
    for t, image in enumerate(images):
        faces.add(SampledFrame(t, image, t, True))
    return faces.finish({"face": {}})["face"]


def test_a_squeezed_picture_is_stretched_for_the_detector_and_cut_as_it_is():
    image = np.random.default_rng(1).integers(0, 256, (200, 160, 3), np.uint8)
    networks = Networks(OneBox(FaceBox(80, 50, 64, 60, 0.9)))
    shape = PictureShape(160, 200, pixel_aspect=Fraction(2))
    track = track_of([image], shape, networks)
    np.testing.assert_array_equal(networks.detector.pictures, [resize_image(image, 200, 320)])
    np.testing.assert_allclose(track.boxes[0, 0], [80 / 320, 50 / 200, 144 / 320, 110 / 200])
    np.testing.assert_array_equal(networks.crops, [resize_image(image[50:110, 40:72], 160, 160)])


def test_square_pictures_reach_the_detector_as_they_are():
    image = np.random.default_rng(1).integers(0, 256, (200, 160, 3), np.uint8)
    networks = Networks(OneBox(FaceBox(80, 50, 64, 60, 0.9)))
    track_of([image], PictureShape(160, 200), networks)
    np.testing.assert_array_equal(networks.detector.pictures, [image])
    np.testing.assert_array_equal(networks.crops, [resize_image(image[50:110, 80:144], 160, 160)])


def test_only_the_lines_of_one_moment_are_seen():
    now, later = np.random.default_rng(1).integers(0, 256, (2, 100, 160, 3), np.uint8)
    picture = np.stack([now, later], axis=1).reshape(200, 160, 3)
    networks = Networks(OneBox(FaceBox(80, 50, 64, 60, 0.9)))
    shape = PictureShape(160, 200, interlaced=True)
    track = track_of([picture], shape, networks)
    np.testing.assert_array_equal(networks.detector.pictures, [resize_image(now, 200, 160)])
    np.testing.assert_allclose(track.boxes[0, 0], [80 / 160, 50 / 200, 144 / 160, 110 / 200])
    np.testing.assert_array_equal(networks.crops, [resize_image(now[25:55, 80:144], 160, 160)])


def test_boxes_are_shares_of_the_whole_picture():
    networks = Networks(OneBox(FaceBox(0, 0, 60, 50, 0.9)))
    shape = PictureShape(100, 200, bars=BlackBars(left_px=20, top_px=50, right_px=20, bottom_px=100))
    track = track_of([np.zeros((50, 60, 3), np.uint8)], shape, networks)
    np.testing.assert_allclose(track.boxes[0, 0], [0.2, 0.25, 0.8, 0.5])


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """A photograph of one person, uint8 [288, 384, 3], on gray."""
    picture = np.full((288, 384, 3), 90, np.uint8)
    with Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as photograph:
        picture[16:270, 100:314] = np.asarray(photograph.convert("RGB").resize((214, 254)))
    return picture


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(CONFIG.thresholds, 0.2, CONFIG.pyramid_factor, 2)


def faces_of(film: Path, detector: FaceDetector) -> FeatureTrack:
    probe = probe_film(film)
    images = [frame.image for frame in sample_frames(film, probe)]
    return track_of(images, probe.shape, Networks(detector))


def test_a_face_is_the_same_however_the_film_is_stored(portrait: np.ndarray, detector: FaceDetector, tmp_path: Path):
    """Square, squeezed to a third, turned and squeezed, and a fast pan in two fields."""

    def made(name: str, image: np.ndarray, **shown: Any) -> FeatureTrack:
        return faces_of(write_frames(tmp_path / f"{name}.mp4", [image] * 2, Shown(**shown)), detector)

    square = made("square", portrait)
    assert square.present.tolist() == [[1, 0], [1, 0]]
    squeezed = made("squeezed", resize_image(portrait, 288, 128), sample_aspect=Fraction(3))
    turned = np.rot90(resize_image(portrait, 96, 384))
    upright = made("turned", turned, sample_aspect=Fraction(3), rotation_deg=90)
    # The second field of each frame is 24 pixels further.
    panned = portrait.copy()
    panned[1::2] = np.roll(portrait, 24, axis=1)[1::2]
    interlaced = made("interlaced", panned, options={**INTERLACED, "crf": "8"})
    for track in (squeezed, upright, interlaced):
        assert track.present.tolist() == square.present.tolist()
        np.testing.assert_allclose(track.boxes[:, 0], square.boxes[:, 0], atol=0.03)
    # In the whole picture, the face would not be found, or would be another one.
    together = track_of([panned], PictureShape(384, 288), Networks(detector))
    assert not np.allclose(together.scores[0], square.scores[0], atol=0.01)
