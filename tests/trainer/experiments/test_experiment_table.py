"""The table of an experiment: spread over seeds, undefined correlations, files and plot."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from trainer.evaluation.evaluate import FilmLabels, evaluate_curves
from trainer.evaluation.metrics import CONSTANT_MEAN
from trainer.experiments.table import render, summarise, write_table

PUBLISHED = {"run": {("valence", "mse"): 0.1193, ("arousal", "pcc"): 0.2911}}


def make_rows(seeds: int, constant_film: bool = False) -> list[dict]:
    generator = np.random.default_rng(1)
    films = [FilmLabels(name, generator.uniform(-1, 1, (50, 2)), np.ones(50, bool)) for name in "ab"]
    rows = []
    for seed in range(seeds):
        curves = {film.film_id: film.labels + generator.normal(0, 0.2, (50, 2)) for film in films}
        if constant_film:
            curves["a"] = np.zeros((50, 2))
        rows += [{"seed": seed, **row} for row in evaluate_curves({"run": curves}, films, np.zeros(2)).to_dict()]
    return rows


def found(summaries, predictor, target, scope, figure):
    (one,) = [s for s in summaries if (s.predictor, s.target, s.scope, s.figure) == (predictor, target, scope, figure)]
    return one


def test_spread_is_the_sample_deviation_and_needs_two_seeds(tmp_path: Path) -> None:
    rows = make_rows(3)
    summaries = write_table(str(tmp_path), "table", rows)
    values = [r["mse"] for r in rows if (r["predictor"], r["target"], r["scope"]) == ("run", "valence", "pooled")]
    one = found(summaries, "run", "valence", "pooled", "mse")
    assert (one.mean, one.sd, one.seeds) == (pytest.approx(np.mean(values)), pytest.approx(np.std(values, ddof=1)), 3)
    assert one.text == f"{np.mean(values):.4f} ±{np.std(values, ddof=1):.4f}"
    assert found(summaries, CONSTANT_MEAN, "valence", "pooled", "mse").sd is None
    assert "±" not in render(summarise(make_rows(1)))


def test_undefined_correlations_are_counted() -> None:
    summaries = summarise(make_rows(2, constant_film=True))
    assert found(summaries, "run", "arousal", "mean of films", "pcc").undefined == 2
    assert found(summaries, "run", "arousal", "pooled", "pcc").undefined == 0
    assert render(summaries).splitlines()[-1] == (
        "undefined PCC (a constant curve), left out: run, valence, mean of films: 2; run, arousal, mean of films: 2"
    )


def test_files_hold_every_film_and_what_was_published(tmp_path: Path) -> None:
    rows = make_rows(2)
    summaries = write_table(str(tmp_path), "table", rows, PUBLISHED, seeds=2)
    content = json.loads((tmp_path / "table.json").read_text())
    assert content["seeds"] == 2
    assert content["published"] == {"run": {"valence_mse": 0.1193, "arousal_pcc": 0.2911}}
    films = [r for r in content["rows"] if r["scope"] == "film" and r["predictor"] == "run"]
    assert {(r["seed"], r["film_id"], r["target"]) for r in films} == {
        (seed, film, target) for seed in (0, 1) for film in "ab" for target in ("valence", "arousal")
    }
    assert len([r for r in content["rows"] if r["predictor"] == CONSTANT_MEAN]) == 2 * 4
    with (tmp_path / "table.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(content["rows"])
    lines = render(summaries, PUBLISHED).splitlines()
    assert [line.split() for line in lines if "paper" in line] == [
        ["run", "paper", "0.1193", "–", "–", "–", "0.2911", "–"]
    ]
