"""Run files: what is written is read again, and what is no run file is refused."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from trainer.evaluation.run_files import RunFileError, read_run_file, write_run_file

ROWS = st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), max_size=20)


NAMES = st.from_regex(r"[A-Za-z]\w{0,12}( \w{1,5} \w{1,5})?", fullmatch=True)


@given(st.dictionaries(NAMES.map(lambda name: unicodedata.normalize("NFC", name)), ROWS, max_size=4))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, films: dict[str, list[tuple[float, float]]]) -> None:
    uri = str(tmp_path_factory.mktemp("run") / "run.txt")
    curves = {film_id: np.array(rows).reshape(-1, 2) for film_id, rows in films.items()}
    write_run_file(uri, curves)
    again = read_run_file(uri)
    assert sorted(again) == sorted(curves)
    for film_id, curve in curves.items():
        np.testing.assert_allclose(again[film_id], curve, atol=5.1e-8)


def test_a_film_s_name_has_the_form_of_its_id(tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_text(unicodedata.normalize("NFD", "Café") + "\n0.1 0.2\n")
    assert list(read_run_file(str(path))) == [unicodedata.normalize("NFC", "Café")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.1 0.2\n", "line 1: a film's name must come before"),
        ("a\n0.1 0.2\na\n", "line 3: the film 'a' is there twice"),
        ("a\n0.1 nan\n", "line 2: valence and arousal must be finite"),
    ],
)
def test_refusals(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.txt"
    path.write_text(text)
    with pytest.raises(RunFileError, match=message):
        read_run_file(str(path))


def test_a_curve_of_a_lag_is_written_at_the_time_of_the_ratings(tmp_path: Path) -> None:
    curve = np.arange(8.0).reshape(4, 2)
    write_run_file(str(tmp_path / "run.txt"), {"film": curve, "short": curve[:1]}, lag_s=2)
    found = read_run_file(str(tmp_path / "run.txt"))
    np.testing.assert_array_equal(found["film"], curve[[0, 0, 0, 1]])
    np.testing.assert_array_equal(found["short"], curve[:1])


def test_names_and_values_that_cannot_be_written(tmp_path: Path) -> None:
    for curves in ({"1 2": np.zeros((1, 2))}, {"a": np.full((1, 2), np.nan)}, {" a": np.zeros((1, 2))}):
        with pytest.raises(RunFileError):
            write_run_file(str(tmp_path / "run.txt"), curves)
