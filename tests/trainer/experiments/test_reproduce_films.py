"""`cineaffect reproduce` from films alone: it extracts their features itself, once, and goes on with these."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from beam_pipelines.contracts.records.records import list_records, read_record
from beam_pipelines.demo.mediaeval import make_data_set, plan_films
from trainer.commands import reproduce

FILMS = ["MEDIAEVAL18_06", "MEDIAEVAL18_18", "MEDIAEVAL18_54"]
# Sound alone, by an untrained network: the way is that of all modalities.
JOBS = "extract: {modalities: [audio], audio: {weights: untrained}}\n"
RUN = (
    "train: {epochs: 1, batch_size: 64, stride_s: 4, smoothing_cutoffs_hz: [], "
    "model: {modalities: [audio], window_s: 3, encoder: {units: 2}}}\n"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two development films and a test film of some seconds, with labels, and nothing else of the layout."""
    root = tmp_path_factory.mktemp("films")
    make_data_set(root, plan_films(2, 1, 12, 7), videos=True, features=False, records=False)
    return root


def arguments(data: Path, output: Path) -> list[str]:
    runs, jobs = output.parent / "runs", output.parent / "jobs.yaml"
    runs.mkdir(exist_ok=True)
    (runs / "run1.yaml").write_text(RUN)
    jobs.write_text(JOBS)
    where = ["--data", str(data), "--output", str(output), "--runs", str(runs), "--config", str(jobs)]
    return [*where, "--validation-films", "1"]


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_films_alone_are_enough(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert reproduce.main(arguments(data, output)) == 0
    records = list_records(str(output / "features"))
    assert sorted(records) == FILMS
    assert list(read_record(records[FILMS[0]]).tracks) == ["audio"]
    content = json.loads((output / "table1.json").read_text())
    scored = {row["film_id"] for row in content["rows"] if (row["predictor"], row["scope"]) == ("run1", "film")}
    assert scored == {"MEDIAEVAL18_54"}
    assert content["untrained"] == ["audio"]


def test_without_films_it_names_the_command_that_makes_records(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without = tmp_path / "labels only"
    make_data_set(without, plan_films(2, 1, 12, 7), videos=False, features=False, records=False)
    assert reproduce.main(arguments(without, tmp_path / "out")) == 2
    message = capsys.readouterr().err
    assert "no MEDIAEVAL18_*.mp4 of MEDIAEVAL18_06, MEDIAEVAL18_18, MEDIAEVAL18_54" in message
    assert f"cineaffect import-features --mediaeval2018 {without} --output RECORDS" in message
    assert "--records RECORDS" in message


@pytest.mark.usefixtures("here")
def test_without_weights_it_names_the_command_that_fetches_them(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CINEAFFECT_WEIGHTS", str(tmp_path / "no weights"))
    given = arguments(data, tmp_path / "out")
    (tmp_path / "jobs.yaml").write_text("extract: {modalities: [audio]}\n")
    assert reproduce.main(given) == 2
    message = capfd.readouterr().err
    assert "to get them: cineaffect weights fetch vggish" in message
    assert "`cineaffect extract` ended with exit code 2" in message
