"""`cineaffect import-features`: the organisers' layout with its defects, a user's own CSV files, training."""

from __future__ import annotations

import csv
import hashlib
import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines import import_features, prepare, score
from beam_pipelines.contracts.records import records
from beam_pipelines.demo.mediaeval import make_data_set, plan_films
from beam_pipelines.films.mediaeval2018 import KINDS, film_name, film_path, label_path, visual_path
from beam_pipelines.media.probe import probe_film
from tests.support.feature_records import make_film_record
from tests.support.synthetic_clips import regular_times, write_clip
from trainer.commands import train as task

FILMS = plan_films(films=6, test_films=1, seconds=30, seed=7)
SECONDS = {film.film_id: film.seconds for film in FILMS}


def run(*arguments: object) -> int:
    return import_features.main([*map(str, arguments), "--workers", "1"])


def read_defects(folder: Path) -> dict[tuple[str, str], dict[str, int]]:
    """(film, kind) -> seconds, present and the defects that were met."""
    rows = csv.DictReader((folder / "defects.csv").open(newline=""))
    return {
        (row.pop("film_id"), row.pop("kind")): {name: int(count) for name, count in row.items() if int(count)}
        for row in rows
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in the organisers' layout, with the real one's known defects, one film of it there as a film."""
    folder = tmp_path_factory.mktemp("mediaeval")
    make_data_set(folder, FILMS, videos=False, features=True, records=False)
    return folder


@pytest.fixture(scope="module")
def imported(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("features")
    assert run("--mediaeval2018", data, "--output", output) == 0
    return output


def test_every_kind_of_every_film_comes_with_its_values(data: Path, imported: Path) -> None:
    assert list(records.list_records(str(imported))) == sorted(SECONDS)
    for film_id, seconds in SECONDS.items():
        record = records.read_record(records.record_uri(str(imported), film_id))
        assert record.header.seconds == seconds
        assert {m: track.values.shape[1] for m, track in record.tracks.items()} == dict(KINDS)
    record = records.read_record(records.record_uri(str(imported), film_name(6)))
    text = (data / visual_path(6, 3, "tamura", "_")).read_text()
    np.testing.assert_array_equal(record.tracks["tamura"].values[2], np.array(text.split(","), np.float32))


def test_the_known_defects_are_absent_seconds_and_rows_of_the_table(imported: Path) -> None:
    defects = read_defects(imported / "import-mediaeval2018")
    assert len(defects) == len(FILMS) * (len(KINDS) + 1)
    t06, t18, t27, t46 = (SECONDS[film_name(number)] for number in (6, 18, 27, 46))
    lacking = t18 - t18 * 2 // 3
    for kind in ("fc6", "jcd"):
        assert defects[film_name(18), kind] == {"seconds": t18, "present": t18 - lacking, "short_by": lacking}
    assert defects[film_name(27), "cl"] == {"seconds": t27, "present": t27 - 1, "empty": 1}
    assert defects[film_name(6), "emobase2010"] == {"seconds": t06, "present": t06 - 1, "absent": 1, "copied": 2}
    assert defects[film_name(46), "labels"] == {"seconds": t46, "present": 2, "short_by": t46 - 2}
    clean = {key for key, row in defects.items() if set(row) == {"seconds", "present"}}
    assert len(defects) - len(clean) == 4 + len(FILMS)  # the copies are in every film
    track = records.read_record(records.record_uri(str(imported), film_name(27))).tracks["cl"]
    np.testing.assert_array_equal(np.flatnonzero(track.present[:, 0] == 0), [5])
    assert not track.values[5].any()
    assert track.values[4].any()


def test_a_second_run_does_only_what_has_changed(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ("--mediaeval2018", data, "--kinds", "cl,sc", "--output", tmp_path)
    assert run(*wanted) == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert run(*wanted) == 0
    assert f"0 done, {len(FILMS)} already done, 0 failed" in capsys.readouterr().out
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {p: c for p, c in before.items() if p.name != "run_manifest.json"} == {
        p: c for p, c in after.items() if p.name != "run_manifest.json"
    }
    path = data / visual_path(27, 6, "cl", "-")
    path.write_text(",".join(["0.5"] * 33) + "\n")
    try:
        assert run(*wanted) == 0
    finally:
        path.write_text("")
    assert f"1 done, {len(FILMS) - 1} already done, 0 failed" in capsys.readouterr().out
    assert records.read_record(records.record_uri(str(tmp_path), film_name(27))).tracks["cl"].present.all()


@pytest.mark.slow  # each of the four jobs has quick tests
def test_from_the_organisers_features_to_curves(data: Path, tmp_path: Path) -> None:
    features, manifest = tmp_path / "features", tmp_path / "films.csv"
    kinds = "cl,tamura"
    assert run("--mediaeval2018", data, "--kinds", kinds, "--output", features) == 0
    splits = ["train"] * 5 + ["validation", "test"]
    rows = [
        f"{film.film_id},{film_path(film.index)},{split},{data / label_path(film.index)}"
        for film, split in zip(FILMS, splits, strict=True)
    ]
    manifest.write_text("\n".join(["film_id,path,split,labels", *rows, ""]))
    transform, trained, scored = (str(tmp_path / name) for name in ("transform", "run", "scores"))
    where = ["--records", str(features), "--manifest", str(manifest)]
    assert prepare.main([*where, "--output", transform]) == 0
    settings = ["epochs=1", "batch_size=64", "model.window_s=4", "model.encoder.units=4", f"model.modalities=[{kinds}]"]
    settings += ["ridge=null"]
    keys = [argument for setting in settings for argument in ("--set", setting)]
    assert task.main([*where, "--transform", transform, "--output", trained, *keys]) == 0
    model = ["--model", f"{trained}/exports", "--output", scored, "--workers", "1", "--set", "plots=false"]
    assert score.main([*where, "--splits", "test", *model]) == 0
    test_film = FILMS[-1]
    curve = list(csv.DictReader((tmp_path / "scores" / "curves" / f"{test_film.film_id}.csv").open()))
    assert len(curve) == test_film.seconds
    assert all(-1 <= float(row["valence"]) <= 1 for row in curve)


def test_features_of_one_s_own_join_a_record_and_keep_its_length(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    features = tmp_path / "features"
    record = make_film_record("a.mp4", 5, seed=1)
    records.write_record(record, records.record_uri(str(features), "a.mp4"))
    (tmp_path / "mine" / "a.mp4.csv").write_text("x,y\n" + "".join(f"{t},{t + 0.5}\n" for t in range(7)))
    (tmp_path / "mine" / "b.csv").write_text("time_s,x,y\n1,3,4\n")
    (tmp_path / "mine" / "c.csv").write_text("y,x\n1,2\n")
    (tmp_path / "mine" / "d.csv").write_text("x,y\n1\n")
    mine = ("--csv", tmp_path / "mine", "--name", "my_own", "--output", features)
    assert run(*mine, "--version", "1") == 3
    folder = features / "import-my_own"
    failed = {row["film_id"]: row["reason"] for row in map(json.loads, (folder / "failures.jsonl").open())}
    assert failed == {"c": "other_columns", "d": "unreadable"}
    a, b = (records.read_record(records.record_uri(str(features), name)) for name in ("a.mp4", "b"))
    assert set(a.tracks) == {*record.tracks, "my_own"}
    np.testing.assert_array_equal(a.tracks["my_own"].values, [[t, t + 0.5] for t in range(5)])
    for modality, track in record.tracks.items():
        np.testing.assert_array_equal(a.tracks[modality].values, track.values)
    assert a.header.source_sha256 == record.header.source_sha256
    np.testing.assert_array_equal(b.tracks["my_own"].present[:, 0], [0, 1])
    assert read_defects(folder)["a.mp4", "my_own"] == {"seconds": 5, "present": 5, "beyond": 2}
    fingerprint = b.tracks["my_own"].fingerprint
    assert fingerprint == a.tracks["my_own"].fingerprint
    assert run(*mine, "--version", "2") == 3
    again = records.read_record(records.record_uri(str(features), "b"))
    assert again.tracks["my_own"].fingerprint != fingerprint


def test_tables_of_frames_and_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A manifest without paths names the films; a rate turns frames into seconds; a table without numbers fails."""
    mine, features = tmp_path / "mine", tmp_path / "f"
    mine.mkdir()
    frames = "".join(f"{frame};{frame // 25},5\n" for frame in range(75))
    for name in ("Café", "a:b", "frames", "two\u2028lines"):
        (mine / f"{unicodedata.normalize('NFD', name)}.csv").write_text(f"Frame;x\n{frames}", encoding="utf-8-sig")
    (mine / "nothing.tsv").write_text("Frame\tx\n0\tyes\n1\tno\n")
    for film_id, seconds in (("frames", 3), ("short", 1)):
        records.write_record(make_film_record(film_id, seconds, seed=1), records.record_uri(str(features), film_id))
    (mine / "short.csv").write_text("x\n" + "1\n" * 200)
    (tmp_path / "films.csv").write_text("film_id;split\nCafé;train\n")
    wanted = (
        "--csv",
        mine,
        "--name",
        "my_own",
        "--version",
        "1",
        "--films",
        tmp_path / "films.csv",
        "--output",
        features,
    )
    assert run(*wanted, "--rate", "25", "--failure-threshold", "1") == 3
    failed = {row["film_id"]: row for row in map(json.loads, (features / "import-my_own" / "failures.jsonl").open())}
    assert {film_id: row["reason"] for film_id, row in failed.items()} == {"nothing": "no_values"}
    assert "3 done" not in capsys.readouterr().out
    for film_id in ("Café", "a%3Ab", "frames", "two\u2028lines"):
        track = records.read_record(records.record_uri(str(features), film_id)).tracks["my_own"]
        np.testing.assert_array_equal(track.values, [[0.5], [1.5], [2.5]])
    assert run(*wanted, "--failure-threshold", "1") == 3
    failed = {row["film_id"]: row for row in map(json.loads, (features / "import-my_own" / "failures.jsonl").open())}
    assert failed["short"]["reason"] == "too_long"
    assert "name the frames' rate" in failed["frames"]["detail"]


def test_where_the_film_is_at_hand_the_record_is_of_the_film(tmp_path: Path) -> None:
    clip = tmp_path / "films" / "a.mp4"
    clip.parent.mkdir()
    write_clip(clip, regular_times(90, 25))
    (tmp_path / "a.mp4.csv").write_text("x\n1\n2\n")
    assert run("--csv", tmp_path / "*.csv", "--films", clip.parent, "--name", "my_own", "--version", "1",
               "--output", tmp_path / "f") == 0  # fmt: skip
    record, probe = records.read_record(records.record_uri(str(tmp_path / "f"), "a.mp4")), probe_film(clip)
    assert (record.header.source_uri, record.header.seconds) == (str(clip), probe.seconds)
    assert record.header.source_sha256 == hashlib.sha256(clip.read_bytes()).hexdigest()
    np.testing.assert_array_equal(record.tracks["my_own"].present[:, 0], np.arange(probe.seconds) < 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--csv", ".", "--name", "Face", "--version", "1"), "--name 'Face'"),
        (("--csv", ".", "--name", "face", "--version", "1"), "is none of image, audio, face"),
        (("--csv", ".", "--name", "mine"), "--version: needed"),
        (("--csv", "nowhere", "--name", "mine", "--version", "1"), "nowhere: holds no .csv"),
        (("--mediaeval2018", "nowhere"), "MEDIAEVAL18-DevSet-Part1-Audio_features"),
        (("--mediaeval2018", ".", "--kinds", "fc7"), "unknown kind 'fc7'; did you mean 'fc6'"),
        (("--mediaeval2018", ".", "--name", "mine"), "--name goes with --csv"),
        (("--mediaeval2018", ".", "--rate", "25"), "--rate goes with --csv"),
    ],
)
def test_refusals(
    arguments: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments, "--output", tmp_path / "features") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "features").exists()
