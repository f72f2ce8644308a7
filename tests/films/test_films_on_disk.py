"""Catalogues too long for memory: the same films in the same order, renditions, doubles and splits as in a list."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_pipelines.films import films_on_disk
from beam_pipelines.films.catalogue import Film, films_of_splits, list_catalogue, read_manifest
from beam_pipelines.films.films_on_disk import FilmsOnDisk, keep
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.launch.local_work import largest_first

ROWS = """film_id,path,split,rendition
d,d.mp4,test,
b,b1080.mp4,train,1080p
"a, ü",a.mp4,test,
b,b480.mp4,train,480p
c,c.mp4,train,
"""


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films_on_disk, "IN_MEMORY", 2)


def manifest(folder: Path, rows: str = ROWS) -> str:
    path = folder / "films.csv"
    path.write_text(rows)
    return str(path)


def test_the_films_are_those_of_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory = read_manifest(manifest(tmp_path))
    monkeypatch.setattr(films_on_disk, "IN_MEMORY", 2)
    films = read_manifest(manifest(tmp_path))
    assert isinstance(films, FilmsOnDisk)
    assert isinstance(in_memory, list)
    assert [film.film_id for film in in_memory] == ["a, ü", "b", "c", "d"]
    assert list(films) == in_memory
    assert [films[place] for place in (0, 3, -1)] == [in_memory[place] for place in (0, 3, -1)]
    assert list(films[1::2]) == in_memory[1::2]
    assert in_memory[1].rendition == "480p"
    assert list(films_of_splits(films, ["train"])) == films_of_splits(in_memory, ["train"])


@pytest.mark.usefixtures("on_disk")
def test_largest_first(tmp_path: Path) -> None:
    for name, size in {"a.mp4": 5, "b480.mp4": 7, "d.mp4": 9}.items():
        (tmp_path / name).write_bytes(bytes(size))
    ordered = largest_first(list_catalogue(manifest(tmp_path))[0])
    assert isinstance(ordered, FilmsOnDisk)
    assert [film.film_id for film in ordered] == ["d", "b", "a, ü", "c"]


@pytest.mark.usefixtures("on_disk")
def test_films_of_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"two films have the film_id 'c': \S+c\.mp4 and \S+other\.mp4"):
        read_manifest(manifest(tmp_path, ROWS + "c,other.mp4,train,\n"))


def test_few_films_stay_in_memory() -> None:
    assert keep(iter([Film("a", "a.mp4")]), Film.row, Film.of_row) == [Film("a", "a.mp4")]
