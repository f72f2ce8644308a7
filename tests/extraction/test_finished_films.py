"""Films that need no work are found before a job's graph is built: by the record, the file and earlier failures."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from beam_pipelines.contracts.film_warnings import film_warning
from beam_pipelines.contracts.records import records
from beam_pipelines.contracts.runs import FAILED, SKIPPED, FilmOutcome
from beam_pipelines.extraction.earlier_runs import EarlierRuns
from beam_pipelines.extraction.finished_films import set_apart
from beam_pipelines.films.catalogue import Film
from tests.support.feature_records import make_film_record


@pytest.fixture
def done(tmp_path):
    """A film, the directory of its record, and what the record's features depend on."""
    film = Film("first", str(tmp_path / "first.mp4"))
    (tmp_path / "first.mp4").write_bytes(b"pictures")
    record = make_film_record("first", seconds=3)
    header = replace(record.header, source_uri=film.uri, source_size_bytes=len(b"pictures"))
    records.write_record(replace(record, header=header), records.record_uri(str(tmp_path), "first"))
    return film, str(tmp_path), record.header.descriptions


def test_a_film_whose_record_is_up_to_date_is_skipped(done):
    film, directory, descriptions = done
    found = set_apart([film], directory, descriptions, EarlierRuns())
    assert found.films == ()
    (outcome,) = found.outcomes
    assert (outcome.film_id, outcome.status) == ("first", SKIPPED)
    assert outcome.film_s == pytest.approx(3, abs=0.001)


def test_warnings_of_a_record_come_with_it_and_a_refused_one_is_left_to_a_worker(done):
    film, directory, descriptions = done
    uri, warnings = records.record_uri(directory, "first"), (film_warning("truncated", 2.5),)
    record = records.read_record(uri)
    records.write_record(replace(record, header=replace(record.header, warnings=warnings)), uri)
    (outcome,) = set_apart([film], directory, descriptions, EarlierRuns(), ["damaged"]).outcomes
    assert outcome.warnings == warnings
    assert set_apart([film], directory, descriptions, EarlierRuns(), ["truncated"]).films == (film,)


@pytest.mark.parametrize("change", ["file", "feature", "place", "absent", "damaged", "gone"])
def test_a_film_that_has_changed_or_whose_record_lacks_something_is_left(done, change):
    film, directory, descriptions = done
    record = records.record_uri(directory, "first")
    if change == "file":
        os.utime(film.uri, (2e9, 2e9))
    elif change == "feature":
        descriptions = {**descriptions, "image": {"network": "another"}}
    elif change == "place":
        film = replace(film, uri=os.path.join(directory, ".", "first.mp4"))
    elif change == "absent":
        os.remove(record)
    elif change == "damaged":
        with open(record, "r+b") as file:
            file.truncate(100)
    else:
        os.remove(film.uri)
    found = set_apart([film], directory, descriptions, EarlierRuns())
    assert found.films == (film,)
    assert found.outcomes == ()


def test_a_failure_of_its_own_is_carried_over_while_film_and_attempt_are_the_same(done):
    film, directory, descriptions = done
    stat = os.stat(film.uri)
    earlier = FilmOutcome(
        "first", film.uri, FAILED, "probe", "no_video_stream", "none",
        source_size_bytes=stat.st_size, source_modified_s=max(stat.st_mtime, stat.st_ctime), attempt="this",
    )  # fmt: skip
    found = set_apart([film], directory, descriptions, EarlierRuns(failures={"first": earlier}, attempt="this"))
    assert found.outcomes == (replace(earlier, carried_over=True),)
    assert found.films == ()
    os.remove(records.record_uri(directory, "first"))
    assert set_apart(
        [film], directory, descriptions, EarlierRuns(failures={"first": earlier}, attempt="another")
    ).films == (film,)
    machine = replace(earlier, reason="timeout")
    assert set_apart(
        [film], directory, descriptions, EarlierRuns(failures={"first": machine}, attempt="this")
    ).films == (film,)


def test_with_force_every_film_is_left(done):
    film, directory, descriptions = done
    found = set_apart([film], directory, descriptions, EarlierRuns(force=True))
    assert (list(found.films), found.outcomes) == ([film], ())
