"""The progress display: films, film-hours, speed and time left, from the files that appear."""

from __future__ import annotations

import os
import time
from pathlib import Path

from beam_pipelines.launch.progress import Tally, watch


def test_a_tally_counts_new_files_once_and_sums_their_seconds(tmp_path):
    old = tmp_path / "old.tfrecord"
    old.touch()
    os.utime(old, (1, 1))
    since_s = time.time()
    tally = Tally(str(tmp_path), 4, ".tfrecord", lambda uri: 1800.0)
    assert tally.left_s() is None
    tally._since_s = since_s + 1000  # the old one's entry is as young as this test
    assert tally.look() == []
    tally._since_s = since_s
    (tmp_path / ".hidden.tfrecord").touch()
    (tmp_path / "b.csv").touch()
    old.unlink()
    for name in ("a", "b"):
        (tmp_path / f"{name}.tfrecord").touch()
    assert tally.look() == ["a", "b"]
    assert tally.look() == []
    assert (tally.done, tally.film_s) == (2, 3600.0)
    assert tally.message().startswith("1.00 film-hours, ")
    assert "x real time, left: 0:00:0" in tally.message()


def test_without_a_terminal_every_film_has_its_line(tmp_path, capsys):
    with watch(str(tmp_path), 3, ".tfrecord", lambda uri: 2.0 if Path(uri).exists() else 0.0):
        for name in ("a", "season [1]%2FWhy%3F"):
            (tmp_path / f"{name}.tfrecord").touch()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" films")[0] for line in lines] == [
        f"{tmp_path.name}: a: 1 of 3",
        f"{tmp_path.name}: season [1]/Why?: 2 of 3",
    ]
    assert "film-hours" in lines[1]
