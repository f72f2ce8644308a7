"""Films on both sides of a split are refused, by their content as well as by their ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.labels.annotations import LabelReport
from tests.support.synthetic_films import write_film
from trainer.data.dataset import Statistics, TrainingFilm
from trainer.data.leaks import assert_no_leak, assert_test_films_are_new


def make_film(film_id: str, source_sha256: str) -> TrainingFilm:
    none = np.zeros((1, 2), np.float32)
    report = LabelReport(film_id, 1, 1, 1, 0, 0, 0)
    return TrainingFilm(film_id, "any", {}, {}, none, np.ones(1, bool), none, report, source_sha256, "")


def test_splits_do_not_leak() -> None:
    train, held_out = [make_film("a", "aa"), make_film("b", "bb")], [make_film("c", "cc")]
    statistics = Statistics("transform", (), {}, {}, ("a", "b"), {}, "")
    assert_no_leak(train, held_out, statistics)
    assert_no_leak([make_film("a", ""), make_film("b", "")], [make_film("c", "")], statistics)
    with pytest.raises(ConfigurationError, match="in training and in validation at once: a"):
        assert_no_leak(train, [*held_out, train[0]], statistics)
    with pytest.raises(ConfigurationError, match=r"in training and in validation under two ids: b and copy\. Take"):
        assert_no_leak(train, [make_film("copy", "bb")], statistics)
    with pytest.raises(ConfigurationError, match="not among the training films: b"):
        assert_no_leak(train[:1], held_out, statistics)


def test_a_test_film_that_is_a_known_film_under_another_name_is_refused(tmp_path: Path) -> None:
    for film_id, seed in (("new", 1), ("copy", 0)):
        write_film(tmp_path, film_id, seed)  # whose file has the digest of its seed
    known, records = {"film0": f"{0:064x}"}, str(tmp_path / "features")
    unrecorded, trained = Film("unrecorded", "x.mp4", "test"), Film("film0", "x.mp4", "train")
    fine = [trained, Film("new", "x.mp4", "test"), unrecorded, Film("copy", "x.mp4", "left-out")]
    assert_test_films_are_new(known, fine, records)
    with pytest.raises(ConfigurationError, match=r"training or validation and in the split test .* film0 and copy"):
        assert_test_films_are_new(known, [*fine[:3], Film("copy", "x.mp4", "test")], records)
    # The last training, on all films: the split test is then one to learn from.
    assert_test_films_are_new({**known, "copy": f"{0:064x}"}, [*fine[:3], Film("copy", "x.mp4", "test")], records)
