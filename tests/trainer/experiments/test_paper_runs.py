"""The paper's runs: what their files say, where an installed package has them, and how films are shared out."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from beam_pipelines.films.mediaeval2018 import LayoutFilm
from beam_pipelines.foundation.errors import ConfigurationError
from trainer.experiments.data import draw_partitions, write_manifest
from trainer.experiments.paper_runs import TABLE_1, load_runs, paper_directory
from trainer.experiments.training import epochs_by_score
from trainer.foundation.config import TrainConfig

ROOT = Path(__file__).resolve().parents[3]
FILMS = [LayoutFilm(number, "", f"{number}.txt") for number in range(66)]


def test_the_five_runs_are_those_of_the_paper() -> None:
    runs = {run.name: run for run in load_runs(paper_directory())}
    assert list(runs) == list(TABLE_1)
    models = {name: run.train.model for name, run in runs.items()}
    assert (models["run1"].dropout, models["run1"].batch_normalization) == (0.0, False)
    for name in ("run2", "run3", "run4"):
        assert models[name].dropout > 0
        assert (models[name].batch_normalization, models[name].batch_statistics_at_inference) == (True, "film")
    assert {run.train.model.window_s for run in runs.values()} == {60}
    assert {name: run.reproduce.film_share for name, run in runs.items() if run.reproduce.film_share < 1} == {
        "run2": 0.7
    }
    assert {run.reproduce.validation_films for run in runs.values()} == {13}
    assert runs["run5"].reproduce.members == ("run1", "run2", "run3", "run4")
    # Run 4: everything as in run 3 but initialisation and epoch.
    other = runs["run4"].train.model_copy(update={"seed": runs["run3"].train.seed})
    assert other == runs["run3"].train
    assert runs["run4"].train.seed != runs["run3"].train.seed
    assert runs["run4"].reproduce.epoch_rank != runs["run3"].reproduce.epoch_rank


def test_the_defaults_hold_back_and_run_1_stays_bare() -> None:
    defaults = TrainConfig()
    assert 0.3 <= defaults.model.dropout <= 0.5
    assert min(defaults.model.feature_dropout, defaults.model.modality_dropout, defaults.patience) > 0
    assert defaults.learning_rate == 3e-4
    bare = next(run.train for run in load_runs(paper_directory()) if run.name == "run1")
    assert (bare.model.dropout, bare.model.feature_dropout, bare.model.modality_dropout) == (0.0, 0.0, 0.0)
    assert bare.learning_rate == 1e-3


def test_an_installed_package_has_them(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    source = tmp_path / "source"
    for name in ("trainer", "configs", "docs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    (source / "beam_pipelines").mkdir()
    for path in (source / "beam_pipelines" / "__init__.py", source / "README.md"):
        path.write_text("")
    shutil.copy(ROOT / "setup.py", source)
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path / "installed")]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    installed = {path.name: path.read_bytes() for path in (tmp_path / "installed" / "trainer" / "paper").iterdir()}
    assert installed == {path.name: path.read_bytes() for path in (ROOT / "configs" / "paper").iterdir()}


def write_run(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.yaml").write_text(text)


def test_runs_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no run that trains"):
        load_runs(str(tmp_path))
    write_run(tmp_path, "a", "train: {seed: 1}")
    write_run(tmp_path, "b", "reproduce: {members: [a, c]}")
    with pytest.raises(ConfigurationError, match=r"b.yaml: reproduce.members names c"):
        load_runs(str(tmp_path))
    write_run(tmp_path, "b", "reproduce: {members: [a], film_share: 0.5}")
    with pytest.raises(ConfigurationError, match="have no effect on a run with members"):
        load_runs(str(tmp_path))
    write_run(tmp_path, "b", "train: {labels: {minimum: 0.0}}")
    with pytest.raises(ConfigurationError, match=r"differ in train.labels"):
        load_runs(str(tmp_path))


def test_keys_of_the_command_line_replace_those_of_the_files() -> None:
    runs = load_runs(paper_directory(), ["epochs=3"], {"validation_films": 4})
    assert {run.reproduce.validation_films for run in runs} == {4}
    assert {run.train.epochs for run in runs if not run.reproduce.members} == {3}


def test_a_share_leaves_out_films_to_learn_from_and_none_that_validate() -> None:
    whole = draw_partitions(FILMS, 13, 2018)
    shared = draw_partitions(FILMS, 13, 2018, 0.7)
    assert (len(whole[0].train), len(whole[0].validation), len(whole[1].train)) == (41, 13, 54)
    assert (len(shared[0].train), len(shared[0].left_out), len(shared[1].train)) == (29, 12, 38)
    assert shared[0].validation == whole[0].validation
    assert set(shared[0].train) < set(whole[0].train)
    assert not set(whole[0].train) & set(whole[0].validation)
    assert draw_partitions(FILMS, 13, 7)[0].validation != whole[0].validation
    with pytest.raises(ConfigurationError, match=r"validation_films 54: there are 54 development films"):
        draw_partitions(FILMS, 54, 2018)


def test_the_test_films_are_in_no_partition(tmp_path: Path) -> None:
    selection, _ = draw_partitions(FILMS, 13, 2018, 0.7)
    lines = Path(write_manifest(FILMS, selection, str(tmp_path))).read_text().splitlines()[1:]
    split_of = {line.split(",")[0]: line.split(",")[2] for line in lines}
    assert {film for film, split in split_of.items() if split == "test"} == {f"MEDIAEVAL18_{n}" for n in range(54, 66)}
    counts = {split: list(split_of.values()).count(split) for split in ("train", "validation", "left-out")}
    assert counts == {"train": 29, "validation": 13, "left-out": 12}


def test_epochs_from_the_best_to_the_worst() -> None:
    history = [{"epoch": n, "score": score} for n, score in enumerate((0.3, None, 0.1, 0.2, 0.1), start=1)]
    assert epochs_by_score(history, "mse") == [3, 5, 4, 1, 2]
    assert epochs_by_score(history, "pcc") == [1, 4, 3, 5, 2]
