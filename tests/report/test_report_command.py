"""`cineaffect report` without a browser: what it writes, leaves out, removes and refuses."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from beam_pipelines.commands.report import main
from beam_pipelines.report.scoring.page import PageWriter
from beam_pipelines.report.scoring.sheet_maker import SheetMaker
from tests.support.report_runs import curve_of, film_data, write_scores
from tests.support.synthetic_clips import regular_times, write_clip


def test_the_same_run_gives_the_same_bytes_and_what_is_gone_goes(tmp_path: Path) -> None:
    scores, page = tmp_path / "scores", tmp_path / "page"
    scores.mkdir()
    write_scores(scores, [curve_of("one", 30, 1), curve_of("two", 30, 2)], [])
    assert main(["--scores", str(scores), "--output", str(page)]) == 0
    first = {path.relative_to(page): path.read_bytes() for path in page.rglob("*") if path.is_file()}
    assert main(["--scores", str(scores), "--output", str(page)]) == 0
    assert {path.relative_to(page): path.read_bytes() for path in page.rglob("*") if path.is_file()} == first
    assert (page / "markers" / "two.edl").is_file()
    write_scores(scores, [curve_of("one", 30, 1)], [])
    (page / "markers" / "notes").mkdir()
    assert main(["--scores", str(scores), "--output", str(page)]) == 0
    left = {str(path.relative_to(page)) for path in page.rglob("*") if path.is_file()}
    assert not [name for name in left if "two" in name]
    assert "markers/one.edl" in left


def test_somebody_elses_page_and_its_files_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores, site = tmp_path / "scores", tmp_path / "site"
    scores.mkdir()
    write_scores(scores, [curve_of("one", 30, 1)], [])
    (site / "data").mkdir(parents=True)
    (site / "index.html").write_text("<title>My films</title>")
    (site / "data" / "mine.js").touch()
    assert main(["--scores", str(scores), "--output", str(site)]) == 2
    assert "index.html" in capsys.readouterr().err
    assert sorted(path.name for path in site.rglob("*") if path.is_file()) == ["index.html", "mine.js"]
    assert (site / "index.html").read_text() == "<title>My films</title>"


def test_a_name_that_leads_out_of_the_folder_stays_in_it(tmp_path: Path) -> None:
    writer = PageWriter(str(tmp_path / "page"))
    sheet, rate = SheetMaker(str(tmp_path / "page")).make(curve_of("../../escaped", 30, 1))
    writer.add_film(sheet, rate)
    writer.finish({"job": "score"})
    assert [path.name for path in tmp_path.iterdir()] == ["page"]


def test_a_run_that_did_not_finish_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--scores", str(tmp_path)]) == 2
    assert "run_manifest.json" in capsys.readouterr().err
    (tmp_path / "run_manifest.json").write_text(json.dumps({"job": "extract"}))
    assert main(["--scores", str(tmp_path)]) == 2
    assert "extract" in capsys.readouterr().err


def test_what_is_missing_of_a_film_is_said_on_its_page(tmp_path: Path) -> None:
    scores = tmp_path / "scores"
    scores.mkdir()
    (tmp_path / "bad.mp4").write_text("not a film")
    (tmp_path / "bad.txt").write_text("Time\tValence\tArousal\n0\tone\ttwo\n")
    (tmp_path / "films.csv").write_text("film_id,path,labels\none,bad.mp4,bad.txt\n")
    write_scores(scores, [curve_of("one", 30, 1)], [])
    assert main(["--scores", str(scores), "--manifest", str(tmp_path / "films.csv"), "--thumbnails"]) == 0
    notes = film_data(scores / "report", "one")["notes"]
    assert len(notes) == 2
    assert "No thumbnails (unreadable)" in notes[0]
    assert "No labels (not_numbers)" in notes[1]


def test_markers_count_frames_of_the_films_own_rate_or_of_the_one_asked_for(tmp_path: Path) -> None:
    scores = tmp_path / "scores"
    scores.mkdir()
    write_clip(tmp_path / "ntsc.mp4", regular_times(30, Fraction(30000, 1001)), rate_hz=Fraction(30000, 1001))
    (tmp_path / "films.csv").write_text("film_id,path\none,ntsc.mp4\n")
    write_scores(scores, [curve_of("one", 30, 1)], [])
    arguments = ["--scores", str(scores), "--manifest", str(tmp_path / "films.csv")]
    assert main(arguments) == 0
    assert "FCM: DROP FRAME" in (scores / "report" / "markers" / "one.edl").read_text()
    assert main([*arguments, "--frame-rate", "23.976"]) == 0
    assert "FCM: NON-DROP FRAME" in (scores / "report" / "markers" / "one.edl").read_text()
