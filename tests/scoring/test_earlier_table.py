"""The table of earlier runs: which done marker counts, and curves film by film, in whatever row groups they lie."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.contracts.curves import curve_table
from beam_pipelines.contracts.curves.curve_table import part_uri, read_curves, read_part, write_part
from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.contracts.curves.done_marker import DoneMarker
from beam_pipelines.contracts.film_warnings import film_warning
from beam_pipelines.foundation.errors import DiskFullError
from beam_pipelines.scoring.curve_files import CurveFiles
from beam_pipelines.scoring.earlier_table import EarlierTable


def curve_of(film_id: str, seconds: int, seed: int = 0) -> AffectCurve:
    return AffectCurve(film_id, *np.random.default_rng(seed).uniform(-1, 1, (4, seconds)))


def write(folder: Path, shard: int, films: dict[str, int], record: str = "r") -> str:
    uri = part_uri(str(folder), shard, 2)
    markers = [
        DoneMarker(film_id, "s", record, seconds, 0, (film_warning("frozen", shard),))
        for film_id, seconds in films.items()
    ]
    write_part(uri, markers, lambda marker: curve_of(marker.film_id, marker.seconds, shard))
    return uri


def test_the_last_of_equal_done_markers_counts_and_comes_last(tmp_path: Path) -> None:
    one, two = write(tmp_path, 0, {"a": 1, "b": 2}), write(tmp_path, 1, {"a": 3})
    again = EarlierTable([one, two])
    assert [(marker.film_id, marker.seconds) for marker in again.markers()] == [("b", 2), ("a", 3)]
    found = again.marker_of("a", "s", "r")
    assert found == DoneMarker("a", "s", "r", 3, 0, (film_warning("frozen", 1),))
    assert again.curve(found).seconds == 3
    assert again.marker_of("a", "other", "r") is None
    assert EarlierTable([two, one]).marker_of("a", "s", "r").seconds == 1


@pytest.mark.parametrize("rows", [1, 3, 7, 1000])
def test_curves_come_film_by_film_from_any_row_groups(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curve_table, "_ROW_GROUP_ROWS", rows)
    films = {"c": 1, "a": 5, "b": 2, "é": 20}
    uri = write(tmp_path, 0, films)
    whole = read_part(uri)
    for read, film_id in zip(read_curves(uri), sorted(films), strict=True):
        for column in read.columns:
            np.testing.assert_array_equal(read.of(column), curve_of(film_id, films[film_id]).of(column))
            np.testing.assert_array_equal(read.of(column), whole[film_id].of(column))


def test_curves_that_are_left_out_are_passed_over_and_an_absent_one_is_named(tmp_path: Path) -> None:
    uri = write(tmp_path, 0, dict.fromkeys("abcd", 2))
    table = EarlierTable([uri])
    markers = {marker.film_id: marker for marker in table.markers()}
    assert [table.curve(markers[name]).film_id for name in "bd"] == ["b", "d"]
    with pytest.raises(KeyError, match="a"):
        table.curve(markers["a"])


@contextmanager
def limit(kind: int, value: int) -> Iterator[None]:
    """Lets this process have no more, until the block ends."""
    before, most = resource.getrlimit(kind)
    resource.setrlimit(kind, (value, most))
    try:
        yield
    finally:
        resource.setrlimit(kind, (before, most))


def test_the_parts_of_another_division_are_not_all_open_at_once(tmp_path: Path) -> None:
    """Their films lie in turns, so that a reader of one part is at its end only when all are."""
    output, parts = str(tmp_path), 60
    films = {f"film {number:03}": number for number in range(3 * parts)}
    markers = {film_id: DoneMarker(film_id, "s", "r", 2, 0) for film_id in films}
    for part in range(parts):
        of_part = [marker for film_id, marker in markers.items() if films[film_id] % parts == part]
        uri = part_uri(output, part, parts)
        write_part(uri, of_part, lambda marker: curve_of(marker.film_id, 2, films[marker.film_id]))
    files = CurveFiles(output, csv=False, plots=False, shards=2, scorer="s")
    free = [os.dup(0) for _ in range(40)]
    for each in free:
        os.close(each)
    with limit(resource.RLIMIT_NOFILE, max(free) + 1):
        written = [files.write_part(shard, [], {}) for shard in range(2)]
    assert sum(part.carried for part in written) == len(films)
    read = {film_id: curve for part in written for film_id, curve in read_part(part.uri).items()}
    assert read.keys() == films.keys()
    for film_id, seed in films.items():
        for column in read[film_id].columns:
            np.testing.assert_array_equal(read[film_id].of(column), curve_of(film_id, 2, seed).of(column))


def test_a_part_that_is_copied_without_a_film_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beam_pipelines.scoring.earlier_table._OPEN_PARTS", 0)
    uri = write(tmp_path, 0, {"a": 2})
    table = EarlierTable([uri])
    (marker,) = table.markers()
    write_part(uri, [], lambda _: pytest.fail("has no film"))
    with pytest.raises(KeyError, match="a"):
        table.curve(marker)


def test_a_full_disk_is_told_with_the_folder_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = write(tmp_path, 0, {f"film {number}": 1 for number in range(300)}, record="r" * 20_000)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with (
        limit(resource.RLIMIT_FSIZE, 1_000_000),
        pytest.raises(DiskFullError, match=rf"database.*no room for it in {tmp_path} \(.*TMPDIR.*each worker process"),
    ):
        EarlierTable([uri]).marker_of("film 1", "s", "r")
