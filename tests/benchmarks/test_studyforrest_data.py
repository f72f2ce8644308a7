"""Real labels in folds: they don't leak, and context stays in its run."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from beam_pipelines.contracts.records.records import digest, read_record
from beam_pipelines.foundation.configuration import load_section
from beam_pipelines.labels.config import LabelConfig
from beam_pipelines.normalisation.config import PrepareConfig
from benchmarks import studyforrest_data
from benchmarks.network_or_ridge import main
from benchmarks.studyforrest_data import (
    DATA_FILE,
    MARGIN_S,
    RUNS,
    Fold,
    TrackConfig,
    load_fold,
    prepare_fold,
    read_recording,
    running_mean,
    write_films,
)
from tests.support.hypothesis_profiles import examples

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


@examples(30)
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


def test_the_transform_is_made_from_the_training_seconds_alone(made_up, tmp_path, monkeypatch):
    """And by `cineaffect prepare`, whose components the configuration names."""
    made = []
    monkeypatch.setattr(studyforrest_data, "prepare_transform", lambda *given: made.append(given) or "transform")
    recording, fold = read_recording(made_up), Fold(4)
    kept = fold.training_seconds(recording)
    elsewhere = replace(recording, values=np.where(kept[:, None], recording.values, recording.values + 7.0))
    plain = {"phash": TRACKS["phash"], "cues": TRACKS["cues"]}  # context sees the margin, as it does at test time
    found = []
    for data in (recording, elsewhere):
        assert prepare_fold(data, fold, plain, str(tmp_path)) == "transform"
        found.append(read_record(str(tmp_path / "training.tfrecord")))
    assert digest(found[0], list(plain)) == digest(found[1], list(plain))
    np.testing.assert_allclose(found[0].tracks["cues"].values, recording.of(["m_"])[kept], rtol=1e-6)
    assert made[0] == (str(tmp_path / "training.csv"), str(tmp_path), str(tmp_path), str(tmp_path / "prepare.yaml"))
    assert load_section("prepare", PrepareConfig, made[0][3]) == PrepareConfig(pca_components={"phash": 4}, clip=4.0)


@pytest.mark.slow
@pytest.mark.usefixtures("commands_in_process")
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


def test_without_the_data_it_says_what_is_missing(tmp_path, capsys):
    assert main(["--data", str(tmp_path / "nowhere")]) == 2
    message = capsys.readouterr().err
    assert DATA_FILE in message
    assert "--data" in message


@pytest.mark.parametrize("seeds", ["0", "-1"])
def test_no_seeds_are_refused(seeds, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["--seeds", seeds])
    assert exit_.value.code == 2
    assert f"argument --seeds: {seeds} is less than 1" in capsys.readouterr().err
