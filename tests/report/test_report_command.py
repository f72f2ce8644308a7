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
    assert b"isn't for" in (page / "responsible-use.txt").read_bytes()
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


def test_records_that_are_not_there_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_scores(tmp_path, [curve_of("one", 30, 1)], [])
    assert main(["--scores", str(tmp_path), "--records", str(tmp_path / "feature")]) == 2
    assert f"--records {tmp_path / 'feature'}: no such folder" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()


def test_a_run_that_did_not_finish_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--scores", str(tmp_path)]) == 2
    assert "run_manifest.json" in capsys.readouterr().err
    (tmp_path / "run_manifest.json").write_text(json.dumps({"job": "extract"}))
    assert main(["--scores", str(tmp_path)]) == 2
    assert "extract" in capsys.readouterr().err


def test_what_is_missing_of_a_film_is_said_on_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    assert "No labels" in notes[1]
    assert "bad.txt, line 2: it reads '0 one two'" in notes[1]
    why = notes[1].removeprefix("No labels: ")
    assert f"report: films whose labels aren't drawn: 1; the first, one: {why}\n" in capsys.readouterr().out


def test_labels_are_drawn_as_the_trainer_reads_them(tmp_path: Path) -> None:
    """Origin, layout and range are those of the section `train.labels`; without them the page says what is unclear."""
    scores = tmp_path / "scores"
    scores.mkdir()
    rows = "".join(f"{second}\t{second / 40}\t1\n" for second in range(10, 40))
    (tmp_path / "one.txt").write_text("Time\tValence\tArousal\n" + rows)
    for target in ("Valence", "Arousal"):
        (tmp_path / f"two_{target}.txt").write_text("Time\tMean\n" + "".join(f"{t}\t1\n" for t in range(1, 6)))
    (tmp_path / "films.csv").write_text("film_id,labels\none,one.txt\ntwo,two_Valence.txt\n")
    write_scores(scores, [curve_of("one", 40, 1), curve_of("two", 40, 2)], [])
    arguments = ["--scores", str(scores), "--manifest", str(tmp_path / "films.csv")]
    assert main(arguments) == 0
    assert "first_time_s" in film_data(scores / "report", "one")["notes"][-1]
    assert "labels" not in film_data(scores / "report", "one")

    def drawn(film: str, section: str) -> list[int]:
        (tmp_path / "train.yaml").write_text(f"train: {{epochs: 3, labels: {{minimum: 0, maximum: 5, {section}}}}}")
        assert main([*arguments, "--config", str(tmp_path / "train.yaml")]) == 0
        labels = film_data(scores / "report", film).get("labels", {"valence": []})
        return [second for second, value in enumerate(labels["valence"]) if value is not None]

    assert drawn("one", "first_time_s: 0") == list(range(10, 40))
    assert drawn("one", "first_time_s: 10") == list(range(30))
    assert drawn("one", "first_time_s: 100") == []
    assert "none of the 30 rows" in film_data(scores / "report", "one")["notes"][-1]
    assert drawn("two", "layout: liris_accede") == list(range(5))


def test_the_page_of_one_target_draws_the_labels_of_that_target_alone(tmp_path: Path, capsys) -> None:
    write_scores(tmp_path, [curve_of("one", 5, 1, targets=["arousal"])], [])
    (tmp_path / "one.csv").write_text("time_s,arousal\n" + "".join(f"{second},0.5\n" for second in range(5)))
    (tmp_path / "films.csv").write_text("film_id,labels\none,one.csv\n")
    config = tmp_path / "train.yaml"
    config.write_text("train: {labels: {layout: table}}")
    arguments = ["--scores", str(tmp_path), "--manifest", str(tmp_path / "films.csv"), "--config", str(config)]
    assert main(arguments) == 0
    assert film_data(tmp_path / "report", "one")["labels"] == {"arousal": [5000] * 5}
    config.write_text("train: {labels: {layout: table, targets: [valence]}}")
    assert main(arguments) == 2
    assert "train.labels.targets: is ['valence']" in capsys.readouterr().err


@pytest.mark.parametrize("section", ["{labels: {first: 0}}", "{labels: 3}"])
def test_a_section_of_labels_that_is_none_is_refused(tmp_path: Path, section: str, capsys) -> None:
    write_scores(tmp_path, [curve_of("one", 30, 1)], [])
    (tmp_path / "train.yaml").write_text(f"train: {section}")
    assert main(["--scores", str(tmp_path), "--config", str(tmp_path / "train.yaml")]) == 2
    assert "train.yaml: train.labels" in capsys.readouterr().err


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
