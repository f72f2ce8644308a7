"""The benchmark on real labels: folds that don't leak, context that stays in its run, ridge rows as published."""

from __future__ import annotations

import csv
import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.studyforrest import CONFIGURATION, main, read_configuration
from benchmarks.studyforrest_data import (
    DATA_FILE,
    MARGIN_S,
    RUNS,
    Fold,
    FoldTransform,
    TrackConfig,
    load_fold,
    read_recording,
    running_mean,
    write_films,
)
from benchmarks.studyforrest_report import figures_of, rows_of
from benchmarks.studyforrest_ridge import published_ridge
from trainer.config import LabelConfig
from trainer.metrics import TARGETS

RUN_S = 80
TRACKS = {
    "visual": TrackConfig(means_half_s=(3, 10), deviations_half_s=(5,)),
    "phash": TrackConfig(components=4),
    "cues": TrackConfig(),
}


@pytest.fixture(scope="module")
def made_up(tmp_path_factory) -> Path:
    """A file of the same columns, eight runs of 80 seconds, its labels a slow function of its features."""
    names = ["v_brmean", "v_norm_diff", "a_logrms", *(f"v_phash{bit:03d}" for bit in range(12)), "m_music", "m_words"]
    generator = np.random.default_rng(3)
    features = generator.normal(size=(8 * RUN_S, len(names))).cumsum(axis=0) / 5.0
    arousal, valence = np.tanh(features[:, 0]), np.tanh(features[:, -1])
    lines = [",".join(["t", "run", "arousal", "valence", *names])]
    for second, row in enumerate(np.column_stack([arousal, valence, features])):
        lines.append(",".join([str(second), str(second // RUN_S + 1), *(f"{value:.5f}" for value in row)]))
    directory = tmp_path_factory.mktemp("studyforrest")
    with gzip.open(directory / DATA_FILE, "wt") as file:
        file.write("\n".join(lines) + "\n")
    return directory


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(0, 50), st.integers(0, 2**31))
def test_a_running_mean_is_that_of_the_seconds_around(seconds, half_s, seed):
    values = np.random.default_rng(seed).normal(size=(seconds, 2))
    expected = [values[max(0, t - half_s) : t + half_s + 1].mean(axis=0) for t in range(seconds)]
    np.testing.assert_allclose(running_mean(values, half_s), expected, atol=1e-12)


def test_context_stays_within_its_run(made_up):
    recording = read_recording(made_up)
    values = recording.of(["v_br"])
    changed = np.where((recording.run == 2)[:, None], values + 100.0 * values**2, values)
    config = TrackConfig(means_half_s=(30,), deviations_half_s=(10,))
    before, after = recording.with_context(values, config), recording.with_context(changed, config)
    assert before.shape == (8 * RUN_S, 3)
    np.testing.assert_array_equal(before[recording.run != 2], after[recording.run != 2])
    assert not np.allclose(before[recording.run == 2], after[recording.run == 2])
    second = RUN_S + 40
    np.testing.assert_allclose(before[second, 2], values[second - 10 : second + 11].std(), rtol=1e-9)


@pytest.mark.parametrize("test", RUNS)
def test_training_keeps_away_from_both_held_out_runs(made_up, test):
    recording, fold = read_recording(made_up), Fold(test)
    kept = fold.training_seconds(recording)
    assert fold.validation == (test - 1 or 8)
    held_out = recording.time_s[np.isin(recording.run, [test, fold.validation])]
    distance_s = np.abs(recording.time_s[kept][:, None] - held_out[None, :]).min()
    assert distance_s == MARGIN_S + 1
    assert set(recording.run[kept]) == set(fold.train)


def test_what_is_held_out_changes_nothing_in_training(made_up):
    recording, fold = read_recording(made_up), Fold(4)
    kept = fold.training_seconds(recording)
    elsewhere = replace(recording, values=np.where(kept[:, None], recording.values, recording.values + 7.0))
    plain = {"phash": TRACKS["phash"], "cues": TRACKS["cues"]}  # context sees the margin, as it does at test time
    one, other = (FoldTransform.fit(data, plain, kept) for data in (recording, elsewhere))
    for name in plain:
        np.testing.assert_array_equal(one.scores[name][0], other.scores[name][0])
        np.testing.assert_array_equal(one.scores[name][1], other.scores[name][1])
    np.testing.assert_array_equal(one.projections["phash"], other.projections["phash"])


def test_the_trainer_reads_what_was_written(made_up, tmp_path):
    recording, fold = read_recording(made_up), Fold(1)
    films = write_films(recording, TRACKS, str(tmp_path))
    loaded = load_fold(recording, fold, films, TRACKS, str(tmp_path), LabelConfig())
    assert [film.film_id for film in loaded.train] == [f"run{run}" for run in fold.train]
    np.testing.assert_allclose(loaded.test.labels, recording.labels[recording.run == 1], atol=1e-6)
    assert loaded.test.known.all()
    assert loaded.validation.known.all()
    kept = fold.training_seconds(recording)
    rows = []
    for film, run in zip(loaded.train, fold.train, strict=True):
        np.testing.assert_array_equal(film.known, kept[recording.run == run])
        assert len(film.label_rows) == film.known.sum()
        rows.append(film.features["phash"][film.known])
    components = np.concatenate(rows)
    assert components.shape[1] == 4
    # Whitened over the very seconds that are trained on; the cut at four deviations touches few.
    np.testing.assert_allclose(np.cov(components.T, bias=True), np.eye(4), atol=0.05)


def test_the_command_trains_and_writes_table_and_picture(made_up, tmp_path, capsys):
    config = tmp_path / "small.yaml"
    config.write_text(CONFIGURATION.read_text().replace("components: 32", "components: 4"))
    assert main(["--quick", "--data", str(made_up), "--config", str(config), "--output", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "studyforrest.csv").read_text().splitlines()))
    assert {row["target"] for row in rows} == {"arousal", "valence"} == set(TARGETS)
    ours = [row for row in rows if row["predictor"].startswith("ours") and row["metric"] == "rmse"]
    assert len(ours) == 4
    assert all(0.0 < float(row["run1"]) < 2.0 for row in ours)
    assert "one human observer" in shown
    assert "ridge, all" in shown
    assert (tmp_path / "studyforrest.png").read_bytes().startswith(b"\x89PNG")


def test_without_the_data_it_says_what_is_missing(tmp_path, capsys):
    assert main(["--data", str(tmp_path / "nowhere")]) == 2
    message = capsys.readouterr().err
    assert DATA_FILE in message
    assert "--data" in message


def test_the_shipped_configuration_is_a_gru_with_a_butterworth_filter_and_five_seeds():
    config = read_configuration(CONFIGURATION)
    assert len(set(config.seeds)) == 5
    for member in (*config.arousal, *config.valence):
        assert member.train.model.modalities == tuple(member.tracks)
        assert {member.train.model.encoder_of(name).kind for name in member.tracks} == {"gru"}
        assert member.train.smoothing.method == "butterworth"


@pytest.mark.parametrize(
    ("name", "arousal", "valence"),
    [
        ("low", (0.37, 0.28, 0.406), (0.12, 0.06, 0.595)),
        ("low + cues", (0.35, 0.27, 0.407), (0.22, 0.12, 0.590)),
        ("all", (0.39, 0.34, 0.419), (0.09, 0.08, 0.678)),
    ],
)
def test_ridge_comes_out_as_published(shared_data, name, arousal, valence):
    if not (shared_data / "studyforrest").is_dir():
        pytest.skip("needs ../shared/data/studyforrest")
    recording = read_recording(shared_data / "studyforrest")
    rows = {row.target: row for row in rows_of(name, [published_ridge(recording, name)], recording)}
    for target, published in (("arousal", arousal), ("valence", valence)):
        found = [rows[target].mean(metric) for metric in ("pcc", "ccc", "rmse")]
        np.testing.assert_allclose(found, published, atol=0.01)


def test_figures_of_a_run_by_hand():
    figures = figures_of(np.array([0.0, 1.0, 2.0]), np.array([0.0, 2.0, 4.0]))
    assert figures["pcc"] == pytest.approx(1.0)
    assert figures["ccc"] == pytest.approx(2 * (4 / 3) / (2 / 3 + 8 / 3 + 1))
    assert figures["rmse"] == pytest.approx(np.sqrt(5 / 3))
