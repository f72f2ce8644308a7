"""Paired differences over films: the interval by hand, and what is said of it."""

from __future__ import annotations

import json

import pytest

from trainer.evaluation.metrics import CONSTANT_MEAN
from trainer.experiments.differences import NOT_DISTINGUISHABLE, differences, render_differences

FILMS = ("a", "b", "c")


def rows_of(predictor: str, seed: int | None, mse: tuple[float, ...], pcc: tuple[float | None, ...]) -> list[dict]:
    base = {"seed": seed, "predictor": predictor, "target": "valence", "ccc": 0.1}
    figures = zip(FILMS, mse, pcc, strict=True)
    films = [{**base, "scope": "film", "film_id": film, "mse": error, "pcc": value} for film, error, value in figures]
    return [{**base, "scope": "pooled", "film_id": "", "mse": 9.0, "pcc": 0.9}, *films]


ROWS = [
    *rows_of(CONSTANT_MEAN, None, (5.0, 5.0, 5.0), (None, None, None)),
    *rows_of("GRU", 0, (0.1, 0.2, 0.3), (0.1, 0.5, None)),
    *rows_of("GRU", 1, (0.3, 0.4, 0.5), (0.3, 0.7, 0.9)),
    *rows_of("TCN", 0, (0.3, 0.5, 0.4), (0.4, 0.2, None)),
    *rows_of("TCN", 1, (0.3, 0.5, 0.8), (0.4, 0.4, None)),
]


def test_films_are_paired_and_seeds_are_averaged_before() -> None:
    found = {one.figure: one for one in differences(ROWS)}
    # MSE, GRU minus TCN: 0.2 - 0.3, 0.3 - 0.5, 0.4 - 0.6: mean -1/6, standard error 1/30, t of two degrees 4.3027.
    mse = found["mse"]
    assert (mse.first, mse.second, mse.target, mse.films) == ("GRU", "TCN", "valence", 3)
    half = 4.3027 / 30
    assert (mse.mean, mse.low, mse.high) == pytest.approx((-1 / 6, -1 / 6 - half, -1 / 6 + half), abs=1e-5)
    assert mse.verdict == "GRU is better"  # a lower MSE is better
    # PCC: 0.2 - 0.4 and 0.6 - 0.3; the third film has none of the TCN.
    assert (found["pcc"].films, found["pcc"].mean) == (2, pytest.approx(0.05))
    assert found["pcc"].verdict == found["ccc"].verdict == NOT_DISTINGUISHABLE


def test_a_higher_correlation_is_better_whichever_comes_first() -> None:
    rows = [*rows_of("x", None, (1, 2, 3), (0.1, 0.2, 0.3)), *rows_of("y", None, (1, 2, 3), (0.5, 0.61, 0.7))]
    assert [one.verdict for one in differences(rows) if one.figure == "pcc"] == ["y is better"]
    assert [one.verdict for one in differences(rows[4:] + rows[:4]) if one.figure == "pcc"] == ["y is better"]


def test_the_table_names_method_interval_and_verdict() -> None:
    text = render_differences(differences(ROWS))
    assert "95% intervals by Student's t" in text.splitlines()[0]
    (line,) = [line for line in text.splitlines() if " MSE " in line]
    shown = "GRU - TCN valence MSE 3 -0.1667 [-0.3101, -0.0232] GRU is better"
    assert line.split() == shown.split()
    assert text.count(NOT_DISTINGUISHABLE) == 2
    assert render_differences([]) == ""
    json.dumps([one.to_dict() for one in differences(ROWS)], allow_nan=False)


def test_one_film_has_no_interval() -> None:
    rows = [row for row in ROWS if row["film_id"] in ("", "a")]
    (mse,) = [one for one in differences(rows) if one.figure == "mse"]
    assert (mse.films, mse.low, mse.high, mse.verdict) == (1, None, None, NOT_DISTINGUISHABLE)
