"""ReadFilms and its lists: every film comes out as it went in, and the graph is the same for any number of films."""

from __future__ import annotations

import time
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to

from beam_pipelines.contracts.runs import FAILED, FilmOutcome
from beam_pipelines.extraction.earlier_runs import ListedFilm
from beam_pipelines.films import work_lists
from beam_pipelines.films.catalogue import Film
from beam_pipelines.films.work_lists import (
    WORK_LISTS,
    WorkList,
    list_work,
    read_work,
    remove_earlier_tries,
    remove_work,
    write_work_list,
)
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import StorageError
from beam_pipelines.launch import job
from beam_pipelines.transforms.read_films import ReadFilms, _list


def listed(count: int) -> list[ListedFilm]:
    """Films, each third with a failure of an earlier run."""
    films = [Film(f"é {number}", f"gs://bucket/film {number}.mp4", "test") for number in range(count)]
    failure = FilmOutcome("", "", FAILED, "probe", "damaged", "why", source_size_bytes=3, source_modified_s=0.1)
    return [ListedFilm(film, None if number % 3 else failure) for number, film in enumerate(films)]


@pytest.mark.parametrize("count", [1, 10])
def test_every_film_comes_out_once_with_its_earlier_failure(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_lists, "FILMS_PER_LIST", 4)
    films = listed(count)
    work = write_work_list(films, ListedFilm.row, str(tmp_path), "extract")
    assert (work.films, len(list_work(work.folder))) == (count, -(-count // 4))
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
        assert_that(pipeline | ReadFilms(work, ListedFilm.of_row), equal_to(films))


def test_every_list_begins_with_the_first_films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_lists, "FILMS_PER_LIST", 3)
    work = write_work_list(range(8), lambda number: [number], str(tmp_path), "extract")
    assert [list(read_work(uri)) for uri in list_work(work.folder)] == [[[0], [3], [6]], [[1], [4], [7]], [[2], [5]]]


def test_the_graph_is_the_same_for_one_film_and_for_many(tmp_path: Path) -> None:
    sizes = []
    for count in (1, 20_000):
        pipeline = beam.Pipeline(runner="FnApiRunner")
        work = write_work_list(range(count), lambda number: [f"gs://bucket/{number}"], str(tmp_path), "score")
        pipeline | ReadFilms(work, list)
        sizes.append(pipeline.to_runner_api().ByteSize())
    assert max(sizes) < 20_000
    assert abs(sizes[1] - sizes[0]) < 100  # the number of films itself


def test_the_lists_of_a_run_are_removed_with_their_folder_and_those_of_another_stay(tmp_path: Path) -> None:
    def write(output: Path) -> WorkList:
        return write_work_list([1], lambda number: [number], str(output), "score")

    work, others = write(tmp_path), write(tmp_path)
    remove_work(work)
    remove_work(work)  # none are no error
    assert (len(list_work(work.folder)), len(list_work(others.folder))) == (0, 1)
    remove_work(others)
    remove_work(WorkList())
    assert not (tmp_path / WORK_LISTS).exists()
    assert tmp_path.exists()


def test_lists_of_a_run_that_was_killed_a_week_ago_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = write_work_list([1], lambda number: [number], str(tmp_path), "score")
    week = 7 * 24 * 3600
    for waited_s, lists in ((week - 100, 1), (week + 100, 0)):
        later_s = time.time() + waited_s
        with monkeypatch.context() as patch:
            patch.setattr(work_lists.time, "time", lambda later_s=later_s: later_s)
            remove_work(write_work_list([1], lambda number: [number], str(tmp_path), "score"))
        assert len(list_work(killed.folder)) == lists
    assert not (tmp_path / WORK_LISTS).exists()


def test_a_worker_that_does_not_see_the_lists_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"absent: this worker .* --output must lie where all workers see it"):
        _list(str(tmp_path / "absent"))


def test_lists_that_cannot_be_removed_are_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(uri: str) -> None:
        raise StorageError(f"{uri}: no permission")

    work = write_work_list([1], lambda number: [number], str(tmp_path), "score")
    monkeypatch.setattr(storage, "remove", refused)
    remove_work(work)
    assert "can't be removed" in caplog.text
    assert "no permission" in caplog.text


def test_a_try_that_is_done_removes_the_lists_of_earlier_ones_at_the_same_films(tmp_path: Path) -> None:
    def write(*films: int, failed: bool = False, name: str = "score") -> WorkList:
        return write_work_list(films, lambda number: [number, failed], str(tmp_path), name)

    earlier, own = write(1, 2), write(1, 2, failed=True)
    others = [write(1), write(1, 3), write(2, 1), write(1, 2, name="extract")]
    remove_earlier_tries(own)
    remove_earlier_tries(WorkList())
    assert [len(list_work(work.folder)) for work in (earlier, own, *others)] == [0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(("runner", "lists_left"), [([], 0), (["--runner=PortableRunner"], 1)])
def test_the_lists_of_a_run_that_was_interrupted_stay_for_a_cluster_alone(
    runner: list[str], lists_left: int, tmp_path: Path
) -> None:
    def interrupted(pipeline: beam.Pipeline) -> None:
        raise KeyboardInterrupt

    work = write_work_list([1], lambda number: [number], str(tmp_path), "score")
    with pytest.raises(KeyboardInterrupt):
        job.run(interrupted, job.beam_options(runner, 0), str(tmp_path), 1, lists=[work])
    assert len(list_work(work.folder)) == lists_left
    assert (tmp_path / WORK_LISTS).exists() == bool(lists_left)


@pytest.mark.usefixtures("emulator")
def test_lists_in_a_bucket() -> None:
    output = "gs://bucket/out"
    work = write_work_list(["a", "b"], list, output, "score")
    (uri,) = list_work(work.folder)
    assert list(read_work(uri)) == [["a"], ["b"]]
    remove_work(work)
    assert list_work(work.folder) == []
