"""The experiment's statistics against simulation and by hand, its sanity arms, and the command on made-up data."""

from __future__ import annotations

import gzip
import io
import re
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.labels.annotations import LabelReport
from beam_pipelines.normalisation.config import PrepareConfig
from benchmarks import network_or_ridge
from benchmarks.network_or_ridge import (
    ARMS,
    CONFIGURATION,
    SHIFT_S,
    TRACKS,
    disturb,
    fit,
    main,
    read_curves,
    settings_of,
    step_of,
)
from benchmarks.network_or_ridge_report import report_of
from benchmarks.paired_runs import block_interval, detectable_effect, difference, drawn_out, holm, shift_null
from benchmarks.studyforrest_data import DATA_FILE, FoldFilms, Recording, TrackConfig
from trainer.data.dataset import TrainingFilm


def slow_series(count: int, seconds: int, seed: int) -> np.ndarray:
    """Independent slow series of deviation 0.3, [count, T]."""
    noise = np.random.default_rng(seed).normal(size=(count, seconds + 60))
    made = np.stack([np.convolve(one, np.ones(61), mode="valid") for one in noise])
    return 0.3 * made / made.std(axis=1, keepdims=True)


def test_the_paired_test_is_one_sided_and_a_lower_error_is_better():
    ours, theirs = [0.5, 0.6, 0.4, 0.7], [0.4, 0.55, 0.3, 0.65]
    better, worse = difference(ours, theirs, "pcc"), difference(ours, theirs, "rmse")
    assert (better.mean, worse.mean) == (pytest.approx(0.075), pytest.approx(-0.075))
    assert better.p_value == pytest.approx(1.0 - worse.p_value)
    # t = 0.075 / (0.02887 / 2) = 5.196 with 3 degrees of freedom: the tail is 0.00692
    assert better.p_value == pytest.approx(0.00692, abs=1e-4)


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.5}) == {
        "a": pytest.approx(0.04),
        "c": pytest.approx(0.09),
        "b": pytest.approx(0.09),  # never below one that was rejected before it
        "d": pytest.approx(0.5),
    }


def test_the_detectable_effect_is_found_as_often_as_it_says():
    effect = detectable_effect(8, 0.0125, 0.8)
    assert f"{effect:.2f} standard" in (CONFIGURATION.with_suffix(".md")).read_text()
    draws = np.random.default_rng(1).normal(effect, 1.0, size=(2000, 8))
    found = np.mean([difference(one, np.zeros(8), "pcc").p_value <= 0.0125 for one in draws])
    assert found == pytest.approx(0.8, abs=0.03)


def test_blocks_cover_the_difference_of_two_arms():
    true = list(slow_series(4, 600, 2))
    ours = [one + 0.5 * error for one, error in zip(true, slow_series(4, 600, 3), strict=True)]
    theirs = [one + 1.5 * error for one, error in zip(true, slow_series(4, 600, 4), strict=True)]
    low, high = block_interval(ours, theirs, true, "pcc", draws=100)
    found = np.mean(
        [np.corrcoef(o, t)[0, 1] - np.corrcoef(h, t)[0, 1] for o, h, t in zip(ours, theirs, true, strict=True)]
    )
    assert 0.0 < low < found < high
    assert block_interval(ours, ours, true, "rmse", draws=20) == (0.0, 0.0)


def test_slow_series_correlate_by_chance_and_the_null_shows_how_much():
    curves, labels = slow_series(8, 400, 5), slow_series(8, 400, 6)
    null = shift_null(curves, labels, draws=200)
    assert abs(null.mean()) < 0.05
    assert null.std() > 3.0 / np.sqrt(8 * 400)  # far wider than independent seconds would give
    assert shift_null(labels, labels, draws=50).max() < 0.5


def test_a_curve_is_drawn_out_about_its_mean():
    curves = np.array([[0.1, -0.5], [0.3, 0.9]])
    np.testing.assert_allclose(drawn_out(curves, 2.0), [[0.0, -1.0], [0.4, 1.0]])


def film(name: str, seed: int, seconds: int = 700) -> TrainingFilm:
    """A film whose labels follow its first two features at once."""
    generator = np.random.default_rng(seed)
    curves = slow_series(2, seconds, seed).T.astype(np.float32)
    low = np.concatenate([curves / 0.3, generator.normal(size=(seconds, 3))], axis=1).astype(np.float32)
    phash = generator.normal(size=(seconds, 2)).astype(np.float32)
    known = np.ones(seconds, bool)
    return TrainingFilm(
        film_id=name,
        split="",
        features={"low": low, "phash": phash},
        present={key: np.ones((seconds, 1), np.float32) for key in TRACKS},
        labels=curves,
        known=known,
        label_rows=curves,
        report=LabelReport(name, seconds, seconds, seconds, 0, 0, 0),
        source_sha256=name,
        digest=name,
    )


@pytest.fixture(scope="module")
def fold() -> FoldFilms:
    return FoldFilms(tuple(film(f"run{n}", n) for n in (3, 4, 5)), film("run1", 1), film("run2", 2))


@pytest.mark.parametrize(("name", "found"), [("b", True), ("b shifted", False), ("b reversed", False)])
def test_what_the_features_say_is_found_and_the_sanity_arms_find_nothing(fold, name, found, tmp_path):
    arm = ARMS[name]
    recording = Recording("", "0" * 64, (), *(np.zeros((1, 2)) for _ in range(2)), np.zeros(1), np.zeros(1, int))
    config = settings_of(arm, 1, [], str(CONFIGURATION))
    step = step_of(arm, config, recording, str(tmp_path), 2)
    assert read_curves(step) is None
    fit(arm, config, fold, step)
    curves = read_curves(step)
    assert curves is not None
    for column in range(2):
        null = shift_null([curves.smoothed[:, column]], [fold.test.labels[:, column]], draws=100)
        figure = np.corrcoef(curves.smoothed[:, column], fold.test.labels[:, column])[0, 1]
        assert (figure > 0.9) == found
        if not found:
            assert figure <= null.max() + 0.1


@pytest.mark.parametrize(
    ("name", "other"), [("PREPARED", PrepareConfig(clip=4.0)), ("MARGIN_S", 10), ("TRACKS", {"low": TRACKS["low"]})]
)
def test_curves_of_features_that_are_made_otherwise_are_another_step(name, other, monkeypatch, tmp_path):
    recording = Recording("", "0" * 64, (), *(np.zeros((1, 2)) for _ in range(2)), np.zeros(1), np.zeros(1, int))
    config = settings_of(ARMS["b"], 1, [], str(CONFIGURATION))
    before = step_of(ARMS["b"], config, recording, str(tmp_path), 2)
    monkeypatch.setattr(network_or_ridge, name, other)
    assert step_of(ARMS["b"], config, recording, str(tmp_path), 2).directory != before.directory


def test_disturbed_folds_keep_the_test_runs_labels(fold):
    shifted, reversed_ = disturb(fold, "shifted"), disturb(fold, "reversed")
    np.testing.assert_array_equal(shifted.train[0].labels[SHIFT_S], fold.train[0].labels[0])
    np.testing.assert_array_equal(reversed_.train[0].features["low"][0], fold.train[0].features["low"][-1])
    for other in (shifted, reversed_):
        np.testing.assert_array_equal(other.test.labels, fold.test.labels)
    np.testing.assert_array_equal(shifted.test.features["low"], fold.test.features["low"])
    assert disturb(fold, "") is fold


def test_the_report_says_what_was_found_and_what_was_not_run():
    runs = range(1, 9)
    labels = {run: slow_series(2, 400, run).T for run in runs}
    noise = {run: slow_series(2, 400, 50 + run).T for run in runs}

    def arm(share: float) -> dict[int, np.ndarray]:
        return {run: labels[run] + share * noise[run] for run in runs}

    text = report_of({"b": [arm(1.0)], "d": [arm(0.3), arm(0.35)], "a": [arm(1.02)]}, labels, draws=10)
    assert text.count(": better\n") == 4
    assert "the network adds to ridge regression" in text
    sanity = "b shifted, b reversed, d shifted, d reversed"
    assert f"not run on all test runs, so not here: arms c, e, f, g, {sanity}" in text
    assert "PRELIMINARY: 2 of the protocol's 10 seeds" in text
    whole = report_of({"b": [arm(1.0)], "d": [arm(0.3)] * 10}, labels, draws=2)
    assert whole.startswith("PRELIMINARY: nulls and intervals are of 2 draws, the protocol's of 2000")
    assert whole.count("PRELIMINARY") == 1
    equal = report_of({"b": [arm(1.0)], "d": [arm(1.0)]}, labels, draws=10)
    assert equal.count("no difference found") == 4
    assert "is not shown to add" in equal
    assert "not distinguishable" in equal
    disturbed = report_of({"b": [arm(1.0)], "b shifted": [noise], "d shifted": [arm(0.3)]}, labels, draws=100)
    for column, target in enumerate(TARGETS):
        found = np.mean([np.corrcoef(noise[run][:, column], labels[run][:, column])[0, 1] for run in runs])
        assert re.search(rf"b shifted, {target}: \{found:+.3f} in .*: nothing, as it must be", disturbed)
        assert re.search(rf"d shifted, {target}: \+0.9\d\d in .*: OUTSIDE", disturbed)


def test_every_arm_has_the_features_and_settings_of_the_protocol():
    assert TRACKS["low"] == TrackConfig(means_half_s=(3, 10, 30, 60, 120), deviations_half_s=(5, 15, 45))
    assert TRACKS["phash"] == TrackConfig(means_half_s=(3, 10, 30), components=32)
    ours = settings_of(ARMS["d"], 3, [], str(CONFIGURATION))
    assert ours.seed == 3
    assert (ours.loss, ours.selection) == ("mse", "mse")
    assert (ours.model.modalities, ours.model.window_s, ours.model.encoder.units) == (("low", "phash"), 10, 16)
    assert (ours.batch_size, ours.epochs, ours.patience, ours.learning_rate) == (128, 25, 10, 0.005)
    assert settings_of(ARMS["b"], 3, [], str(CONFIGURATION)).ridge == type(ours)().ridge
    text = CONFIGURATION.with_suffix(".md").read_text()
    assert all(re.search(rf"^\| {name} \|", text, re.M) for name in "abcdefg")


@pytest.mark.slow
def test_the_command_keeps_each_result_and_goes_on(tmp_path: Path):
    generator, names = np.random.default_rng(3), ["v_brmean", "a_logrms", *(f"v_phash{bit:03d}" for bit in range(40))]
    features = generator.normal(size=(8 * 150, len(names))).cumsum(axis=0) / 5.0
    rows = [",".join(["t", "run", "arousal", "valence", *names])]
    for second, row in enumerate(np.column_stack([np.tanh(features[:, :2]), features])):
        rows.append(",".join([str(second), str(second // 150 + 1), *(f"{value:.5f}" for value in row)]))
    with gzip.open(tmp_path / DATA_FILE, "wt") as file:
        file.write("\n".join(rows) + "\n")
    where = ["--data", str(tmp_path), "--output", str(tmp_path / "out"), "--runs", "1", "--seeds", "1"]
    where += ["--set", "epochs=1", "--set", "smoothing_cutoffs_hz=[0.1]"]
    assert main([*where, "--arms", "a", "b", "--stop-at", "00:00"]) == 0
    assert not list((tmp_path / "out").rglob("curves.npz"))
    assert main([*where, "--arms", "a", "b", "c", "d"]) == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("curves.npz")}
    assert len(before) == 4
    with redirect_stdout(io.StringIO()) as printed:
        assert main([*where, "--arms", "a", "b", "c", "d", "--report", "--draws", "5"]) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert "arms e, g" in printed.getvalue()
    assert all(f"\n{name} " in printed.getvalue() for name in ("a", "b", "c", "d", "f"))
    assert all(target in printed.getvalue() for target in TARGETS)
