"""The score job on its real runner: curves, table, refusals, and what a second run does."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines import score
from beam_pipelines.commands import report
from beam_pipelines.contracts.curves.curve_table import shard_of
from beam_pipelines.contracts.curves.curves import COLUMNS, from_csv
from beam_pipelines.contracts.curves.done_marker import record_checksum
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig, smooth
from beam_pipelines.contracts.film_ids import escape_film_id
from beam_pipelines.contracts.records import records
from tests.support.exported_models import expected_raw, write_model
from tests.support.feature_records import make_film_record
from tests.support.score_runs import contents, read_table, run, write_films

REPOSITORY = Path(__file__).resolve().parents[2]
ODD_ID = escape_film_id("a'b\"c <x> é 電影")
SECONDS = {"plain": 70, "one-second": 1, "short": 9, ODD_ID: 25}


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    root = tmp_path_factory.mktemp("models") / "exports"
    write_model(root, "1")
    return root


@pytest.fixture
def features(tmp_path):
    write_films(tmp_path / "features", SECONDS)
    return tmp_path / "features"


@pytest.fixture(scope="module")
def undisturbed(exports, tmp_path_factory):
    """One run of the whole job, to look at and to compare with; with plots."""
    root = tmp_path_factory.mktemp("undisturbed")
    write_films(root / "features", SECONDS)
    code, manifest = run(root / "features", exports, root / "out", "--set", "plots=true")
    assert code == 0
    return root / "out", manifest


def failures(output):
    rows = [json.loads(line) for line in (output / "failures.jsonl").read_text().splitlines()]
    return {row["film_id"]: row for row in rows}


def test_each_film_has_its_curve_as_model_and_smoothing_give_it(undisturbed):
    output, _ = undisturbed
    smoothing = SmoothingConfig(order=2, cutoff_hz=0.08)
    for number, (film_id, seconds) in enumerate(SECONDS.items()):
        curve = from_csv((output / "curves" / f"{film_id}.csv").read_text(), film_id)
        raw = expected_raw(make_film_record(film_id, seconds, seed=number))
        assert curve.seconds == seconds
        for target in ("valence", "arousal"):
            np.testing.assert_allclose(getattr(curve, f"{target}_raw"), raw[target], atol=2e-6)
            np.testing.assert_allclose(getattr(curve, target), smooth(raw[target], smoothing), atol=2e-6)
        assert (output / "plots" / f"{film_id}.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_holds_the_same_numbers_as_the_csv_files(undisturbed):
    output, _ = undisturbed
    parts = {path.name for path in (output / "curves.parquet").iterdir()}
    assert parts == {f"part-{shard:05d}-of-00003.parquet" for shard in {0, *(shard_of(film, 3) for film in SECONDS)}}
    table = read_table(output)
    assert list(table) == ["film_id", "time_s", *COLUMNS]
    for film_id, seconds in SECONDS.items():
        rows = [row for row, other in enumerate(table["film_id"]) if other == film_id]
        assert [table["time_s"][row] for row in rows] == list(range(seconds))
        curve = from_csv((output / "curves" / f"{film_id}.csv").read_text(), film_id)
        for name in COLUMNS:
            assert [table[name][row] for row in rows] == getattr(curve, name).tolist()
    assert set(table["film_id"]) == set(SECONDS)


def test_the_manifest_says_what_was_scored_with_what(undisturbed):
    _, manifest = undisturbed
    assert manifest["films"] == {"in": 4, "done": 4, "skipped": 0, "failed": 0}
    assert manifest["model"]["version"] == "1"
    assert manifest["untrained"] == ["audio", "image"]
    assert manifest["smoothing"]["cutoff_hz"] == 0.08
    assert manifest["film_hours"]["done"] == pytest.approx(sum(SECONDS.values()) / 3600, abs=1e-6)


def test_the_manifest_says_where_the_time_went(undisturbed):
    output, manifest = undisturbed
    taken, seconds = manifest["time_by_stage"], sum(SECONDS.values())
    of_films = dict.fromkeys(("reading", "writing", "table", "plots"), 4)
    items = {name: each["items"] for name, each in taken.items()}
    assert items == {**of_films, "starting": 1, "model": seconds, "smoothing": seconds, "rest": 0}
    assert all(each["ms"] > 0 for each in taken.values())
    for name, folder in (("writing", "curves"), ("plots", "plots"), ("table", "curves.parquet")):
        assert taken[name]["bytes"] == sum(path.stat().st_size for path in (output / folder).iterdir()), name


def test_a_second_run_skips_everything_and_touches_nothing(exports, features, tmp_path, capsys):
    run(features, exports, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "curves").iterdir()}
    before |= {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "curves.parquet").iterdir()}
    old = contents(tmp_path / "out", ".csv", ".json", ".parquet")
    code, manifest = run(features, exports, tmp_path / "out")
    assert code == 0
    assert f"cineaffect report --scores {tmp_path / 'out'} --records {features}\n" in capsys.readouterr().out
    assert manifest["films"] == {"in": 4, "done": 0, "skipped": 4, "failed": 0}
    assert manifest["film_hours"]["skipped"] == pytest.approx(sum(SECONDS.values()) / 3600, abs=1e-6)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    new = contents(tmp_path / "out", ".csv", ".json", ".parquet")
    del old["run_manifest.json"], new["run_manifest.json"]
    assert new == old


def test_a_changed_record_and_a_new_one_are_scored_again(exports, features, tmp_path):
    run(features, exports, tmp_path / "out")
    records.write_record(make_film_record("short", 9, seed=77), records.record_uri(str(features), "short"))
    records.write_record(make_film_record("new", 12, seed=78), records.record_uri(str(features), "new"))
    code, manifest = run(features, exports, tmp_path / "out")
    assert code == 0
    assert manifest["films"] == {"in": 5, "done": 2, "skipped": 3, "failed": 0}
    run(features, exports, tmp_path / "fresh")
    assert contents(tmp_path / "out", ".csv", ".parquet") == contents(tmp_path / "fresh", ".csv", ".parquet")


def test_another_model_or_smoothing_scores_all_films_again(features, tmp_path):
    write_model(tmp_path / "exports", "1")
    run(features, tmp_path / "exports", tmp_path / "out")
    write_model(tmp_path / "exports", "2", gain=0.5)
    _, manifest = run(features, tmp_path / "exports", tmp_path / "out")
    assert manifest["films"]["done"] == 4
    assert manifest["model"]["version"] == "2"
    raw = expected_raw(make_film_record("plain", 70, seed=0), gain=0.5)
    curve = from_csv((tmp_path / "out" / "curves" / "plain.csv").read_text(), "plain")
    np.testing.assert_allclose(curve.valence_raw, raw["valence"], atol=2e-6)
    _, manifest = run(features, tmp_path / "exports", tmp_path / "out", "--set", "smoothing.method=none")
    assert manifest["films"]["done"] == 4
    assert manifest["smoothing"]["method"] == "none"
    curve = from_csv((tmp_path / "out" / "curves" / "plain.csv").read_text(), "plain")
    np.testing.assert_array_equal(curve.valence, curve.valence_raw)


@pytest.mark.parametrize("lost", ["csv", "done marker", "part", "manifest", "all done markers"])
def test_a_run_that_was_cut_off_ends_as_an_undisturbed_one(undisturbed, exports, features, tmp_path, lost):
    output = tmp_path / "out"
    shutil.copytree(undisturbed[0], output)
    (output / "run_manifest.json").unlink()
    (output / "curves" / ".0123.partial").write_bytes(b"half a file")
    gone = {
        "csv": [output / "curves" / "plain.csv"],
        "done marker": [output / "curves" / f"{ODD_ID}.json"],
        "part": [output / "curves.parquet" / "part-00001-of-00003.parquet", output / "plots" / "short.png"],
        "manifest": [output / "failures.jsonl"],
        "all done markers": list((output / "curves").glob("*.json")),
    }[lost]
    for path in gone:
        path.unlink()
    code, manifest = run(features, exports, output, "--set", "plots=true")
    assert code == 0
    again = {"csv": 1, "done marker": 1, "part": 1, "manifest": 0, "all done markers": 4}[lost]
    assert manifest["films"] == {"in": 4, "done": again, "skipped": 4 - again, "failed": 0}
    (output / "curves" / ".0123.partial").unlink()
    expected, found = contents(undisturbed[0]), contents(output)
    del expected["run_manifest.json"], found["run_manifest.json"]  # counts what was skipped
    assert found == expected


def test_a_run_with_another_model_that_was_cut_off_leaves_no_film_of_the_first(
    exports, features, tmp_path, monkeypatch
):
    """Scored with model 1, then cut off in the middle of model 2's writes, then scored with model 1 again."""
    output = tmp_path / "out"
    run(features, exports, output)
    expected = contents(output, ".csv", ".parquet")
    write_model(tmp_path / "exports", "2", gain=0.7)
    write = score.CurveFiles.write_film

    def cut_off(files, marker, curve):
        write(replace(files, output=str(tmp_path / "elsewhere")), marker, curve)
        (output / "curves" / f"{curve.film_id}.json").unlink()
        shutil.copy(tmp_path / "elsewhere" / "curves" / f"{curve.film_id}.csv", output / "curves")
        raise KeyboardInterrupt

    monkeypatch.setattr(score.CurveFiles, "write_film", cut_off)
    with pytest.raises(BaseException):  # noqa: B017, PT011 - how an interrupt comes out is the runner's affair
        run(features, tmp_path / "exports", output)
    monkeypatch.undo()
    assert not (output / "run_manifest.json").exists()
    assert contents(output, ".csv") != {name: text for name, text in expected.items() if name.endswith(".csv")}
    code, _ = run(features, exports, output)
    assert code == 0
    assert contents(output, ".csv", ".parquet") == expected


def test_films_that_do_not_fit_are_refused_and_the_others_done(exports, features, tmp_path):
    record = make_film_record("other-sound", 8, seed=3)
    other = replace(record.tracks["audio"], description={"network": "another"})
    records.write_record(
        records.make_record(record.header, {**record.tracks, "audio": other}),
        records.record_uri(str(features), "other-sound"),
    )
    silent = make_film_record("no-sound", 8, {"image": 16})
    records.write_record(silent, records.record_uri(str(features), "no-sound"))
    damaged = bytearray((features / "plain.tfrecord").read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    (features / "damaged.tfrecord").write_bytes(damaged)
    (features / "cut.tfrecord").write_bytes(bytes(damaged[:1000]))
    (features / "empty.tfrecord").write_bytes(b"")
    (features / "text.tfrecord").write_text("this is not a record, but it has more than sixteen bytes")
    code, manifest = run(features, exports, tmp_path / "out", "--set", "failure_threshold=0.7")
    assert code == 3
    assert manifest["films"] == {"in": 10, "done": 4, "skipped": 0, "failed": 6}
    assert manifest["failed_by_reason"] == {"fingerprint_mismatch": 1, "missing_modality": 1, "unreadable_record": 4}
    rows = failures(tmp_path / "out")
    for part in ("audio", other.fingerprint, record.tracks["audio"].fingerprint):
        assert part in rows["other-sound"]["detail"]
    assert rows["cut"]["step"] == "score"
    assert "cut.tfrecord" in rows["cut"]["detail"]
    assert set(read_table(tmp_path / "out")["film_id"]) == set(SECONDS)
    assert {path.stem for path in (tmp_path / "out" / "curves").glob("*.csv")} == set(SECONDS)
    code, _ = run(features, exports, tmp_path / "out", "--set", "failure_threshold=0.5")
    assert code == 4


def test_no_good_film_at_all(exports, tmp_path):
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "bad.tfrecord").write_bytes(b"")
    code, manifest = run(tmp_path / "features", exports, tmp_path / "out")
    assert code == 4
    assert manifest["films"] == {"in": 1, "done": 0, "skipped": 0, "failed": 1}
    assert read_table(tmp_path / "out")["film_id"] == []
    assert failures(tmp_path / "out")["bad"]["reason"] == "unreadable_record"


def test_features_that_are_not_numbers(exports, tmp_path):
    some, none = make_film_record("some", 40, seed=5), make_film_record("none", 40, seed=6)
    some.tracks["image"].values[10:13] = np.nan
    none.tracks["image"].values[:] = np.nan
    for record in (some, none):
        records.write_record(record, records.record_uri(str(tmp_path / "features"), record.header.film_id))
    code, manifest = run(tmp_path / "features", exports, tmp_path / "out")
    assert code == 3
    assert manifest["failed_by_reason"] == {"no_finite_value": 1}
    curve = from_csv((tmp_path / "out" / "curves" / "some.csv").read_text(), "some")
    assert np.flatnonzero(np.isnan(curve.valence_raw)).tolist() == [10, 11, 12]
    assert np.isfinite(curve.valence).all()
    assert json.loads((tmp_path / "out" / "curves" / "some.json").read_text())["seconds_without_value"] == 3
    assert read_table(tmp_path / "out")["valence_raw"].count(None) == 3


def test_without_csv_files_the_table_remembers(undisturbed, exports, features, tmp_path):
    output = tmp_path / "out"
    off = ("--set", "csv=false")
    code, manifest = run(features, exports, output, *off)
    assert code == 0
    assert not (output / "curves").exists()
    assert contents(output, ".parquet") == contents(undisturbed[0], ".parquet")

    _, manifest = run(features, exports, output, *off)
    assert manifest["films"]["skipped"] == 4
    assert contents(output, ".parquet") == contents(undisturbed[0], ".parquet")

    (output / "curves.parquet" / "part-00000-of-00003.parquet").unlink()
    lost = sum(shard_of(film, 3) == 0 for film in SECONDS)
    _, manifest = run(features, exports, output, *off)
    assert manifest["films"]["done"] == lost
    assert contents(output, ".parquet") == contents(undisturbed[0], ".parquet")

    # Another number of parts: taken over from the old ones without scoring, and these are removed.
    _, manifest = run(features, exports, output, *off, "--set", "shards=2")
    assert manifest["films"]["skipped"] == 4
    assert [path.name for path in sorted((output / "curves.parquet").iterdir())] == [
        "part-00000-of-00002.parquet",
        "part-00001-of-00002.parquet",
    ]
    run(features, exports, tmp_path / "fresh", "--set", "shards=2")
    assert contents(output, ".parquet") == contents(tmp_path / "fresh", ".parquet")


def test_a_manifest_chooses_films_and_names_those_without_a_record(exports, features, tmp_path):
    manifest_csv = tmp_path / "films.csv"
    manifest_csv.write_text(
        "film_id,path,split\nplain,p.mp4,test\nshort,s.mp4,train\nnever-extracted,n.mp4,test\n", encoding="utf-8"
    )
    code, manifest = run(features, exports, tmp_path / "out", "--manifest", str(manifest_csv), "--splits", "test")
    assert code == 3
    assert manifest["films"] == {"in": 2, "done": 1, "skipped": 0, "failed": 1}
    assert failures(tmp_path / "out")["never-extracted"]["reason"] == "no_record"
    assert failures(tmp_path / "out")["never-extracted"]["source_uri"] == str(tmp_path / "n.mp4")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--records", "{features}", "--model", "{tmp}/absent"], "no exported model"),
        (["--records", "{tmp}/absent", "--model", "{exports}"], "holds no feature records"),
        (["--records", "{features}", "--model", "{exports}", "--splits", "test"], "--manifest"),
        (["--records", "{features}", "--model", "{exports}", "--set", "plot=false"], "did you mean 'plots'"),
        (["--films", "{tmp}/absent", "--model", "{exports}"], "absent: no such folder or file"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(exports, features, tmp_path, capsys, arguments, says):
    places = {"features": features, "tmp": tmp_path, "exports": exports}
    code = score.main([text.format(**places) for text in arguments] + ["--output", str(tmp_path / "out")])
    assert code == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_records_checksum_changes_with_its_content_only(tmp_path):
    first, second = str(tmp_path / "1.tfrecord"), str(tmp_path / "2.tfrecord")
    record = make_film_record(seconds=30)
    for uri in (first, second):
        records.write_record(record, uri)
    assert record_checksum(first) == record_checksum(second)
    record.tracks["audio"].values[29, 7] += np.float32(1e-6)
    records.write_record(record, second)
    assert record_checksum(first) != record_checksum(second)
    Path(second).write_bytes(Path(first).read_bytes()[:-1])
    assert record_checksum(first) != record_checksum(second)
    with pytest.raises(FileNotFoundError):
        record_checksum(str(tmp_path / "absent"))


def test_the_job_knows_nothing_of_the_trainer():
    program = (
        "import sys; import beam_pipelines.score, beam_pipelines.contracts.models.exported_model; "
        "import beam_pipelines.scoring.curve_files; "
        "print([name for name in sys.modules if name.split('.')[0] in ('trainer', 'keras', 'tensorflow')])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_model_of_one_target_leaves_nothing_of_the_other(tmp_path):
    """Neither a column nor a marker, a curve on the page or a made-up zero."""
    model = write_model(tmp_path / "exports", "1", targets=["arousal"])
    write_films(tmp_path / "features", {"one": 60})
    output = tmp_path / "out"
    code, manifest = run(tmp_path / "features", model, output, "--set", "plots=true")
    assert (code, manifest["model"]["targets"]) == (0, ["arousal"])
    assert (output / "curves" / "one.csv").read_text().splitlines()[0] == "time_s,arousal,arousal_raw"
    assert list(read_table(output)) == ["film_id", "time_s", "arousal", "arousal_raw"]
    assert (output / "plots" / "one.png").read_bytes().startswith(b"\x89PNG")
    expected = expected_raw(make_film_record("one", 60, seed=0))["arousal"]
    np.testing.assert_allclose(read_table(output)["arousal_raw"], expected, atol=2e-6)
    assert report.main(["--scores", str(output), "--records", str(tmp_path / "features")]) == 0
    shown = contents(output / "report")
    assert [name for name, content in shown.items() if b"valence" in content and not name.startswith("assets/")] == [
        "data/run.js",  # which says why
        "index.html",
    ]
    assert b"There is no valence: the model predicts arousal only." in shown["data/run.js"]
    run(tmp_path / "features", model, output, "--set", "plots=true")
    assert list(read_table(output)) == ["film_id", "time_s", "arousal", "arousal_raw"]


@pytest.mark.parametrize("targets", [["joy"], [], ["arousal", "arousal"]])
def test_a_card_of_other_targets_is_refused(tmp_path, targets, capsys):
    model = write_model(tmp_path / "exports", "1")
    card = json.loads((model / "model_card.json").read_text())
    (model / "model_card.json").write_text(json.dumps({**card, "targets": targets}))
    write_films(tmp_path / "features", {"one": 3})
    assert run(tmp_path / "features", model, tmp_path / "out")[0] == 2
    assert "model_card.json" in capsys.readouterr().err
