"""`cineaffect retrain` with real jobs on synthetic records: promote, refuse, return, kill, two at once.

The jobs run in the test's process, and as processes where one is killed and in `test_from_films_to_the_first_model`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import yaml

from beam_pipelines.contracts.models.current_version import read_current
from beam_pipelines.contracts.models.exported_model import find_model
from beam_pipelines.contracts.records import records
from beam_pipelines.contracts.runs import FAILED, FilmOutcome
from beam_pipelines.contracts.summed_outcomes import sum_up, summarise, write_report
from beam_pipelines.foundation.configuration import load_section
from beam_pipelines.foundation.errors import EXIT_HELD, ConfigurationError
from tests.support.commands_in_process import commands_in_this_process
from tests.support.exported_models import write_model
from tests.support.synthetic_clips import Sound, regular_times, write_clip
from tests.support.synthetic_films import REPOSITORY, description, write_film, write_labels
from trainer.commands import retrain, rollback
from trainer.foundation.config import TrainConfig
from trainer.foundation.run_lock import HeldError, only_run
from trainer.retraining.config import RetrainConfig
from trainer.retraining.films import read_round_films, round_digest
from trainer.retraining.round import Round
from trainer.retraining.stages import Stages

SPLITS = {"train": 4, "validation": 1, "test": 5}
EPOCHS = 12
WITHOUT_DROPOUT = {"dropout": 0.0, "feature_dropout": 0.0, "modality_dropout": 0.0}
TRAIN = {
    "epochs": EPOCHS,
    "patience": 0,
    "ridge": None,  # the choice between the two models is tested in `test_challenger`
    "batch_size": 64,
    "learning_rate": 0.01,
    "smoothing_cutoffs_hz": [0.05, 0.12],
    "model": {"modalities": ["image", "audio"], "window_s": 8, "encoder": {"units": 8}, **WITHOUT_DROPOUT},
}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten films, half of them held out."""
    root = tmp_path_factory.mktemp("films")
    splits = [split for split, count in SPLITS.items() for _ in range(count)]
    rows = [f"film{seed},film{seed}.mp4,{split},labels/film{seed}.txt" for seed, split in enumerate(splits)]
    for seed in range(len(splits)):
        write_film(root, f"film{seed}", seed)
    (root / "films.csv").write_text("\n".join(["film_id,path,split,labels", *rows, ""]))
    return root


def configure(films: Path, root: Path, keys: dict[str, object] | None = None, **train: object) -> str:
    """A configuration whose output is `root/out`, with further keys of the sections retrain and train."""
    section = {"manifest": str(films / "films.csv"), "records": str(films / "features"), "output": str(root / "out")}
    section |= {"least_films": 3}  # a round on the default's eight would cost more and test nothing else
    path = root / "retrain.yaml"
    content = {"retrain": {**section, "extract": False, **(keys or {})}, "train": {**TRAIN, **train}}
    content["score"] = {"explain": "modalities"}  # which the champions here can't, and a round doesn't ask for
    path.write_text(yaml.safe_dump(content))
    return str(path)


def reopen(films: Path, before: Path, root: Path, keys: dict[str, object], **train: object) -> str:
    """A copy of `before`'s only round, trained and scored but undecided, under a configuration with other `keys`."""
    shutil.copytree(before / "out" / "rounds", root / "out" / "rounds")
    config = configure(films, root, keys, **train)
    (found,) = (root / "out" / "rounds").iterdir()
    (found / "report.json").unlink()
    found.rename(round_directory(config))
    return config


def round_directory(config: str) -> Path:
    """Where the round of a configuration has what it makes."""
    section = load_section("retrain", RetrainConfig, config)
    digest = round_digest(config, section, read_round_films(section, load_section("train", TrainConfig, config)))
    return Path(section.output) / "rounds" / digest[:16]


def write_champion(root: Path, **descriptions: object) -> Path:
    """Version 1, in use, which answers much too strongly; returns the directory of exports."""
    exports = root / "out" / "exports"
    made = {modality: description(modality) for modality in ("image", "audio")} | descriptions
    write_model(exports, "1", gain=3.0, dimensions={"image": 12, "audio": 5}, descriptions=made)
    (exports / "current").write_text("1\n")
    return exports


def read_reports(root: Path) -> list[dict]:
    found = sorted((root / "out" / "rounds").glob("*/report.json"), key=lambda path: path.stat().st_mtime_ns)
    return [json.loads(path.read_text()) for path in found]


def read_card(model: Path) -> dict:
    return json.loads((model / "model_card.json").read_text())


@pytest.fixture(scope="module")
def replaced(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which an undisturbed round has found a bad champion and a better challenger."""
    root = tmp_path_factory.mktemp("replaced")
    write_champion(root)
    with commands_in_this_process() as started:
        assert retrain.main(["--config", configure(films, root)]) == 0
    assert [command[0] for command in started] == ["prepare", "train", "score", "score"]
    return root


def test_a_better_challenger_takes_the_champions_place(replaced: Path) -> None:
    (report,) = read_reports(replaced)
    assert (report["champion"], report["version"], report["promoted"]) == (1, 2, True)
    assert (report["compared_with"], report["unscorable"]) == ("version 1", "")
    assert report["films"] == [f"film{seed}" for seed in range(5, 10)]
    assert report["improvement"] > 0
    assert report["p_value"] < 0.1
    assert report["held_out_sha256"]["film5"] == f"{5:064x}"
    assert find_model(str(replaced / "out" / "exports")).card.version == "2"
    assert sorted(path.name for path in (replaced / "out" / "exports").glob("[0-9]*")) == ["1", "2"]


def test_a_decided_round_is_not_repeated_and_a_return_stands(films: Path, replaced: Path, tmp_path: Path, capsys):
    shutil.copytree(replaced / "out", tmp_path / "out")
    config, exports = configure(films, tmp_path), str(tmp_path / "out" / "exports")
    assert rollback.main(["--exports", exports]) == 0
    with open(config, "a") as file:
        file.write("# a remark changes nothing\n")
    assert retrain.main(["--config", config]) == 0
    assert "nothing has changed" in capsys.readouterr().out
    assert find_model(exports).card.version == "1"


def test_a_rollback_in_an_interrupted_round_stands(films: Path, replaced: Path, tmp_path: Path) -> None:
    shutil.copytree(replaced / "out", tmp_path / "out")
    (report,) = (tmp_path / "out" / "rounds").glob("*/report.json")
    report.unlink()  # as if it had been killed between the move and the report
    exports = str(tmp_path / "out" / "exports")
    assert rollback.main(["--exports", exports]) == 0
    assert retrain.main(["--config", configure(films, tmp_path)]) == 0
    assert read_current(exports) == 1
    (decided,) = read_reports(tmp_path)
    assert not decided["promoted"]
    assert decided["champion"] == 1
    assert "version 1 has been put back since" in decided["remarks"][0]


WORSE = {"epochs": 1, "learning_rate": 0.00001}


@pytest.fixture(scope="module")
def refused(films: Path, replaced: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which a worse challenger met a good champion; of the held-out films two are damaged.

    The challenger is one that answers much too strongly, and lies where the training of the round would leave it.
    """
    root = tmp_path_factory.mktemp("refused")
    features = root / "films" / "features"
    shutil.copytree(films, root / "films")
    cut_off = features / "film8.tfrecord"
    cut_off.write_bytes(cut_off.read_bytes()[:-100])
    record = records.read_record(str(features / "film9.tfrecord"))
    tracks = {modality: track for modality, track in record.tracks.items() if modality != "audio"}
    records.write_record(records.make_record(record.header, tracks), str(features / "film9.tfrecord"))
    shutil.copytree(replaced / "out" / "exports", root / "out" / "exports")
    config = configure(root / "films", root, **WORSE)
    made = {modality: description(modality) for modality in ("image", "audio")}
    exports = round_directory(config) / "model" / "exports"
    write_model(exports, "3", gain=3.0, dimensions={"image": 12, "audio": 5}, descriptions=made)
    with commands_in_this_process() as started:
        assert retrain.main(["--config", config]) == 0
    assert [command[0] for command in started] == ["score", "score"]
    return root


def test_a_worse_challenger_is_refused_and_films_that_fail_are_left_out(refused: Path) -> None:
    (report,) = read_reports(refused)
    assert (report["champion"], report["version"], report["promoted"]) == (2, 3, False)
    assert report["improvement"] < 0
    assert report["p_value"] > 0.5
    assert report["films"] == ["film5", "film6", "film7"]
    assert list(report["failed"]) == ["film9"]
    assert "missing_modality" in report["failed"]["film9"]
    assert list(report["left_out"]) == ["film8"]
    assert (refused / "out" / "exports" / "current").read_text() == "2\n"
    assert not (refused / "out" / "exports" / "3").exists()


def test_too_many_films_that_fail_decide_nothing(refused: Path, tmp_path: Path, capsys) -> None:
    config = reopen(refused / "films", refused, tmp_path, {"failure_threshold": 0.2}, **WORSE)
    shutil.copytree(refused / "out" / "exports", tmp_path / "out" / "exports")
    assert retrain.main(["--config", config]) == 4
    assert "1 of 4 held-out films can't be scored" in capsys.readouterr().err
    assert not read_reports(tmp_path)


def test_a_film_that_cannot_be_scored_may_have_any_name(films: Path, tmp_path: Path) -> None:
    config, film_id = configure(films, tmp_path), "a\u2028b.mp4"  # a line's end for Python, and not for JSON
    section, train = load_section("retrain", RetrainConfig, config), load_section("train", TrainConfig, config)
    found = Round(section, train, Stages(config, lambda: None))
    sums = [sum_up([FilmOutcome(film_id, film_id, FAILED, "score", "missing_modality", "no audio")])]
    write_report(f"{found.directory}/champion-1", sums, summarise(sums, 1, {"job": "score"}, 1.0))
    held_out = {film_id: found.films.usable["film5"]}
    reason = "champion-1: missing_modality: no audio"
    assert found._score("champion-1", "scored already", held_out, 0) == ({}, {film_id: reason})


def test_each_model_is_compared_with_the_ratings_of_its_own_lag(films: Path, replaced: Path, tmp_path: Path) -> None:
    config = reopen(films, replaced, tmp_path, {})
    section, train = load_section("retrain", RetrainConfig, config), load_section("train", TrainConfig, config)
    found = Round(section, train, Stages(config, lambda: None))
    held_out = found.films.of(section.held_out_splits)
    plain, failed = found._score("champion-1", "scored already", held_out, 0)
    late, _ = found._score("champion-1", "scored already", held_out, 2)
    assert not failed
    for film_id, (curve, values) in plain.items():
        np.testing.assert_array_equal(late[film_id][0], curve[:-2])
        np.testing.assert_array_equal(late[film_id][1], values[2:])


def test_a_champion_that_cannot_be_scored_is_kept_where_a_person_is_to_decide(
    films: Path, replaced: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    config = reopen(films, replaced, tmp_path, {"unscorable_champion": "keep"})
    exports = write_champion(tmp_path, audio={"network": "another"})
    assert retrain.main(["--config", config]) == 0
    assert "retrain: " not in capsys.readouterr().err  # everything was there: no job has been started
    (report,) = read_reports(tmp_path)
    assert report["p_value"] < 0.1
    assert not report["promoted"]
    assert "the record of film5 has the fingerprint" in report["unscorable"]
    assert (exports / "current").read_text() == "1\n"


@pytest.mark.parametrize("keys", [{"margin": 1000.0}, {"least_films": 6}])
def test_neither_a_gain_below_the_margin_nor_one_on_too_few_films_promotes(
    films: Path, replaced: Path, tmp_path: Path, capsys: pytest.CaptureFixture, keys: dict[str, object]
) -> None:
    config = reopen(films, replaced, tmp_path, keys)
    exports = write_champion(tmp_path)
    assert retrain.main(["--config", config]) == 0
    (report,) = read_reports(tmp_path)
    assert report["improvement"] > 0
    assert not report["promoted"]
    assert (exports / "current").read_text() == "1\n"
    said = capsys.readouterr()
    too_few = "Nothing can be decided: 5 held-out films are fewer than 6 (retrain.least_films)."
    assert (too_few in said.out, too_few in said.err) == ("least_films" in keys, "least_films" in keys)


def test_held_out_films_that_either_model_knows_are_left_out_by_their_content(films: Path, tmp_path: Path) -> None:
    others = tmp_path / "films"
    shutil.copytree(films, others)
    # film6 is the training film film0 under another name, film8 the held-out film5.
    for seed, source in ((6, 0), (7, 99), (8, 5)):
        uri = str(others / "features" / f"film{seed}.tfrecord")
        record = records.read_record(uri)
        records.write_record(
            records.make_record(replace(record.header, source_sha256=f"{source:064x}"), record.tracks), uri
        )
    exports = write_champion(tmp_path)
    card = read_card(exports / "1")
    data = {"train_films": ["their-name", "film9"], "source_sha256": {"their-name": f"{99:064x}"}}
    (exports / "1" / "model_card.json").write_text(json.dumps({**card, "data": data}))
    config = configure(others, tmp_path)
    section, train = load_section("retrain", RetrainConfig, config), load_section("train", TrainConfig, config)
    found = Round(section, train, Stages(config, lambda: None))
    held_out, known = found._held_out(1, read_card(exports / "1"))
    assert sorted(held_out) == ["film5"]
    assert found.films.left_out == {
        "film6": "held out, but the same file as film0, which the challenger knows",
        "film8": "held out, but the same file as film5: one film is one observation",
    }
    assert "as their-name" in known["film7"]
    assert sorted(known) == ["film7", "film9"]


def test_copies_do_not_calibrate(films: Path, tmp_path: Path) -> None:
    shutil.copytree(films, tmp_path / "films")
    # film6 is the training film film0 under another name, film8 film5, which calibrates too, film9 held out film7.
    for seed, source in ((6, 0), (8, 5), (9, 7)):
        uri = str(tmp_path / "films" / "features" / f"film{seed}.tfrecord")
        record = records.read_record(uri)
        header = replace(record.header, source_sha256=f"{source:064x}")
        records.write_record(records.make_record(header, record.tracks), uri)
    manifest = tmp_path / "films" / "films.csv"
    rows = manifest.read_text().splitlines()
    rows[6:10] = [row.replace(",test,", ",calibration,") for row in rows[6:10]]  # film5 to film8
    manifest.write_text("\n".join([*rows, ""]))
    config = configure(tmp_path / "films", tmp_path, {"calibration_splits": ["calibration"]})
    section, train = load_section("retrain", RetrainConfig, config), load_section("train", TrainConfig, config)
    found = read_round_films(section, train)
    assert sorted(found.of(("calibration", "test"))) == ["film5", "film7"]
    assert found.left_out == {
        "film6": "to calibrate, but the same file as film0, which the challenger knows",
        "film8": "to calibrate, but the same file as film5: one film is one observation",
        "film9": "held out, but the same file as film7, which the challenger knows",
    }


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_films_that_calibrate_are_a_split_of_their_own(films: Path, tmp_path: Path, split: str) -> None:
    config = configure(films, tmp_path, {"calibration_splits": ["calibration", split]})
    with pytest.raises(ConfigurationError, match=f"calibration_splits: {split} is a split for training"):
        load_section("retrain", RetrainConfig, config)


def test_a_version_that_somebody_else_has_exported_meanwhile_is_not_taken(films: Path, replaced: Path, tmp_path: Path):
    config = reopen(films, replaced, tmp_path, {})
    exports = write_champion(tmp_path)
    write_model(exports, "2", dimensions={"image": 12}, descriptions={"image": description("image")})
    theirs = (exports / "2" / "model_card.json").read_bytes()
    with commands_in_this_process():
        assert retrain.main(["--config", config]) == 0
    assert (exports / "2" / "model_card.json").read_bytes() == theirs
    (report,) = read_reports(tmp_path)
    assert (report["version"], report["promoted"]) == (3, True)
    assert find_model(str(exports)).card.version == "3"
    assert read_card(exports / "3")["weights_sha256"] == read_card(replaced / "out/exports/2")["weights_sha256"]


@pytest.mark.slow
def test_films_of_their_own_give_the_challenger_bands_that_the_report_measures(
    films: Path, replaced: Path, tmp_path: Path
) -> None:
    rows = (films / "films.csv").read_text().splitlines()
    # The first four of the five held-out films, film5 to film8.
    rows[6:10] = [row.replace(",test,", ",calibration,") for row in rows[6:10]]
    (films / "calibration.csv").write_text("\n".join([*rows, ""]))
    keys = {"manifest": str(films / "calibration.csv"), "calibration_splits": ["calibration"]}
    config = reopen(films, replaced, tmp_path, keys)
    write_champion(tmp_path)
    found = round_directory(config)
    (found / "plan.json").unlink()
    for scored in found.glob("c*-[0-9]"):
        shutil.rmtree(scored)
    with commands_in_this_process() as started:
        assert retrain.main(["--config", config]) == 0
    assert [command[0] for command in started] == ["calibrate", "score", "score"]
    card = read_card(found / "calibrated" / "2")
    assert card["calibration"]["films"] == ["film5", "film6", "film7", "film8"]
    (report,) = read_reports(tmp_path)
    measured = report["bands"]["valence"]["80"]
    assert measured["films"] == 1
    assert 0 < measured["coverage"] <= 1
    assert measured["width"] == pytest.approx(2 * card["calibration"]["half_widths"]["valence"]["80"], rel=0.1)
    text = (found / "report.md").read_text()
    assert "80 % band of valence: holds" in text
    assert report["unlike_percent"] == {"challenger": pytest.approx(report["unlike_percent"]["challenger"])}
    assert "unlike a model's training films: challenger" in text
    assert "There is no 95 % band: it needs 19 calibration films, there are 4." in text


def start(config: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "beam_pipelines.cli", "retrain", "--config", config]
    return subprocess.Popen(command, cwd=REPOSITORY, start_new_session=True, stderr=subprocess.PIPE, text=True)


def wait_for(what: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    deadline_s = time.monotonic() + 600
    while not what():
        assert process is None or process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def is_free(directory: Path) -> bool:
    try:
        with only_run(str(directory), 60.0):
            return True
    except HeldError:
        return False


@pytest.mark.slow
def test_killed_anywhere_it_ends_at_the_same_weights_and_never_do_two_work(
    films: Path, replaced: Path, tmp_path: Path
) -> None:
    config, out = configure(films, tmp_path), tmp_path / "out"
    exports = write_champion(tmp_path, audio={"network": "another"})
    model = out / "rounds" / next((replaced / "out" / "rounds").iterdir()).name / "model"

    first = start(config)
    wait_for((out / "retrain.lock").is_file, first)
    second = start(config)
    _, said = second.communicate(timeout=600)
    assert second.returncode == EXIT_HELD
    assert "retrain.lock: held by another run" in said

    wait_for(lambda: list(model.glob("checkpoints/*.index")), first)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    wait_for(lambda: is_free(out))
    assert not (model / "exports").exists()
    prepared = (model.parent / "transform" / "run_manifest.json").stat().st_mtime_ns

    third = start(config)
    wait_for((model / "exports" / "2" / "model_card.json").is_file, third)
    os.killpg(third.pid, signal.SIGKILL)
    third.wait()
    wait_for(lambda: is_free(out))
    assert (exports / "current").read_text() == "1\n"

    with commands_in_this_process():
        assert retrain.main(["--config", config]) == 0
    assert (model.parent / "transform" / "run_manifest.json").stat().st_mtime_ns == prepared
    assert read_card(exports / "2")["weights_sha256"] == read_card(replaced / "out/exports/2")["weights_sha256"]
    (report,) = read_reports(tmp_path)
    assert report["promoted"]
    assert report["compared_with"] == "constant mean"
    assert "audio: the record of film5 has the fingerprint" in report["unscorable"]


@pytest.mark.slow
def test_from_films_to_the_first_model(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    splits = {"a": "train", "b": "validation", "c": "test", "d": "test", "broken": "test"}
    rows = ["film_id,path,split,labels"]
    for film_id, split in splits.items():
        path = tmp_path / f"{film_id}.mp4"
        if film_id == "broken":
            path.write_bytes(b"no film")
        else:
            samples = generator.normal(0, 0.1, (1, 14 * 48_000)).astype(np.float32)
            write_clip(path, regular_times(14 * 5, 5), rate_hz=5, sound=Sound([(Fraction(0), samples)]))
        write_labels(tmp_path / f"{film_id}.txt", generator.uniform(-0.5, 0.5, (14, 2)))
        rows.append(f"{film_id},{film_id}.mp4,{split},{film_id}.txt")
    (tmp_path / "films.csv").write_text("\n".join([*rows, ""]))
    section = {"manifest": str(tmp_path / "films.csv"), "output": str(tmp_path / "out"), "beat_constant_mean": False}
    train = {**TRAIN, "epochs": 1, "model": {"modalities": ["audio"], "window_s": 4, "encoder": {"units": 2}}}
    config = {
        "retrain": {**section, "records": str(tmp_path / "features")},
        "extract": {"modalities": ["audio"], "audio": {"weights": "untrained"}},
        "train": train,
    }
    (tmp_path / "retrain.yaml").write_text(yaml.safe_dump(config))
    with commands_in_this_process():
        assert retrain.main(["--config", str(tmp_path / "retrain.yaml")]) == 0
    (report,) = read_reports(tmp_path)
    assert (report["champion"], report["version"], report["promoted"]) == (None, 1, True)
    assert report["films"] == ["c", "d"]
    assert report["left_out"] == {"broken": "no record"}
    assert find_model(str(tmp_path / "out" / "exports")).card.version == "1"


def test_too_many_films_without_a_record_end_the_round(films: Path, tmp_path: Path, capsys) -> None:
    others = tmp_path / "films"
    shutil.copytree(films, others)
    for seed in range(4, 10):
        (others / "features" / f"film{seed}.tfrecord").unlink()
    assert retrain.main(["--config", configure(others, tmp_path)]) == 4
    assert "6 of 10 labelled films can't be used" in capsys.readouterr().err


def test_a_wrong_key_of_a_later_job_is_named_before_anything_starts(films: Path, tmp_path: Path, capsys) -> None:
    config = configure(films, tmp_path)
    Path(config).write_text(Path(config).read_text().replace("explain: modalities", "plot: false"))
    assert retrain.main(["--config", config]) == 2
    assert "did you mean 'plots'?" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
