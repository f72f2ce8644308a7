"""The page of Table 1, made of a table as `cineaffect reproduce` writes it and opened from disk in Chromium."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_pipelines.commands import report as command
from beam_pipelines.contracts.film_ids import escape_film_id
from beam_pipelines.report.runs.table_page import by_film, write_table_page
from trainer.evaluation.evaluate import evaluate_curves
from trainer.experiments.paper_runs import TABLE_1
from trainer.experiments.table import write_table

ODD_NAME = '</script><b>film\'s "one" & 映画'
ODD_ID = escape_film_id(ODD_NAME)
RUNS = ("run1", "run4", "run5")
SECONDS = 60


@dataclass(frozen=True, eq=False)
class Film:
    """What `evaluate_curves` needs of a film."""

    film_id: str
    labels: np.ndarray
    known: np.ndarray


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of three runs on three films; run4 is constant on one of them."""
    output = tmp_path_factory.mktemp("paper")
    random = np.random.default_rng(4)
    known = {name: random.uniform(-0.5, 0.5, (SECONDS, 2)).astype(np.float32) for name in (ODD_ID, "b", "c")}
    films = [Film(name, values, np.ones(SECONDS, bool)) for name, values in known.items()]
    rows: list[dict[str, Any]] = []
    for seed in range(2):
        curves = {
            run: {name: 0.5 * values + random.normal(0, 0.2, values.shape) for name, values in known.items()}
            for run in RUNS
        }
        curves["run4"]["c"] = np.full((SECONDS, 2), 0.1)
        rows += [{"seed": seed, **row} for row in evaluate_curves(curves, films, np.zeros(2)).to_dict()]
    published = {run: TABLE_1[run] for run in RUNS}
    write_table(str(output), "table1", rows, published, runs={"run1": {}}, seeds=2, untrained=["image"])
    assert command.main(["--run", str(output)]) == 0
    return output


def shown(value: float) -> str:
    return f"{value:.4f}".replace("-", "−")


def test_the_papers_rows_stand_beside_ours_with_their_spread(experiment: Path, page: Any) -> None:
    page.goto((experiment / "report" / "index.html").as_uri())
    page.wait_for_selector("body[data-figure]")
    assert "untrained networks (image)" in page.inner_text("#untrained")
    rows = [row.split("\t") for row in page.locator("#table tbody tr").all_inner_texts()]
    assert [row[1] for row in rows] == ["mean of films", "all seconds", *["paper", "mean of films", "all seconds"] * 3]
    assert rows[0][0] == "constant mean"
    assert rows[2][:6] == ["run1", "paper", "0.1193", "0.1175", "–", "0.1384"]
    summary = {
        (one["predictor"], one["target"], one["scope"], one["figure"]): one
        for one in json.loads((experiment / "table1.json").read_text())["summary"]
    }
    ours = summary["run1", "valence", "mean of films", "mse"]
    assert rows[3][2] == f"{shown(ours['mean'])} ±{shown(ours['sd'])}"
    assert "run4, valence: 2" in page.inner_text("#undefined")
    assert page.locator("#charts canvas").count() == 4


def test_every_film_has_its_row_and_the_best_run_stands_out(experiment: Path, page: Any) -> None:
    page.goto((experiment / "report" / "index.html").as_uri())
    page.wait_for_selector("body[data-figure='valence MSE']")
    assert page.locator("#films tbody td:first-child").all_inner_texts() == sorted([ODD_NAME, "b", "c"])
    assert page.locator("#films b").count() == 0  # a film's name is text
    page.select_option("#figure", label="valence PCC")
    page.wait_for_selector("body[data-figure='valence PCC']")
    cells = page.locator("#films tbody tr").last.locator("td").all_inner_texts()
    assert cells[0] == "c"
    assert cells[1] == cells[3] == "–"  # the constant mean, and run4's constant curve
    best = page.locator("#films tbody tr").last.locator(".best").inner_text()
    assert best == max(cells[2], cells[4])
    page.set_viewport_size({"width": 390, "height": 800})
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_of_one_seed_there_is_no_spread() -> None:
    row = {"predictor": "run1", "target": "valence", "scope": "film", "film_id": "a", "mse": 0.5, "pcc": None, "ccc": 0}
    found = {one["figure"]: one for one in by_film([row, {**row, "scope": "pooled"}])}
    assert (found["mse"]["mean"], found["mse"]["sd"], found["pcc"]["mean"]) == (0.5, None, None)
    found = {one["figure"]: one for one in by_film([row, {**row, "mse": 0.7}])}
    assert found["mse"]["mean"] == pytest.approx(0.6)
    assert found["mse"]["sd"] == pytest.approx(0.1 * 2**0.5, abs=1e-6)


def test_a_comparison_has_the_same_page_without_a_paper(experiment: Path, tmp_path: Path, page: Any) -> None:
    table = json.loads((experiment / "table1.json").read_text())
    folder = tmp_path / "report"
    write_table_page({**table, "published": {}, "variants": {"run1": ["encoder.kind=tcn"]}, "runs": {}}, str(folder))
    page.goto((folder / "index.html").as_uri())
    page.wait_for_selector("#table tbody tr")
    assert "aper" not in page.locator("body").inner_text()
    assert page.locator("h2").first.inner_text() == "The variants"
    assert page.locator("#table tbody tr").count() == 2 * (1 + len(RUNS))
