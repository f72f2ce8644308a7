"""Of several renditions of a film one is taken: the smallest that has enough lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_pipelines.films.catalogue import list_films, rendition_lines
from beam_pipelines.foundation.errors import ConfigurationError

ROWS = "film_id,path,rendition\na,a1080.mp4,1080p\na,a480.mp4,480p\na,a240.mp4,426x240\nb,b.mp4,\n"


def manifest(folder: Path, rows: str) -> str:
    path = folder / "films.csv"
    path.write_text(rows)
    return str(path)


@pytest.mark.parametrize(
    ("min_lines_px", "taken"),
    [(1, "a240"), (240, "a240"), (241, "a480"), (360, "a480"), (481, "a1080"), (2160, "a1080")],
)
def test_the_smallest_with_enough_lines_is_taken(tmp_path: Path, min_lines_px: int, taken: str):
    first, second = list_films(manifest(tmp_path, ROWS), min_lines_px=min_lines_px)
    assert Path(first.uri).stem == taken
    assert (first.film_id, second.film_id, Path(second.uri).stem) == ("a", "b", "b")


def test_360_lines_are_enough_unless_told_otherwise(tmp_path: Path):
    assert list_films(manifest(tmp_path, ROWS))[0].rendition == "480p"


@pytest.mark.parametrize("second", ["", "1080p", "director's cut"])
def test_rows_of_one_id_that_are_no_renditions_are_refused(tmp_path: Path, second: str):
    rows = f"film_id,path,rendition\na,one.mp4,1080p\na,two.mp4,{second}\n"
    with pytest.raises(ConfigurationError, match=r"one\.mp4 and .*two\.mp4"):
        list_films(manifest(tmp_path, rows))


@pytest.mark.parametrize(
    ("name", "lines"),
    [("480p", 480), ("1080i50", 1080), ("854x480", 480), ("640 × 360", 360), ("720", 720), ("hd", None), ("", None)],
)
def test_the_lines_a_name_gives(name: str, lines: int | None):
    assert rendition_lines(name) == lines
