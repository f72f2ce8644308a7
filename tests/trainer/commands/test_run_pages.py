"""The pages of a training run and of a study, made by the commands themselves and opened from disk in Chromium."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from beam_pipelines.commands import report as command
from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.contracts.film_ids import escape_film_id
from beam_pipelines.report.runs.run_pages import calibration
from trainer.foundation.config import TrainConfig
from trainer.tuning.study import open_study, write_results

ODD_NAME = '</script><b>film\'s "one" & 映画'


def texts(tab: Any, selector: str) -> list[str]:
    return [str(text) for text in tab.locator(selector).all_inner_texts()]


def test_train_leaves_a_page_of_what_happened(trained: Path, page: Any) -> None:
    page.goto((trained / "report" / "index.html").as_uri())
    page.wait_for_selector("body[data-film=film5]")
    history = json.loads((trained / "history.json").read_text())
    card = json.loads((trained / "exports" / "1" / "model_card.json").read_text())
    summary = dict(zip(texts(page, "#summary dt"), texts(page, "#summary dd"), strict=True))
    assert summary["chosen epoch"] == str(card["best_epoch"])
    assert (summary["epochs run"], summary["validation films"], summary["training films"]) == ("4", "2", "5")
    assert summary["seconds seen"] == f"{card['back_s']} before, {card['ahead_s']} after"
    assert page.locator("#untrained").inner_text().startswith("Made from untrained networks (face)")
    assert page.locator("#loss canvas, #validation canvas, #valence canvas, #arousal canvas").count() == 4
    with open(trained / "evaluation.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["scope"] == "film"]
    assert not page.locator("#films").is_visible()  # folded away until it is asked for
    page.locator("#validated details summary").click()
    lines = page.locator("#films tbody tr").all()
    assert len(lines) == 10  # two films, constant mean, and ridge regression and network, both raw and smoothed
    smoothed = lines[4].locator("td").all_inner_texts()
    expected = next(r for r in rows if (r["film_id"], r["predictor"], r["target"]) == ("film5", "smoothed", "valence"))
    assert float(smoothed[2].replace("−", "-")) == pytest.approx(float(expected["mse"]), abs=1e-4)
    tried = texts(page, "#smoothing tbody tr")
    assert len(tried) == 1 + len(TrainConfig().smoothing_cutoffs_hz)  # the raw curve and every cutoff
    raw = page.locator("#smoothing tbody tr").first.locator("td").all_inner_texts()
    assert raw[:4] == ["none (raw)", *page.locator("#pooled tbody tr").nth(6).locator("td").all_inner_texts()[2:5]]
    (chosen,) = texts(page, "#smoothing tr.chosen td:first-child")
    filter_ = card["smoothing"]
    assert chosen.endswith("none (raw)" if filter_["method"] == "none" else f"{filter_['cutoff_hz']} Hz")
    assert len(history) == 4


def test_another_figure_another_film_and_the_other_scheme(trained: Path, page: Any) -> None:
    page.goto((trained / "report" / "index.html").as_uri())
    page.wait_for_selector("body[data-film=film5]")
    page.select_option("#figure", "ccc")
    assert page.locator("#figure-caption").inner_text().startswith("CCC")
    page.select_option("#film", label="film6")
    page.wait_for_selector("body[data-film=film6]")
    before = page.locator("#valence canvas").evaluate("c => c.toDataURL()")
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(200)
    assert page.locator("#valence canvas").evaluate("c => c.toDataURL()") != before
    assert page.locator("#validation canvas").count() == 1
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_report_writes_it_again_and_names_of_films_are_only_shown(trained: Path, page: Any, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained, copy, ignore=shutil.ignore_patterns("report", "checkpoints"))
    validation = json.loads((copy / "validation.json").read_text())
    validation["labels"][escape_film_id(ODD_NAME)] = validation["labels"].pop("film5")
    (copy / "validation.json").write_text(json.dumps(validation))
    (copy / "curves" / "film5.csv").rename(copy / "curves" / f"{escape_film_id(ODD_NAME)}.csv")
    assert command.main(["--run", str(copy), "--output", str(tmp_path / "page")]) == 0
    assert (tmp_path / "page" / "data" / "film-1.js").is_file()
    page.goto((tmp_path / "page" / "index.html").as_uri())
    page.wait_for_selector("body[data-film]")
    assert ODD_NAME in texts(page, "#film option")
    assert page.locator("main b").count() == 0


def test_a_model_that_does_worse_than_the_constant_mean_is_said_to(trained: Path, page: Any, tmp_path: Path) -> None:
    evaluation = json.loads((trained / "evaluation.json").read_text())
    for better in (True, False):
        for row in evaluation["rows"]:
            if (row["predictor"], row["target"], row["scope"]) == ("smoothed", "valence", "pooled"):
                row["mse"] = 0.001 if better else 9.5
            if (row["predictor"], row["target"], row["scope"]) == ("smoothed", "arousal", "pooled"):
                row["mse"] = 0.001
        copy = tmp_path / str(better)
        shutil.copytree(trained, copy, ignore=shutil.ignore_patterns("report", "checkpoints"))
        (copy / "evaluation.json").write_text(json.dumps(evaluation))
        assert command.main(["--run", str(copy)]) == 0
        page.goto((copy / "report" / "index.html").as_uri())
        page.wait_for_selector("body[data-film]")
        assert page.locator("#worse").is_visible() is not better
    said = page.locator("#worse").inner_text()
    assert "worse than the constant mean: valence, MSE 9.5000 against" in said
    assert "arousal" not in said


def test_ridge_regression_beside_a_network_has_a_page_without_epochs(trained: Path, page: Any, tmp_path: Path) -> None:
    shutil.copytree(trained / "ridge", tmp_path / "run")
    assert command.main(["--run", str(tmp_path / "run")]) == 0
    page.goto((tmp_path / "run" / "report" / "index.html").as_uri())
    page.wait_for_selector("body[data-film=film5]")
    assert not page.locator("#epochs").is_visible()
    assert page.locator("#valence canvas, #arousal canvas, #calibration canvas").count() == 3
    summary = dict(zip(texts(page, "#summary dt"), texts(page, "#summary dd"), strict=True))
    card = json.loads((trained / "ridge" / "exports" / "1" / "model_card.json").read_text())
    assert float(summary["ridge penalty, valence"]) == card["penalty"]["valence"]
    assert "chosen epoch" not in summary


def test_a_model_that_does_worse_than_ridge_is_said_to(trained: Path, page: Any, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained, copy, ignore=shutil.ignore_patterns("report", "checkpoints"))
    evaluation = json.loads((copy / "evaluation.json").read_text())
    for row in evaluation["rows"]:
        row["mse"] = {"smoothed": 0.2, "ridge, smoothed": 0.1}.get(row["predictor"], 0.5)
    (copy / "evaluation.json").write_text(json.dumps(evaluation))
    assert command.main(["--run", str(copy)]) == 0
    page.goto((copy / "report" / "index.html").as_uri())
    page.wait_for_selector("body[data-film]")
    said = page.locator("#worse").inner_text()
    assert "worse than ridge regression, whose model is in ridge/exports: valence, MSE 0.2000 against 0.1000" in said
    assert "constant mean" not in said


def test_refuses_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--run", str(tmp_path)]) == 2
    assert "neither a training run" in capsys.readouterr().err


def test_a_run_without_validation_says_so(trained: Path, page: Any, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained, copy, ignore=shutil.ignore_patterns("report", "checkpoints", "evaluation.*"))
    (copy / "validation.json").write_text(
        json.dumps({"selection": "mse", "constant": {}, "labels": {}, "smoothing": []})
    )
    assert command.main(["--run", str(copy)]) == 0
    (copy / "report" / "data" / "film-0.js").touch()  # of a page that was written when there were such films
    assert command.main(["--run", str(copy)]) == 0
    assert [path.name for path in (copy / "report" / "data").iterdir()] == ["page.js"]
    page.goto((copy / "report" / "index.html").as_uri())
    page.wait_for_selector("#loss canvas")
    assert page.locator("#unvalidated").is_visible()
    assert not page.locator("#validated").is_visible()


def test_calibration_is_the_mean_label_of_equal_parts() -> None:
    predicted = np.random.default_rng(0).permutation(np.arange(100) / 100)
    labels = {"valence": np.where(np.arange(100) < 90, 0.5 * predicted, np.nan)}
    curve = AffectCurve("film", predicted, predicted, predicted, predicted)
    bins = calibration([(curve, labels)], "valence")
    assert [one["seconds"] for one in bins] == [9] * 10
    assert [one["labelled"] for one in bins] == pytest.approx([one["predicted"] / 2 for one in bins], abs=1e-6)
    assert bins == sorted(bins, key=lambda one: one["predicted"])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a formula, written by the study's own writer: what matters here is its page."""
    output = tmp_path_factory.mktemp("study")
    made = open_study(str(output), "minimize")
    made.sampler = optuna.samplers.RandomSampler(seed=4)
    for number in range(24):
        trial = made.ask()
        rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
        value = (np.log10(rate) + 2.5) ** 2 / 10 + (
            0.02 if trial.suggest_categorical("kind", ["gru", "lstm"]) == "gru" else 0
        )
        trial.suggest_int("units", 32, 256, log=True)
        if number == 7:
            made.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            made.tell(trial, value)
    write_results(made, str(output), "mse", TrainConfig())
    return output


def test_a_study_has_a_page_whose_trials_sort(study: Path, page: Any) -> None:
    assert command.main(["--run", str(study)]) == 0
    page.goto((study / "report" / "index.html").as_uri())
    page.wait_for_selector("#trials tbody tr")
    assert page.locator("#trials tbody tr").count() == 24
    assert page.locator("#slices figure").count() == 3
    best = json.loads((study / "study.json").read_text())["best"]
    assert page.locator("#trials tr.chosen td").first.inner_text() == str(best)
    assert texts(page, "#importance tbody td:first-child")[0] == "learning_rate"
    page.locator("#trials [data-name=value]").click()
    assert page.locator("#trials th[aria-sort=ascending]").inner_text() == "validation MSE\u00a0▴"
    assert page.locator("#trials th[aria-sort]").count() == 1
    values = [text for text in texts(page, "#trials tbody td:nth-child(3)") if text != "–"]
    assert len(values) == 23
    assert [float(value) for value in values] == sorted(float(value) for value in values)
    page.keyboard.press("Enter")
    assert texts(page, "#trials tbody td:nth-child(3)")[0] == values[-1]
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
