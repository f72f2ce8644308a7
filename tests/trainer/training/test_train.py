"""Training on synthetic films: it learns, goes on after a kill to the same bits, and refuses foreign runs."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.films.catalogue import films_of_splits, read_manifest
from beam_pipelines.foundation.errors import ConfigurationError
from tests.support.synthetic_films import DIMENSIONS, DataSet
from trainer.data.dataset import TrainingFilm, load_films, read_statistics
from trainer.data.transform import load_transform
from trainer.data.windows import stack_films, window_ends
from trainer.evaluation.metrics import CONSTANT_MEAN
from trainer.foundation.config import TrainConfig
from trainer.training.checkpoint_folder import CheckpointFolder
from trainer.training.losses import cross_entropy
from trainer.training.progress import TrainingProgress
from trainer.training.run import DivergenceError, TrainingRun
from trainer.training.train import TrainingResult, train

SMALL = {
    "batch_size": 64,
    "epochs": 3,
    "learning_rate": 0.01,
    "model": {
        "modalities": ["face"],
        "window_s": 8,
        "encoder": {"units": 8},
        "dropout": 0.3,
        "feature_dropout": 0.2,
        "batch_normalization": True,
    },
}


class Killed(Exception):
    """Stands for the kill of a process in the middle of an epoch."""


class KillingProgress(TrainingProgress):
    """Ends training after so many batches, before anything of that batch is written."""

    def __init__(self, batches: int):
        super().__init__()
        self.left = batches

    def batch_done(self, epoch: int, batch: int, batches: int) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


@pytest.fixture(scope="module")
def films(dataset: DataSet) -> dict[str, list[TrainingFilm]]:
    manifest, statistics = read_manifest(dataset.manifest), read_statistics(dataset.transform)
    transform = load_transform(dataset.transform)
    labels = TrainConfig().labels
    return {
        split: load_films(
            dataset.records, films_of_splits(manifest, [split]), transform, statistics, labels, list(DIMENSIONS)
        )
        for split in ("train", "validation")
    }


@pytest.fixture(scope="module")
def undisturbed(
    films: dict[str, list[TrainingFilm]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainingResult, Path]:
    """A run of `SMALL` that nothing disturbed, dropout and batch normalisation on, and its directory."""
    directory = tmp_path_factory.mktemp("undisturbed")
    return train(films["train"], films["validation"], configure(), str(directory)), directory


def configure(**changes: Any) -> TrainConfig:
    return TrainConfig.model_validate({**SMALL, **changes})


def weights(result: TrainingResult) -> list[tuple[str, np.ndarray]]:
    return [(variable.path, variable.numpy()) for variable in result.model.weights]


def assert_same_run(one: TrainingResult, other: TrainingResult) -> None:
    for (path, value), (_, other_value) in zip(weights(one), weights(other), strict=True):
        np.testing.assert_array_equal(value, other_value, err_msg=path)
    for film_id, curve in one.predictions.items():
        np.testing.assert_array_equal(curve, other.predictions[film_id])
    untimed = [[{k: v for k, v in entry.items() if k != "wall_s"} for entry in run.history] for run in (one, other)]
    assert untimed[0] == untimed[1]


def test_learns_and_beats_the_constant_by_far(films: dict[str, list[TrainingFilm]], tmp_path: Path) -> None:
    without_dropout = {"dropout": 0.0, "feature_dropout": 0.0, "modality_dropout": 0.0}
    network = {"modalities": ["image"], "window_s": 12, "encoder": {"units": 16}, **without_dropout}
    config = configure(epochs=15, model=network)
    result = train(films["train"], films["validation"], config, str(tmp_path))
    assert result.table is not None
    for target in TARGETS:
        constant, smoothed = (result.table.find(name, target) for name in (CONSTANT_MEAN, "smoothed"))
        assert smoothed.pcc > 0.8
        assert smoothed.mse < 0.4 * constant.mse
    assert result.history[0]["loss"] > result.history[-1]["loss"]
    best = result.history[result.best_epoch - 1]
    assert best["score"] == min(entry["score"] for entry in result.history)
    raw = {target: result.table.find("raw", target).mse for target in TARGETS}
    assert best["score"] == pytest.approx(np.mean(list(raw.values())))
    assert set(result.predictions) == {film.film_id for film in (*films["train"], *films["validation"])}
    assert all(np.abs(curve).max() <= 1.0 for curve in result.predictions.values())


@pytest.mark.parametrize(("killed_after", "checkpoint_batches"), [pytest.param(9, 0, marks=pytest.mark.slow), (12, 2)])
def test_killed_run_ends_at_the_same_weights(
    films: dict[str, list[TrainingFilm]],
    undisturbed: tuple[TrainingResult, Path],
    tmp_path: Path,
    killed_after: int,
    checkpoint_batches: int,
) -> None:
    whole, _ = undisturbed
    batches = whole.history[0]["batches"]
    assert batches < killed_after < 2 * batches
    run: dict[str, Any] = {"checkpoint_batches": checkpoint_batches, "output": str(tmp_path)}
    # A run that had ended after its only epoch goes on with more of them, and is killed in its second.
    train(films["train"], films["validation"], configure(epochs=1), **run)
    killing = KillingProgress(killed_after - batches)
    with pytest.raises(Killed):
        train(films["train"], films["validation"], configure(), progress=killing, **run)
    newest = tf.train.latest_checkpoint(str(tmp_path / "checkpoints"))
    expected = killed_after - 1 if checkpoint_batches else batches
    assert newest is not None
    assert newest.endswith(f"-{expected}")
    assert_same_run(whole, train(films["train"], films["validation"], configure(), **run))


def test_a_finished_run_gives_its_result_again(
    films: dict[str, list[TrainingFilm]], undisturbed: tuple[TrainingResult, Path]
) -> None:
    whole, directory = undisturbed
    again = train(films["train"], films["validation"], configure(), str(directory))
    assert_same_run(whole, again)
    assert [entry["wall_s"] for entry in again.history] == [entry["wall_s"] for entry in whole.history]


def test_another_configuration_or_other_data_are_refused(
    films: dict[str, list[TrainingFilm]], undisturbed: tuple[TrainingResult, Path]
) -> None:
    directory = str(undisturbed[1])
    with pytest.raises(ConfigurationError, match=r"train\.learning_rate \(0\.01 there, 0\.02 here\)"):
        train(films["train"], films["validation"], configure(learning_rate=0.02), directory)
    with pytest.raises(ConfigurationError, match="training_data"):
        train(films["train"][1:], films["validation"], configure(), directory)
    with pytest.raises(ConfigurationError, match="transform"):
        train(films["train"], films["validation"], configure(), directory, identity={"transform": "another"})


def test_patience_ends_early_and_the_best_epoch_stands(films: dict[str, list[TrainingFilm]], tmp_path: Path) -> None:
    network = {"modalities": ["audio"], "window_s": 4, "encoder": {"units": 4}}
    config = configure(epochs=30, patience=2, learning_rate=0.1, model=network)
    result = train(films["train"], films["validation"], config, str(tmp_path))
    assert len(result.history) == result.best_epoch + 2 < 30
    assert [entry["epoch"] for entry in result.history if entry["best"]][-1] == result.best_epoch


def test_without_validation_the_last_epoch_stands_and_another_seed_gives_another_model(
    films: dict[str, list[TrainingFilm]], undisturbed: tuple[TrainingResult, Path], tmp_path: Path
) -> None:
    result = train(films["train"], [], configure(patience=1, seed=1), str(tmp_path))
    assert result.best_epoch == len(result.history) == 3
    assert result.table is None
    assert result.smoothing == configure().smoothing
    assert not np.array_equal(result.predictions["film0"], undisturbed[0].predictions["film0"])


def test_the_untrained_network_predicts_the_mean_of_the_training_labels(
    films: dict[str, list[TrainingFilm]], tmp_path: Path
) -> None:
    low = [replace(film, labels=film.labels / 4 - 0.6, label_rows=film.label_rows / 4 - 0.6) for film in films["train"]]
    network = {"modalities": ["audio"], "window_s": 4, "encoder": {"units": 32}}
    folder = CheckpointFolder(tmp_path, str(tmp_path))
    run = TrainingRun(low, [], configure(model=network), str(tmp_path), 0, tf.distribute.get_strategy(), folder)
    predicted = np.concatenate(list(run.predict_all().values()))
    wanted = np.concatenate([film.label_rows for film in low]).mean(axis=0)
    np.testing.assert_allclose(predicted.mean(axis=0), wanted, atol=0.06)


def test_population_statistics_are_those_of_the_chosen_epochs_windows(
    films: dict[str, list[TrainingFilm]], undisturbed: tuple[TrainingResult, Path]
) -> None:
    model, table = undisturbed[0].model, stack_films(films["train"])
    kept = [variable.numpy() for variable in model.non_trainable_weights]
    assert len(kept) == 6
    ends = window_ends(table, stride_s=1, epoch=0)
    own = [
        (table.film(name), ends[(ends >= first) & (ends < stop)] - first) for name, (first, stop) in table.spans.items()
    ]
    model.set_population_statistics(own)
    for variable, value in zip(model.non_trainable_weights, kept, strict=True):
        # Moving averages would still be nearer to their initial values, 0 and 1, than to these.
        np.testing.assert_allclose(variable.numpy(), value, rtol=1e-4, atol=1e-5)
        variable.assign(value)


def test_divergence_is_an_error(films: dict[str, list[TrainingFilm]], tmp_path: Path) -> None:
    config = configure(learning_rate=1e38, gradient_clip_norm=0.0, epochs=1)
    with pytest.raises(DivergenceError, match="learning_rate"):
        train(films["train"], films["validation"], config, str(tmp_path))


def test_history_and_tensorboard_logs(undisturbed: tuple[TrainingResult, Path]) -> None:
    result, directory = undisturbed
    assert json.loads((directory / "history.json").read_text()) == list(result.history)
    with (directory / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == [entry["loss"] for entry in result.history]
    logged = {}
    for path in (directory / "logs").iterdir():
        for raw in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(raw)
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                logged[event.step, value.tag] = float(tf.make_ndarray(value.tensor))
    assert logged[2, "training/loss"] == pytest.approx(result.history[1]["loss"], rel=1e-6)
    assert (1, "validation/valence_mse") in logged


def test_without_a_terminal_progress_is_one_line_an_epoch() -> None:
    stream = io.StringIO()
    entry = {"epoch": 2, "loss": 1.25, "selection": "mse", "score": 0.5, "best": True, "wall_s": 3.0}
    with TrainingProgress(stream) as progress:
        progress.start(epochs=9, finished_epochs=1)
        for batch in range(50):
            progress.batch_done(2, batch + 1, 50)
        progress.epoch_done(entry)
    assert stream.getvalue().splitlines() == [
        "goes on after epoch 1 of at most 9",
        "epoch 2/9  loss 1.2500  validation mse 0.5000 *  3.0 s",
    ]


def test_cross_entropy_is_right_and_finite_at_the_ends() -> None:
    p, y = np.array([[0.2, 0.7], [0.5, 0.9]], np.float32), np.array([[0.0, 1.0], [0.3, 0.6]], np.float32)
    expected = -np.sum(y * np.log(p) + (1 - y) * np.log(1 - p), axis=1)
    np.testing.assert_allclose(cross_entropy(p, y), expected, rtol=1e-5)
    ends = tf.constant([[0.0, 1.0], [1.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(ends)
        losses = cross_entropy(ends, tf.constant([[1.0, 0.0], [0.5, 0.5]]))
    assert np.isfinite(losses).all()
    assert np.isfinite(tape.gradient(losses, ends)).all()
