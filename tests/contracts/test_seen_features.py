"""Seconds unlike the training films: both figures by hand, films count alike, and what a film's warnings say."""

from __future__ import annotations

import numpy as np
import pytest

from beam_pipelines.contracts.film_warnings import OF_SCORE
from beam_pipelines.contracts.models.seen_features import SeenFeatures, UnlikeSeconds, seen_features, unlike_seconds
from beam_pipelines.extractors.config import ExtractConfig


def film(seconds: int, seed: int, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    values = scale * np.random.default_rng(seed).normal(size=(seconds, 6))
    return values.astype(np.float32), np.ones((seconds, 1), np.float32)


def test_the_limit_is_the_distance_that_99_percent_of_the_seconds_keep():
    films = [film(1000, seed) for seed in range(3)]
    seen = seen_features(films, None)
    assert seen is not None
    distances = np.sqrt(np.mean(np.concatenate([values for values, _ in films]).astype(float) ** 2, axis=1))
    assert np.mean(distances <= seen.distance) == pytest.approx(0.99, abs=1e-3)
    assert (seen.cut, seen.clip, seen.present) == (0.0, None, 1.0)
    found = unlike_seconds({"image": seen}, {"image": film(1000, 9)[0]}, {"image": film(1000, 9)[1]})
    assert 0 < found.percent < 3
    far = unlike_seconds({"image": seen}, {"image": film(100, 9, scale=4.0)[0]}, {"image": np.ones((100, 1))})
    assert far.percent > 80


def test_a_long_film_counts_no_more_than_a_short_one():
    quiet = seen_features([film(4000, 0, scale=0.1), film(100, 1), film(100, 2)], None)
    alike = seen_features([film(100, 0, scale=0.1), film(100, 1), film(100, 2)], None)
    assert quiet is not None
    assert alike is not None
    assert quiet.distance == pytest.approx(alike.distance, rel=0.02)


def test_values_beyond_the_clip_count_even_if_the_distance_is_usual():
    values, present = film(500, 3, scale=0.5)
    seen = seen_features([(values, present)], 8.0)
    assert seen is not None
    cut = np.zeros((10, 6), np.float32)
    cut[4, 2] = -8.0
    loose = seen.model_copy(update={"distance": 100.0})
    assert unlike_seconds({"image": loose}, {"image": cut}, {"image": np.ones((10, 1))}).percent == 10.0


def test_absent_slots_are_left_out_and_the_farther_of_two_faces_counts():
    seen = {"face": SeenFeatures(distance=1.5, present=0.2)}
    values = np.array([[1, 1, 9, 9], [1, 1, 9, 9], [0, 0, 0, 0], [1, 1, 1, 1]], np.float32)
    present = np.array([[1, 0], [1, 1], [0, 0], [1, 1]], np.float32)
    found = unlike_seconds(seen, {"face": values}, {"face": present})
    assert found == UnlikeSeconds(25.0, {"face": 25.0}, ())


def test_a_film_without_what_every_training_film_had_says_so():
    seen = {"face": SeenFeatures(distance=1.5, present=0.2), "audio": SeenFeatures(distance=1.5, present=0.0)}
    nothing = {"face": np.zeros((5, 4), np.float32), "audio": np.zeros((5, 3), np.float32)}
    present = {"face": np.zeros((5, 2), np.float32), "audio": np.zeros((5, 1), np.float32)}
    found = unlike_seconds(seen, nothing, present)
    assert found.absent == ("face",)
    (warning,) = found.warnings()
    assert (warning.code, warning.number) == ("features_absent", 1)
    assert "no second has face" in warning.sentence


def test_a_film_is_warned_of_beyond_a_fifth_of_its_seconds():
    assert list(UnlikeSeconds(20.0, {"image": 20.0}).warnings()) == []
    (warning,) = UnlikeSeconds(42.4, {"image": 40.0, "audio": 0.5, "face": 3.0}).warnings()
    assert (warning.code, warning.number) == ("unlike_training", 42.4)
    assert "(image 40 %, face 3 %)" in warning.sentence


@pytest.mark.parametrize("code", OF_SCORE)
def test_extract_cannot_refuse_a_film_for_what_only_a_model_knows(code: str):
    with pytest.raises(ValueError, match="a warning of score"):
        ExtractConfig(refuse=(code,))


def test_a_modality_that_no_training_film_has_is_not_looked_at():
    assert seen_features([(np.zeros((5, 3), np.float32), np.zeros((5, 1), np.float32))], 8.0) is None
    assert unlike_seconds({}, {}, {}).percent == 0.0
