"""`cineaffect train` from end to end: the card, the curves, the export, and its refusals."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from beam_pipelines.contracts.records.records import (
    fingerprint,
    list_records,
    make_record,
    read_record,
    record_uri,
    write_record,
)
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.foundation.output_directory import assert_output_directory
from tests.support.synthetic_films import DataSet, prepare
from tests.support.trained_run import evaluated_rows, train_arguments as arguments
from trainer.commands import train as task
from trainer.data.transform import load_transform
from trainer.evaluation.curve_files import RAW, read_curve


def test_exported_model_equals_the_trainers_own_predictions(dataset: DataSet, trained: Path) -> None:
    model = tf.saved_model.load(str(trained / "exports" / "1")).signatures["serving_default"]
    curves = sorted((trained / "curves").iterdir())
    assert [path.stem for path in curves] == [f"film{index}" for index in range(7)]
    for path in curves:
        record = read_record(record_uri(dataset.records, path.stem))
        inputs = {}
        for modality, track in record.tracks.items():
            inputs[modality] = tf.constant(track.values)
            inputs[f"{modality}_present"] = tf.constant(track.present)
        outputs = model(**inputs)
        own = read_curve(str(path))[RAW]
        assert np.ptp(own, axis=0).min() > 0.05
        for column, target in enumerate(("valence", "arousal")):
            np.testing.assert_allclose(outputs[target], own[:, column], atol=1e-5)


def test_card_says_what_the_model_is(dataset: DataSet, trained: Path) -> None:
    card = json.loads((trained / "exports" / "1" / "model_card.json").read_text())
    record = read_record(record_uri(dataset.records, "film0"))
    assert card["fingerprints"] == {m: fingerprint(track.description) for m, track in record.tracks.items()}
    assert card["descriptions"]["image"] == dict(record.tracks["image"].description)
    assert card["untrained_networks"] == ["face"]
    assert (card["version"], card["window_s"], card["seed"], card["label_range"]) == ("1", 8, 2018, [-1.0, 1.0])
    assert card["label_lag_s"] == 0
    assert card["configuration"]["train"]["batch_size"] == 64
    assert card["data"]["train_films"] == [f"film{index}" for index in range(5)]
    assert card["data"]["validation_films"] == ["film5", "film6"]
    assert card["data"]["source_sha256"] == {f"film{index}": f"{index:064x}" for index in range(7)}
    rows = {(row["predictor"], row["target"], row["scope"]): row for row in card["validation_metrics"]}
    assert len(rows) == 5 * 2 * 2  # constant mean, ridge regression and network, both raw and smoothed
    evaluation = json.loads((trained / "evaluation.json").read_text())
    assert all(row in evaluation["rows"] for row in rows.values())
    assert evaluation["untrained"] == ["face"]
    transform = json.loads((trained / "run.json").read_text())["transform"]
    assert transform["graph"] == card["data"]["transform_sha256"] == load_transform(dataset.transform).digest()
    assert transform["films"] == card["data"]["train_films"]


def test_evaluate_finds_the_same_figures(dataset: DataSet, trained: Path, tmp_path: Path) -> None:
    ours = json.loads((trained / "evaluation.json").read_text())["rows"]
    again = evaluated_rows(dataset, trained, tmp_path)
    assert len(ours) == len(again)
    for one, other in zip(ours, again, strict=True):
        assert one["mse"] == pytest.approx(other["mse"], rel=1e-5)
        assert (one["predictor"], one["film_id"], one["seconds"]) == (
            other["predictor"],
            other["film_id"],
            other["seconds"],
        )


def test_second_run_changes_nothing_and_a_named_version_is_added(
    dataset: DataSet, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and "logs" not in path.parts}
    assert task.main(arguments(dataset, run)) == 0
    output = capsys.readouterr().out
    assert "exported already, as version 1" in output
    assert "constant mean" in output
    assert "untrained networks (face)" in output
    assert before == {path: path.read_bytes() for path in before}
    alone = ("--set", "ridge=null", "--export-version", "7")
    assert task.main(arguments(dataset, run, *alone)) == 0
    assert sorted(path.name for path in (run / "exports").iterdir()) == ["1", "7"]
    assert task.main(arguments(dataset, run, *alone)) == 2
    assert "holds something already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("further", "message"),
    [
        (["--set", "model.windw_s=3"], "train.model.windw_s: unknown key; did you mean 'window_s'"),
        (["--set", "ridge.means=[5]"], "train.ridge.means: unknown key; did you mean 'means_s'"),
        (["--train-splits", "train,validation"], "in training and in validation at once: film5, film6"),
        (["--validation-splits", "valid"], "the split 'valid'; did you mean 'validation'"),
        (["--validation-splits", "", "--set", "epochs=null"], "train.epochs: must be given where no validation films"),
        (["--like", "nowhere"], "--like nowhere: has exported no model; name the directory of a finished training"),
        (["--train-splits", ""], "--train-splits: names no split to train on"),
        (["--train-splits", "test"], "statistics come from films that are not among the training films"),
        (["--set", "labels.minimum=0"], "line "),
        (["--transform", "nowhere"], "nowhere/statistics.json: no such file; run `cineaffect prepare"),
        (["--set", "smoothing_cutoffs_hz=[0.05,0.9]"], "train.smoothing_cutoffs_hz.1: Input should be less than 0.5"),
        (["--set", "seed=-1"], "train.seed: Input should be greater than or equal to 0"),
        (["--set", "learning_rate=.inf"], "train.learning_rate: Input should be a finite number"),
        (["--set", "model.l2=.inf"], "train.model.l2: Input should be a finite number"),
        (["--set", "labels.maximum=.nan"], "train.labels.maximum: Input should be a finite number"),
        (["--set", "labels.minimum=1"], "minimum (1) must be below maximum (1)"),
        (["--set", "seed=3"], "differs in train.seed (2018 there, 3 here)"),
    ],
)
def test_refusals(
    dataset: DataSet,
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    further: list[str],
    message: str,
) -> None:
    run = tmp_path / "run"  # what isn't refused would go on with the run, and others read `trained`
    shutil.copytree(trained, run)
    assert task.main(arguments(dataset, run, *further)) == 2
    assert message in capsys.readouterr().err


def test_a_test_film_that_is_a_training_film_under_another_name_is_refused(
    dataset: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = DataSet(tmp_path)
    for name in ("labels", "features"):
        shutil.copytree(dataset.root / name, tmp_path / name)
    shutil.copyfile(dataset.manifest, copied.manifest)
    test = read_record(record_uri(copied.records, "film7"))
    copy = make_record(replace(test.header, source_sha256=f"{0:064x}"), test.tracks)
    write_record(copy, record_uri(copied.records, "film7"))
    further = ["--transform", dataset.transform]
    assert task.main(arguments(copied, tmp_path / "run", *further)) == 2
    assert "the same file is in training or validation and in the split test" in capsys.readouterr().err
    assert not (tmp_path / "run" / "run.json").exists()


def test_training_films_without_any_face_train(
    dataset: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faceless = DataSet(tmp_path)
    shutil.copytree(dataset.root / "labels", tmp_path / "labels")
    shutil.copyfile(dataset.manifest, faceless.manifest)
    for film_id, uri in list_records(dataset.records).items():
        record = read_record(uri)
        face = record.tracks["face"]
        absent = replace(face, values=np.zeros_like(face.values), present=np.zeros_like(face.present))
        tracks = {"audio": record.tracks["audio"], "face": absent}
        write_record(make_record(record.header, tracks), record_uri(faceless.records, film_id))
    prepare(faceless, faceless.transform)
    less = ["--set", "epochs=1", "--set", "model.modalities=[audio, face]", "--set", "ridge=null"]
    assert task.main(arguments(faceless, tmp_path / "run", *less)) == 0
    rows = json.loads((tmp_path / "run" / "evaluation.json").read_text())["rows"]
    assert all(np.isfinite(row["mse"]) for row in rows)
    # Nor is a ridge regression there, which this run leaves out.
    assert {row["predictor"] for row in rows} == {"constant mean", "raw", "smoothed"}
    assert not (tmp_path / "run" / "ridge").exists()


def test_an_output_that_cannot_be_written_is_refused_before_data_are_loaded(
    dataset: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file", tmp_path / "file" / "run"):
        # Records and transform don't exist either: nothing of them was looked at.
        further = ["--records", "nowhere", "--transform", "nowhere"]
        assert task.main(arguments(dataset, output, *further)) == 2
        assert f"--output {output}: {tmp_path / 'file'} is a file, not a directory" in capsys.readouterr().err
    assert_output_directory(str(tmp_path / "not" / "yet"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a directory that not even root may write to: /proc")
def test_an_output_without_rights_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="may not be written to"):
        assert_output_directory("/proc/self/run")


def test_help_teaches_with_a_whole_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        task.main(["--help"])
    assert raised.value.code == 0
    text = capsys.readouterr().out
    for command in ("extract", "prepare", "train", "evaluate"):
        assert f"cineaffect {command} " in text
