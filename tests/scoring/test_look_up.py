"""Films that an earlier run has scored from the same are found before a graph is built."""

from __future__ import annotations

import os
from types import SimpleNamespace

import numpy as np
import pytest

from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.contracts.curves.done_marker import DoneMarker, record_checksum
from beam_pipelines.contracts.runs import FAILED
from beam_pipelines.scoring.curve_files import CurveFiles
from beam_pipelines.scoring.look_up import look_up
from beam_pipelines.scoring.scored_film import FilmToScore, SkippedFilm


@pytest.fixture
def scored(tmp_path):
    """The files of a run that has scored `first`, and `first` itself."""
    film = FilmToScore("first", "first.mp4", str(tmp_path / "first.tfrecord"))
    (tmp_path / "first.tfrecord").write_bytes(b"a record")
    files = CurveFiles(str(tmp_path / "scores"), csv=True, plots=False, shards=1, scorer="scorer")
    marker = DoneMarker("first", "scorer", record_checksum(film.record_uri), 2, 0)
    files.write_film(marker, AffectCurve("first", *np.zeros((4, 2))))
    return files, film, marker


def test_a_film_that_was_scored_from_the_same_needs_no_work(scored):
    files, film, marker = scored
    found = look_up([film], files)
    (skipped,) = found.skipped
    assert isinstance(skipped, SkippedFilm)
    assert (skipped.marker, skipped.film.film_id, skipped.by_this_run) == (marker, "first", False)
    assert found.to_score == found.failed == ()


@pytest.mark.parametrize("change", ["record", "scorer", "curve", "marker"])
def test_a_film_is_left_where_the_record_the_scorer_or_its_files_have_changed(scored, change):
    files, film, _ = scored
    if change == "record":
        with open(film.record_uri, "ab") as file:
            file.write(b"more")
    elif change == "scorer":
        files = CurveFiles(files.output, csv=True, plots=False, shards=1, scorer="another")
    else:
        os.remove(files.csv_uri("first") if change == "curve" else files.marker_uri("first"))
    found = look_up([film], files)
    (left,) = found.to_score
    assert (left.film_id, left.checksum) == ("first", record_checksum(film.record_uri))
    assert found.skipped == found.failed == ()


def test_films_keep_their_order_and_one_without_a_record_has_failed(scored, tmp_path):
    files, film, _ = scored
    others = [FilmToScore(name, f"{name}.mp4", str(tmp_path / f"{name}.tfrecord")) for name in ("c", "b", "a")]
    for other in others[:2]:
        (tmp_path / f"{other.film_id}.tfrecord").write_bytes(b"another record")
    found = look_up([others[0], film, *others[1:]], files)
    assert [left.film_id for left in found.to_score] == ["c", "b"]
    assert [skipped.film.film_id for skipped in found.skipped] == ["first"]
    (failed,) = found.failed
    assert (failed.film_id, failed.status, failed.step, failed.reason) == ("a", FAILED, "score", "no_record")


def test_a_record_that_vanishes_after_the_look_up_is_that_films_failure(scored, tmp_path):
    from beam_pipelines.transforms.score_films import FAILED_TAG, _ReadFeatures

    files, _, _ = scored
    model = SimpleNamespace(card=SimpleNamespace(modalities=("audio",)))
    step = _ReadFeatures(model, files)
    step.setup()
    gone = FilmToScore("gone", "gone.mp4", str(tmp_path / "gone.tfrecord"), checksum="as it was looked up")
    (output,) = step.work(gone)
    assert (output.tag, output.value.reason) == (FAILED_TAG, "no_record")
