"""The training step with each loss, encoder and precision: its arithmetic, its repetition, and what it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from beam_pipelines.films.catalogue import films_of_splits, read_manifest
from tests.support import numpy_reference as reference
from tests.support.synthetic_films import DataSet
from tests.trainer.data.test_windows import make_films
from tests.trainer.training.test_train import Killed, KillingProgress, assert_same_run
from trainer.data.dataset import TrainingFilm, load_films, read_statistics
from trainer.data.transform import load_transform
from trainer.data.windows import WindowTable, stack_films
from trainer.foundation.config import TrainConfig
from trainer.network.encoders import TCNEncoder
from trainer.network.model import build_model
from trainer.training.checkpoints import TrainingState
from trainer.training.step import make_optimizer, make_step, supervise_windows
from trainer.training.train import train

TCN = {"kind": "tcn", "filters": 6, "filters_step": 2, "levels": 1, "kernel_s": 3}
LSTM = {"kind": "lstm", "units": 6, "layers": 2, "states": "all"}
NETWORK = {"modalities": ["face"], "window_s": 8, "dropout": 0.1}
WITHOUT_DROPOUT = {"dropout": 0.0, "feature_dropout": 0.0, "modality_dropout": 0.0}
TWO = {"modalities": ["audio", "face"], "modality_dropout": 0.2}
BATCH_NORMALIZATION = {"batch_normalization": True, "batch_statistics_at_inference": "film"}
TCN_RUN, LSTM_RUN = "tcn, film statistics, bfloat16", "lstm, ccc, float16"
RUNS: dict[str, dict[str, Any]] = {
    TCN_RUN: {
        "precision": "mixed_bfloat16",
        "loss": "mse",
        "stride_s": 4,
        "model": {**NETWORK, **BATCH_NORMALIZATION, **TWO, "encoder": TCN, "encoders": {"face": {"units": 6}}},
    },
    LSTM_RUN: {
        "precision": "mixed_float16",
        "loss": "ccc",
        "stride_s": 4,
        "model": {**NETWORK, "encoder": {"kind": "lstm", "units": 6}},
    },
}


@pytest.fixture(scope="module")
def films(dataset: DataSet) -> dict[str, list[TrainingFilm]]:
    manifest, statistics = read_manifest(dataset.manifest), read_statistics(dataset.transform)
    transform, labels = load_transform(dataset.transform), TrainConfig().labels
    return {
        split: load_films(
            dataset.records, films_of_splits(manifest, [split]), transform, statistics, labels, ["audio", "face"]
        )
        for split in ("train", "validation")
    }


def configure(**changes: Any) -> TrainConfig:
    return TrainConfig.model_validate({"batch_size": 64, "epochs": 2, "learning_rate": 0.01, **changes})


@pytest.mark.slow  # `test_train` kills a run too
@pytest.mark.parametrize("name", [TCN_RUN, LSTM_RUN])
def test_a_killed_run_ends_at_the_weights_of_an_undisturbed_one(
    films: dict[str, list[TrainingFilm]], tmp_path: Path, name: str
) -> None:
    config = configure(**RUNS[name])
    whole = train(films["train"], films["validation"], config, str(tmp_path / "whole"))
    batches = whole.history[0]["batches"]
    run: dict[str, Any] = {"output": str(tmp_path / "killed"), "checkpoint_batches": 1}
    with pytest.raises(Killed):
        train(films["train"], films["validation"], config, progress=KillingProgress(batches + 1), **run)
    assert_same_run(whole, train(films["train"], films["validation"], config, **run))
    assert whole.history[-1]["loss"] < whole.history[0]["loss"]
    assert all(np.isfinite(entry["gradient_norm"]) for entry in whole.history)
    assert all(variable.dtype == "float32" for variable in whole.model.trainable_variables)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "ccc"])
@pytest.mark.parametrize("encoder", [TCN, LSTM], ids=["tcn", "lstm"])
def test_one_step_takes_the_loss_of_the_formulas(tmp_path: Path, loss: str, encoder: dict[str, Any]) -> None:
    network = {"modalities": ["face"], "window_s": 6, "encoder": encoder, "l2": 0.0, **WITHOUT_DROPOUT}
    config = configure(loss=loss, model=network, learning_rate=1e-12)
    table = stack_films(make_films([9, 4]))
    if loss == "mse":
        table = replace(table, weights=np.linspace(0.5, 1.5, 13, dtype=np.float32))
    ends = np.array([0, 2, 8, 9, 12], np.int32)
    model, optimizer, state = make_parts(config, tmp_path)
    expected = loss_of_the_formulas(model, table, ends, config)
    make_step(model, optimizer, table, state, config)(ends, np.array([1, 1], np.int32))
    assert float(state.loss_sum.numpy()) / 5 == pytest.approx(expected, abs=1e-5)


def test_a_sequence_loss_takes_every_labelled_second_of_a_window_and_each_window_alike() -> None:
    table = stack_films(make_films([9, 4]))
    ends = tf.constant([0, 5, 8, 9, 12])
    starts = tf.gather(table.row_start, ends)
    seconds, rows, weights = (np.asarray(x) for x in supervise_windows(ends, starts, tf.constant(table.known), 4, 5))
    expected = [
        (window, position, end - 3 + position)
        for window, end in enumerate(ends.numpy())
        for position in range(4)
        if end - 3 + position >= (0 if end < 9 else 9) and table.known[end - 3 + position]
    ]
    np.testing.assert_array_equal(np.argwhere(seconds), [entry[:2] for entry in expected])
    np.testing.assert_array_equal(rows, [entry[2] for entry in expected])
    in_window = np.array([entry[0] for entry in expected])
    for window in np.unique(in_window):
        assert weights[in_window == window].sum() == pytest.approx(0.2)
        assert np.ptp(weights[in_window == window]) == 0.0


def test_the_sequence_loss_is_that_of_a_tcn_unless_configured() -> None:
    assert not configure().sequence_loss
    assert configure(loss_seconds="window").sequence_loss
    assert configure(model={"encoders": {"face": TCN}}).sequence_loss
    assert not configure(model={"encoders": {"face": TCN}}, loss_seconds="last").sequence_loss


@pytest.mark.usefixtures("eagerly")
def test_gradients_are_clipped_by_their_unscaled_norm_and_an_overflow_leaves_the_step_out(tmp_path: Path) -> None:
    network = {"modalities": ["face"], "window_s": 3, "encoder": {"units": 4}, "l2": 0.0, **WITHOUT_DROPOUT}
    table, ends = stack_films(make_films([40])), np.arange(0, 40, 2, dtype=np.int32)
    norms = {}
    for precision in ("float32", "mixed_float16"):
        config = configure(precision=precision, model=network, gradient_clip_norm=1e-4)
        model, optimizer, state = make_parts(config, tmp_path / precision)
        step = make_step(model, optimizer, table, state, config)
        step(ends, np.array([1, 1], np.int32))
        norms[precision] = float(state.gradient_norm_sum.numpy())
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    assert norms["mixed_float16"] == pytest.approx(norms["float32"], rel=0.02)
    # Adam's first moments are a tenth of the gradients it was given: those are unscaled, and clipped.
    moments = [v.numpy() for v in optimizer.inner_optimizer.variables if "momentum" in v.path]
    assert np.sqrt(sum(np.sum(moment**2) for moment in moments)) == pytest.approx(1e-5, rel=0.01)
    before, scale = model.get_weights(), 2.0**60
    optimizer.dynamic_scale.assign(scale)
    step(ends, np.array([1, 2], np.int32))
    assert float(optimizer.dynamic_scale.numpy()) == scale / 2
    assert float(state.gradient_norm_sum.numpy()) == norms["mixed_float16"]
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def make_parts(config: TrainConfig, directory: Path) -> tuple[Any, Any, TrainingState]:
    model = build_model(config.model, {"face": 4}, config.seed, dtype=config.precision)
    optimizer = make_optimizer(config)
    optimizer.build(model.trainable_variables)
    return model, optimizer, TrainingState(str(directory), model, optimizer)


def loss_of_the_formulas(model: Any, table: WindowTable, ends: np.ndarray, config: TrainConfig) -> float:
    """The batch's loss in NumPy, window by window and second by second."""
    rows = {key: values.numpy()[:-1] for key, values in table.rows.items()}
    inputs, targets = reference.encoder_inputs(model, rows, "face"), (table.labels.numpy() + 1.0) / 2.0
    states, wanted, weights, rows_of, encoder = [], [], [], [], model.encoders[0]
    before, after = model.window_rows(config.sequence_loss)
    for end in ends:
        start, stop = int(table.row_start.numpy()[end]), int(table.row_stop.numpy()[end])
        window = reference.window_of(inputs, end, start, before + 1, stop, lookahead=after)
        if isinstance(encoder, TCNEncoder):
            sequence = reference.tcn_sequence(window, encoder)[: before + 1]
        else:
            sequence = reference.encoder_sequence(window, encoder)
        seconds = [end]
        if config.sequence_loss:
            seconds = [s for s in range(max(start, end - config.model.window_s + 1), end + 1) if table.known[s]]
        states += [sequence[second - end - 1] for second in seconds]
        wanted += [targets[second] for second in seconds]
        weights += [1.0 / len(seconds)] * len(seconds)
        rows_of += seconds
    p = reference.fusion(model, np.stack(states), np.zeros(len(states)))
    y, w = np.stack(wanted), np.array(weights) / len(ends)
    if config.loss == "ccc":
        return sum(1.0 - reference.concordance(p[:, target], y[:, target], w) for target in (0, 1))
    if table.weights is not None:
        w = w * table.weights[np.array(rows_of)]
    each = (p - y) ** 2 if config.loss == "mse" else -(y * np.log(p + 1e-6) + (1 - y) * np.log(1 - p + 1e-6))
    return float(w @ each.sum(axis=1))
