"""Rounds that were decided on the same films, and what the report says of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from trainer.retraining.comparison import Comparison
from trainer.retraining.config import RetrainConfig
from trainer.retraining.earlier_rounds import count_earlier_rounds, unlike_before
from trainer.retraining.report import Decision, write_report

BETTER = Comparison("mse", 0.1, 0.2, 0.1, 0.03, True)
HELD_OUT = {f"film{number}": f"{number:064x}" for number in range(8)}


def write_round(
    root: Path, name: str, found: Comparison, held_out: dict[str, str], earlier: int = 0, **further: Any
) -> str:
    decision = Decision(2, found.better, 1, "", "version 1", found, held_out, {}, {}, earlier, **further)
    return write_report(str(root / "rounds" / name), decision, RetrainConfig())


def test_rounds_on_the_same_files_are_counted_whatever_the_films_are_called(tmp_path: Path) -> None:
    undecided = Comparison("mse", 0.1, 0.2, 0.1, None, False)
    write_round(tmp_path, "same", BETTER, HELD_OUT)
    write_round(tmp_path, "renamed", BETTER, {"other": HELD_OUT["film3"], "new": "f" * 64})
    write_round(tmp_path, "others", BETTER, {"new": "f" * 64})
    write_round(tmp_path, "undecided", undecided, HELD_OUT)
    (tmp_path / "rounds" / "killed").mkdir()
    old = tmp_path / "rounds" / "old"
    old.mkdir()
    (old / "report.json").write_text(json.dumps({"films": ["film7"], "lower_bound": 0.1}))
    assert count_earlier_rounds(str(tmp_path / "rounds"), HELD_OUT) == 3
    assert count_earlier_rounds(str(tmp_path / "nowhere"), HELD_OUT) == 0


def test_the_report_says_what_earlier_rounds_do_to_the_error(tmp_path: Path) -> None:
    assert "rlier" not in write_round(tmp_path, "first", BETTER, HELD_OUT)
    text = write_round(tmp_path, "sixth", BETTER, HELD_OUT, earlier=5)
    # 1 - 0.9^6 = 0.469
    assert "Earlier rounds decided on some of these films: 5." in text
    assert "in 10% of single rounds, but in any of 6 with a chance of about 47%" in text
    assert "paired t over films (must be at most 10.0%) | 3.0% |" in text


def test_the_report_says_that_too_few_films_decide_nothing(tmp_path: Path) -> None:
    few = {film_id: HELD_OUT[film_id] for film_id in ("film0", "film1")}
    text = write_round(tmp_path, "few", Comparison("pcc", 0.5, 0.1, 0.4, None, False), few, earlier=5)
    assert "Nothing can be decided: 2 held-out films are fewer than 8 (retrain.least_films)." in text
    assert "chance" not in text
    report = json.loads((tmp_path / "rounds" / "few" / "report.json").read_text())
    assert (report["p_value"], report["films"], report["earlier_rounds"]) == (None, ["film0", "film1"], 5)


def test_the_report_says_how_well_bands_hold_and_which_there_are_too_few_films_for(tmp_path: Path) -> None:
    assert "band" not in write_round(tmp_path, "none", BETTER, HELD_OUT)
    bands = {"arousal": {80: {"coverage": 0.8125, "width": 0.4, "films": 8}}}
    text = write_round(tmp_path, "some", BETTER, HELD_OUT, bands=bands, calibration_films=18)
    assert "80 % band of arousal: holds 81.2% of a film's seconds, is 0.400 wide (means of 8 films)." in text
    assert "There is no 95 % band: it needs 19 calibration films, there are 18." in text
    assert "80 % band: it needs" not in text
    assert "score.stride_s" not in text
    assert "sets another (score.smoothing, score.stride_s)" not in write_round(
        tmp_path, "few", BETTER, HELD_OUT, calibration_films=3
    )
    assert "sets another (score.smoothing, score.stride_s)" in write_round(
        tmp_path, "filtered", BETTER, HELD_OUT, calibration_films=4
    )
    assert json.loads((tmp_path / "rounds/some/report.json").read_text())["bands"]["arousal"]["80"]["films"] == 8


def test_the_report_shows_how_films_drift_away_over_the_rounds(tmp_path: Path) -> None:
    for number, percent in enumerate((1.0, 2.5)):
        write_round(tmp_path, f"{9 - number}", BETTER, HELD_OUT, unlike_percent={"challenger": percent})
        os.utime(tmp_path / "rounds" / f"{9 - number}" / "report.json", (100 + number, 100 + number))
    write_round(tmp_path, "unknown", BETTER, HELD_OUT)
    before = unlike_before(str(tmp_path / "rounds"))
    assert before == [1.0, 2.5]
    shares = {"challenger": 4.0, "version 1": 30.04}
    text = write_round(tmp_path, "new", BETTER, HELD_OUT, unlike_percent=shares, unlike_before=before)
    assert "unlike a model's training films: challenger 4.0 %, version 1 30.0 %." in text
    assert "earlier rounds, oldest first: 1.0 %, 2.5 %." in text
