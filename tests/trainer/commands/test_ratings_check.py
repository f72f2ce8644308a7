"""`cineaffect ratings check` on files of raters: what it prints besides the figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from trainer.commands.ratings import main

TIMES = np.arange(120)
COURSE = 50 + 30 * np.sin(TIMES / 5)
CONFIG = """
train:
  labels:
    layout: table
    targets: [arousal]
    table: {range: [0, 100]}
"""


def check(directory: Path, raters: Mapping[str, np.ndarray], capsys: pytest.CaptureFixture[str], *more: str) -> str:
    (directory / "ratings" / "one").mkdir(parents=True, exist_ok=True)
    for name, values in raters.items():
        rows = [f"{time},{value:.3f}" for time, value in zip(TIMES, values, strict=True)]
        (directory / "ratings" / "one" / f"{name}.csv").write_text("\n".join(["time,arousal", *rows]))
    (directory / "films.csv").write_text("film_id,split,labels\none,train,ratings/{film}/{rater}.csv\n")
    (directory / "ratings.yaml").write_text(CONFIG)
    argv = ["--manifest", str(directory / "films.csv"), "--config", str(directory / "ratings.yaml"), *more]
    assert main(["check", *argv]) == 0
    return capsys.readouterr().out


def test_one_rater_is_compared_with_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path, {"anna": COURSE}, capsys).splitlines()[-1] == "one rater: nothing to compare"


def test_the_lag_is_said_to_change_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raters = {"anna": COURSE, "ben": COURSE + np.random.default_rng(0).normal(0, 2, len(COURSE))}
    plain = check(tmp_path, raters, capsys)
    assert plain.endswith("\nno rater stands out\n")
    moved = check(tmp_path, raters, capsys, "--set", "labels.lag_s=2").splitlines()
    assert "labels.lag_s (2) moves all raters together: it changes nothing here." in moved
    assert [line for line in moved if "lag_s" not in line] == plain.splitlines()


def test_a_constant_rater_and_a_copied_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raters = {"anna": COURSE, "ben": COURSE[::-1] / 2 + COURSE / 2, "carl": np.full(len(COURSE), 50.0)}
    lines = check(tmp_path, raters | {"ben (copy)": raters["ben"]}, capsys).splitlines()
    assert "one, arousal: rater carl: gave 0 throughout, on the labels' scale; leave this rater out" in lines
    assert "one, arousal: raters ben and ben (copy): the same values; if they are one rater, leave one out" in lines


def test_standardised_raters_agree_as_the_trainer_sees_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raters = {"anna": COURSE, "ben": 20 + COURSE / 4}
    assert "1.000" not in check(tmp_path, raters, capsys).splitlines()[2].split()[-1]
    assert check(tmp_path, raters, capsys, "--set", "labels.raters.standardise=true").splitlines()[2].endswith("1.000")
