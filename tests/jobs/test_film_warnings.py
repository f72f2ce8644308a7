"""Warnings on their way: from half a film to its record, the terminal, both manifests, the dry run and the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from beam_pipelines import extract, score
from beam_pipelines.commands import report
from beam_pipelines.contracts.records import records
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import describe_tracks
from tests.support.exported_models import write_model
from tests.support.report_runs import film_data, rows_of
from tests.support.synthetic_clips import regular_times, write_clip

pytestmark = pytest.mark.usefixtures("networks_kept")

SOUND = ["--workers=1", "--set=modalities=[audio]", "--set=audio.weights=untrained", "--set=audio.batch_size=4"]


def run(folder: Path, *arguments: str) -> int:
    return extract.main(["--films", str(folder / "films"), "--output", str(folder / "features"), *SOUND, *arguments])


def manifest(folder: Path) -> dict:
    return json.loads((folder / "run_manifest.json").read_text())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder of a whole film, half a film, and two files that are none."""
    films = tmp_path / "films"
    films.mkdir()
    write_clip(films / "whole.mp4", regular_times(25, 25))
    content = write_clip(tmp_path / "long.mkv", regular_times(150, 25)).read_bytes()
    (films / "half.mkv").write_bytes(content[: len(content) // 2])
    (films / "half.srt").touch()
    (films / "README").touch()
    return tmp_path


def test_half_a_film_is_done_and_everybody_is_told(place, capsys):
    assert run(place, "--dry-run") == 0
    printed = capsys.readouterr().out
    assert "1 film has warnings: " in printed
    assert "\n  half.mkv: the pictures end " in printed
    assert "2 files were passed over for their suffix: none 1, .srt 1" in printed

    assert run(place) == 0
    printed = capsys.readouterr().out
    header = records.read_header(str(place / "features" / "half.mkv.tfrecord"))
    (truncated,) = [each for each in header.warnings if each.code == "truncated"]
    assert truncated.number == pytest.approx(6 - header.duration_us / 1e6, abs=0.1)
    codes = [each.code for each in header.warnings]
    counts = ", ".join(f"{code} 1" for code in sorted(codes))
    assert f"1 film has warnings: {counts}\n  half.mkv: {truncated.sentence} (truncated)\n" in printed
    assert "2 files were passed over for their suffix" in printed
    extracted = manifest(place / "features")
    assert extracted["films"] == {"in": 2, "done": 2, "skipped": 0, "failed": 0}
    assert (extracted["films_with_warnings"], extracted["warnings_by_code"]) == (1, dict.fromkeys(codes, 1))
    assert extracted["passed_over_by_suffix"] == {"": 1, ".srt": 1}
    listed = [json.loads(line) for line in (place / "features" / "warnings.jsonl").read_text().splitlines()]
    assert [(row["film_id"], row["code"]) for row in listed] == [("half.mkv", code) for code in codes]

    assert run(place) == 0  # films done before have them too
    assert manifest(place / "features")["films"]["skipped"] == 2
    assert manifest(place / "features")["warnings_by_code"] == extracted["warnings_by_code"]

    # Somebody else has only the records, and scores them twice.
    config = ExtractConfig.model_validate({"modalities": ["audio"], "audio": {"weights": "untrained"}})
    write_model(place / "exports", "1", dimensions={"audio": 128}, descriptions=describe_tracks(config))
    arguments = ["--records", str(place / "features"), "--model", str(place / "exports"), "--workers=1"]
    for status in ("done", "skipped"):
        capsys.readouterr()
        assert score.main([*arguments, "--output", str(place / "scores"), "--set=plots=false"]) == 0
        assert manifest(place / "scores")["films"][status] == 2
        assert manifest(place / "scores")["warnings_by_code"] == extracted["warnings_by_code"]
        assert f"half.mkv: {truncated.sentence}" in capsys.readouterr().out
    assert report.main(["--scores", str(place / "scores")]) == 0
    page = place / "scores" / "report"
    assert {row["name"]: row.get("warnings") for row in rows_of(page)} == {"half.mkv": codes, "whole.mp4": None}
    assert film_data(page, "half.mkv")["warnings"][0] == ["truncated", truncated.number, truncated.sentence]
    assert film_data(page, "whole.mp4")["warnings"] == []


def test_a_refused_warning_is_a_failure_also_of_a_film_that_was_done(place, capsys):
    refused = "--set=refuse=[frozen,truncated]"
    assert run(place, "--dry-run", refused) == 3
    assert "would fail (truncated)" in capsys.readouterr().out
    for before in ("new", "done"):
        if before == "done":
            assert run(place, "--retry-failed") == 0
        assert run(place, refused) == 3
        failure = json.loads((place / "features" / "failures.jsonl").read_text())
        assert (failure["film_id"], failure["step"], failure["reason"]) == ("half.mkv", "refuse", "truncated")
        assert "films/half.mkv: the pictures end" in failure["detail"]
        assert failure["detail"].endswith("(extract.refuse names truncated)")
        assert manifest(place / "features")["films_with_warnings"] == 0
    assert run(place) == 0  # what is no longer refused is tried again by itself


def test_a_code_that_no_warning_has_is_refused_by_name(place, capsys):
    assert run(place, "--set=refuse=[truncatd]") == 2
    assert "no warning has the code 'truncatd'; did you mean 'truncated'?" in capsys.readouterr().err
