"""`cineaffect compare` at toy size with real trainings: every comparison, its table and plot, kill and second start."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from beam_pipelines.demo.mediaeval import make_data_set, plan_films
from beam_pipelines.foundation.configuration import load_section
from beam_pipelines.foundation.errors import ConfigurationError
from tests.support.synthetic_films import write_film
from trainer.commands import compare
from trainer.evaluation.metrics import CONSTANT_MEAN
from trainer.experiments.comparison import compare_variants
from trainer.experiments.comparison_variants import COMPARISONS, variants
from trainer.experiments.data import ExperimentData
from trainer.foundation.config import TrainConfig

REPOSITORY = Path(__file__).resolve().parents[3]
SETTINGS = ["epochs=1", "batch_size=64", "stride_s=4", "model.window_s=4", "model.encoder.units=3"]
SETTINGS += ["smoothing_cutoffs_hz=[0.1]", "model.modalities=[audio]"]
TCN = [("TCN", "model.encoder.filters=3"), ("TCN", "model.encoder.filters_step=1"), ("TCN", "model.encoder.levels=1")]
PREDICTORS = {
    "features": ["image + audio", "fc6 + emobase2010"],
    "faces": ["with faces", "without faces"],
    "window": ["10 s", "30 s", "60 s"],
    "encoder": ["GRU", "LSTM", "TCN"],
    "smoothing": ["raw", "Butterworth", "moving average"],
    "ensemble": ["single runs", "mean of runs", "best on validation"],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mediaeval")
    make_data_set(root, plan_films(4, 1, 40, 7), videos=False, features=False, records=True)
    return root


@pytest.fixture(scope="module")
def output(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for all comparisons, as a person would have: its transform is prepared once."""
    return tmp_path_factory.mktemp("comparisons")


def command(what: str, data: Path, output: Path, seeds: int = 1) -> list[str]:
    where = ["--data", str(data), "--records", str(data / "records"), "--validation-films", "1"]
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    return ["--what", what, *where, "--output", str(output), "--seeds", str(seeds), *settings]


def test_a_test_film_that_is_a_copy_of_a_validation_film_is_refused(tmp_path: Path, capsys) -> None:
    rows = ["film_id,path,split,labels"]
    for film_id, split, seed in (("a", "train", 1), ("b", "validation", 2), ("copy", "test", 2)):
        write_film(tmp_path, film_id, seed)
        rows.append(f"{film_id},{film_id}.mp4,{split},labels/{film_id}.txt")
    (tmp_path / "films.csv").write_text("\n".join([*rows, ""]))
    where = ["--manifest", str(tmp_path / "films.csv"), "--records", str(tmp_path / "features")]
    assert compare.main(["--what", "window", *where, "--output", str(tmp_path / "out")]) == 2
    assert "training or validation and in the split test under two ids: b and copy" in capsys.readouterr().err
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())  # before anything is computed


QUICK = ("smoothing", "ensemble")
"""The comparisons with the fewest trainings; they train by the same steps as the others."""


@pytest.mark.parametrize(
    "what", [what if what in QUICK else pytest.param(what, marks=pytest.mark.slow) for what in COMPARISONS]
)
@pytest.mark.usefixtures("here")
def test_every_comparison_leaves_table_and_page(what: str, data: Path, output: Path) -> None:
    seeds = 2 if what == "ensemble" else 1
    own = [part for name, setting in TCN for part in ("--set-in", name, setting)] if what == "encoder" else []
    own += ["--set", "ridge=null"] if what == "ensemble" else []
    assert compare.main([*command(what, data, output, seeds), *own]) == 0
    content = json.loads((output / f"{what}.json").read_text())
    ridge = [f"ridge, {name}" for name in PREDICTORS[what]] if what in ("features", "faces") else ["ridge"]
    expected = [CONSTANT_MEAN, *(ridge if what != "ensemble" else []), *PREDICTORS[what]]
    assert list(dict.fromkeys(r["predictor"] for r in content["rows"])) == expected
    for predictor in expected:
        scopes = {r["scope"] for r in content["rows"] if r["predictor"] == predictor}
        assert scopes == {"film", "mean of films", "pooled"}
    assert "comparison" in (output / "report" / what / "index.html").read_text()
    # One test film: there is no interval, and nothing can be told apart.
    assert {(one["films"], one["low"], one["verdict"]) for one in content["differences"]} == {
        (1, None, "not distinguishable")
    }
    pairs = {(one["first"], one["second"]) for one in content["differences"]}
    assert pairs == set(itertools.combinations(expected[1:], 2))
    assert "paired differences over films" in (output / f"{what}.txt").read_text()
    if what == "smoothing":
        (filters,) = content["filters"]
        assert {kind: one["method"] for kind, one in filters.items()} == {
            "raw": "none",
            "Butterworth": "butterworth",
            "moving average": "moving_average",
        }
        assert "chosen on validation, seed 0: Butterworth: order" in (output / f"{what}.txt").read_text()
    assert ("±" in (output / f"{what}.txt").read_text()) == (what == "ensemble")


@pytest.mark.usefixtures("here")
def test_a_second_start_trains_nothing(data: Path, output: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert compare.main(command("smoothing", data, output)) == 0
    table = (output / "smoothing.json").read_bytes()
    before = {path: path.stat().st_mtime_ns for path in (output / "runs").rglob("*")}
    capfd.readouterr()
    assert compare.main(command("smoothing", data, output)) == 0
    assert "training:" not in capfd.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (output / "runs").rglob("*")} == before
    assert (output / "smoothing.json").read_bytes() == table


@pytest.mark.slow
def test_killed_it_ends_at_the_same_table(data: Path, output: Path, tmp_path: Path) -> None:
    longer = ["--set", "epochs=6", "--set", "model.encoder.units=2"]
    assert compare.main([*command("smoothing", data, output), *longer]) == 0
    (transform,) = output.glob("transform-*")
    (manifest,) = output.glob("manifests/*.csv")
    where = ["--manifest", str(manifest), "--records", str(data / "records"), "--transform", str(transform)]
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    arguments = ["--what", "smoothing", *where, "--output", str(tmp_path), "--seeds", "1", *settings, *longer]
    process = subprocess.Popen(
        [sys.executable, "-m", "beam_pipelines.cli", "compare", *arguments], cwd=REPOSITORY, start_new_session=True
    )
    deadline_s = time.monotonic() + 200
    while not list(tmp_path.glob("runs/*/history.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "smoothing.json").exists()
    assert compare.main(arguments) == 0
    assert (tmp_path / "smoothing.json").read_bytes() == (output / "smoothing.json").read_bytes()


def test_what_a_comparison_of_encoders_leaves_alone() -> None:
    overrides = ["model.encoder.units=32", "model.encoders={face: {kind: tcn, levels: 3}}"]
    config = load_section("train", TrainConfig, None, overrides)
    found = {
        name: load_section("train", TrainConfig, None, [*overrides, *settings]).model
        for name, settings in variants("encoder", config, ("image", "audio", "face")).items()
    }
    for name, model in found.items():
        assert {model.encoder_of(modality).kind for modality in model.modalities} == {name.lower()}
    assert (found["GRU"].encoder.units, found["LSTM"].encoder.units) == (32, 32)
    assert found["TCN"].encoder_of("face").levels == 3


def test_features_of_the_baseline_are_those_that_are_there() -> None:
    config = TrainConfig()
    own, organisers = ("audio", "image", "vgg16", "opensmile_is10"), ("audio", "image", "fc6", "emobase2010")
    assert list(variants("features", config, own)) == ["image + audio", "vgg16 + opensmile_is10"]
    assert list(variants("features", config, organisers)) == ["image + audio", "fc6 + emobase2010"]
    assert list(variants("features", config, own, ["vgg16"])) == ["image + audio", "vgg16"]
    with pytest.raises(ConfigurationError, match="hold no vgg16, opensmile_is10; they hold audio, face, image"):
        variants("features", config, ("audio", "face", "image"))
    with pytest.raises(ConfigurationError, match="hold no face"):
        variants("faces", config, ("audio", "image"))


def test_windows_are_compared_with_one_lag() -> None:
    overrides = ["labels.lag_s=3"]
    config = load_section("train", TrainConfig, None, overrides)
    found = {
        name: load_section("train", TrainConfig, None, [*overrides, *settings])
        for name, settings in variants("window", config, ("image",)).items()
    }
    assert {one.labels.lag_s for one in found.values()} == {3}
    found["30 s"] = load_section("train", TrainConfig, None, ["model.window_s=30", "labels.lag_s=2"])
    nothing = ExperimentData("nowhere", "nowhere", "nowhere")  # the refusal comes before anything is read
    with pytest.raises(ConfigurationError, match=r"variants 10 s and 30 s differ in train\.labels"):
        compare_variants("window", nothing, found, 1, "nowhere")


@pytest.mark.usefixtures("here")
def test_what_cannot_be_compared_is_said(data: Path, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main(command("ensemble", data, output, seeds=1)) == 2
    assert "the mean of 1 run is that run" in capsys.readouterr().err
    assert compare.main([*command("window", data, output), "--set-in", "20 s", "seed=1"]) == 2
    assert "--set-in '20 s': no such variant; there are 10 s, 30 s, 60 s" in capsys.readouterr().err
