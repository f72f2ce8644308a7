"""The odd films of ../shared/data by the commands that people run, from extract to import-features: 30 core seconds."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines import extract, import_features, score
from beam_pipelines.commands import report
from beam_pipelines.contracts.records import records
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import describe_tracks
from beam_pipelines.report.scoring.thumbnails import Sprite
from tests.report.test_report_thumbnails import pictures
from tests.support.exported_models import write_model
from tests.support.report_runs import film_data

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("networks_kept")]

SECTION = {"modalities": ["audio"], "audio": {"weights": "untrained", "batch_size": 4}}
# Film -> seconds, the seconds that have sound, warnings.
RIGHT = {
    "commentary_first.mkv": (3, range(3), ["sound_track_chosen"]),
    "concatenated.ts": (10, range(10), ["clock_jumped"]),
    "cover_second_default.mkv": (10, range(0), []),
    "cut_between_key_frames.mkv": (10, range(10), []),
    "cut_with_old_statistics.mkv": (16, range(16), []),
    "half_of_a_film.mkv": (30, range(30), ["truncated"]),
    "jumps_ahead.ts": (10, range(10), ["clock_jumped"]),
    "jumps_back.ts": (10, range(10), ["clock_jumped"]),
    "picture_begins_3s_after_sound.mp4": (30, range(30), []),
    "six_mono_tracks.mov": (3, range(3), ["mono_tracks_mixed"]),
    "sound_begins_at_10s.ts": (16, range(10, 16), []),
    "two_sound_tracks_one_undecodable_both_default.mp4": (5, range(5), ["sound_not_decodable"]),
    "two_sound_tracks_undecodable_first.mp4": (5, range(5), ["sound_not_decodable"]),
}


@pytest.fixture(scope="module")
def place(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the records of all odd films, their scores and the page."""
    folder, odd = tmp_path_factory.mktemp("odd"), shared_data / "odd_films"
    sound = ["--set=modalities=[audio]", "--set=audio.weights=untrained", "--set=audio.batch_size=4"]
    assert extract.main(["--films", str(odd), "--output", str(folder / "features"), "--workers=1", *sound]) == 0
    descriptions = describe_tracks(ExtractConfig.model_validate(SECTION))
    write_model(folder / "exports", "1", dimensions={"audio": 128}, descriptions=descriptions)
    wanted = ["--records", str(folder / "features"), "--model", str(folder / "exports"), "--workers=1"]
    assert score.main([*wanted, "--output", str(folder / "scores"), "--set=plots=false"]) == 0
    shown = ["--scores", str(folder / "scores"), "--records", str(folder / "features"), "--thumbnails"]
    assert report.main(shown) == 0
    return folder


@pytest.mark.parametrize("name", sorted(RIGHT))
def test_length_sound_and_warnings_are_right(place: Path, name: str) -> None:
    record = records.read_record(str(place / "features" / f"{name}.tfrecord"))
    seconds, with_sound, codes = RIGHT[name]
    assert record.header.seconds == seconds
    assert np.flatnonzero(record.tracks["audio"].present[:, 0]).tolist() == list(with_sound)
    assert [warning.code for warning in record.header.warnings] == codes


def test_warnings_are_counted_and_files_passed_over_are_named(place: Path) -> None:
    manifest = json.loads((place / "features" / "run_manifest.json").read_text())
    counted = sorted(code for _, _, codes in RIGHT.values() for code in codes)
    assert manifest["warnings_by_code"] == {code: counted.count(code) for code in dict.fromkeys(counted)}
    assert manifest["passed_over_by_suffix"] == {".csv": 2, ".py": 1, ".sh": 2, ".txt": 1}


def test_the_page_shows_the_film_and_not_its_cover(place: Path) -> None:
    shown = place / "scores" / "report"
    made = film_data(shown, "cover_second_default.mkv")["sprite"]
    jpeg = (shown / made["source"]).read_bytes()
    sprite = Sprite(jpeg, made["count"], made["width"], made["height"], made["step"])
    # Each second of the film has a number of its own in black and white; the cover is one picture.
    assert len({(image > 128).tobytes() for image in pictures(sprite)}) == 10


def test_second_20_is_second_23_of_the_player(place: Path) -> None:
    name = "picture_begins_3s_after_sound.mp4"
    metadata = (place / "scores" / "report" / "markers" / f"{name}.metadata.vtt").read_text()
    shown = json.loads(metadata.split("00:00:23.000 --> 00:00:24.000\n")[1].splitlines()[0])
    row = list(csv.DictReader((place / "scores" / "curves" / f"{name}.csv").read_text().splitlines()))[20]
    assert shown == {target: pytest.approx(float(row[target]), abs=1e-4) for target in ("valence", "arousal")}


@pytest.mark.parametrize(
    ("name", "right"), [("rows_of_frames.csv", None), ("semicolons.csv", [[second / 10, 0.5] for second in range(8)])]
)
def test_tables_of_people(shared_data: Path, tmp_path: Path, name: str, right: list[list[float]] | None) -> None:
    table = shared_data / "odd_films" / name
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / name).write_bytes(table.read_bytes())
    wanted = ["--csv", str(tmp_path / "tables"), "--name", "mine", "--version", "1", "--rate", "25"]
    assert import_features.main([*wanted, "--output", str(tmp_path / "features")]) == 0
    track = records.read_record(str(tmp_path / "features" / f"{table.stem}.tfrecord")).tracks["mine"]
    if right is None:
        rows = np.genfromtxt(table, delimiter=",", skip_header=1)
        right = rows[:, [1, 3, 4]].reshape(8, 25, 3).mean(axis=1).tolist()
    assert track.present[:, 0].tolist() == [1] * 8
    np.testing.assert_allclose(track.values, right, atol=1e-6)
