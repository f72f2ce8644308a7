"""The benchmark on real labels: folds that don't leak, context that stays in its run, ridge rows as in the notes."""

from __future__ import annotations

import csv
import gzip
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from beam_pipelines.contracts.records.records import digest, read_record
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation.configuration import load_section
from beam_pipelines.labels.config import LabelConfig
from beam_pipelines.normalisation.config import PrepareConfig
from benchmarks import studyforrest_data
from benchmarks.studyforrest import (
    BY_FOLD,
    CONFIGURATION,
    OURS,
    SHARED,
    StudyForrestConfig,
    answers_of,
    main,
    read_configuration,
    scores_without,
)
from benchmarks.studyforrest_data import (
    DATA_FILE,
    MARGIN_S,
    RUNS,
    Fold,
    Recording,
    TrackConfig,
    load_fold,
    prepare_fold,
    read_recording,
    running_mean,
    write_films,
)
from benchmarks.studyforrest_ensemble import RULES, blocks, choose, combined, greedily, smoothed
from benchmarks.studyforrest_nested import Curves, FoldCurves, best_rule, nested_scores
from benchmarks.studyforrest_report import figures_of, rows_of, to_text
from benchmarks.studyforrest_ridge import given_ridge
from tests.support.hypothesis_profiles import examples
from trainer.foundation.config import TrainConfig

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


SMALL = """
seeds: [1, 2]
candidates:
  sound and cues:
    tracks: {audio: {means_half_s: [3]}, cues: {}}
    train: &train
      {stride_s: 4, loss: ccc, smoothing_cutoffs_hz: [0.1], model: {window_s: 4, encoder: {units: 3}}}
  low, hash:
    tracks: {low: {deviations_half_s: [5]}, phash: {components: 4}}
    train: *train
"""


@pytest.fixture(scope="module")
def small(made_up, tmp_path_factory) -> tuple[list[str], Path]:
    """The command's arguments for two candidates on one fold, and its output directory after a first start."""
    output = tmp_path_factory.mktemp("runs")
    (output / "small.yaml").write_text(SMALL)
    places = ["--data", str(made_up), "--config", str(output / "small.yaml"), "--output", str(output)]
    assert main(["--quick", *places]) == 0
    return places, output


@pytest.mark.slow
def test_the_command_trains_and_writes_table_and_picture(small):
    _, output = small
    rows = list(csv.DictReader((output / "studyforrest.csv").read_text().splitlines()))
    assert {row["target"] for row in rows} == {"arousal", "valence"} == set(TARGETS)
    predictors = list(dict.fromkeys(row["predictor"] for row in rows))
    assert predictors == [
        "constant mean",
        *(f"ridge, {name}" for name in ("low", "low + cues", "all")),
        *(f"ridge, features of {name}" for name in ("sound and cues", "low, hash")),
        *("sound and cues", "low, hash"),
        *(rule.name for rule in RULES),
        *(SHARED, BY_FOLD, f"{OURS}, single seeds", OURS),
    ]
    assert all(0.0 < float(row["run1"]) < 2.0 for row in rows if row["metric"] == "rmse")
    assert (output / "studyforrest.png").read_bytes().startswith(b"\x89PNG")
    chosen = (output / "chosen.txt").read_text()
    assert "run 1, greedy selection on validation, valence: " in chosen


@pytest.mark.slow
def test_it_can_stop_before_any_figure(small, capsys):
    places, output = small
    assert main(["--quick", "--choose", *places]) == 0
    assert capsys.readouterr().out == (output / "chosen.txt").read_text()


@pytest.mark.slow
def test_a_second_start_trains_nothing_and_says_the_same(small, capsys):
    places, output = small
    table = (output / "studyforrest.csv").read_bytes()
    before = {path: path.stat().st_mtime_ns for path in output.rglob("curves.npz")}
    assert len(before) == 2
    assert main(["--quick", *places]) == 0
    assert {path: path.stat().st_mtime_ns for path in output.rglob("curves.npz")} == before
    assert (output / "studyforrest.csv").read_bytes() == table
    assert "one human observer" in capsys.readouterr().out


def test_without_the_data_it_says_what_is_missing(tmp_path, capsys):
    assert main(["--data", str(tmp_path / "nowhere")]) == 2
    message = capsys.readouterr().err
    assert DATA_FILE in message
    assert "--data" in message


def test_the_shipped_configuration_is_a_gru_with_a_butterworth_filter_and_five_seeds():
    config = read_configuration(CONFIGURATION)
    assert len(set(config.seeds)) == 5
    shared = set()
    for candidate in config.candidates.values():
        assert candidate.train.model.modalities == tuple(candidate.tracks)
        assert {candidate.train.model.encoder_of(name).kind for name in candidate.tracks} == {"gru"}
        assert candidate.train.smoothing.method == "butterworth"
        model = candidate.train.model.model_copy(update={"modalities": ()})
        shared.add(candidate.train.model_copy(update={"model": model}).model_dump_json())
    assert len(shared) == 1  # they differ in their features alone


SETTINGS = TrainConfig(smoothing_cutoffs_hz=(0.02, 0.1))
BY_NAME = {rule.name: rule for rule in RULES}


def fold_of(candidates: np.ndarray, true: np.ndarray) -> FoldCurves:
    """A fold whose candidates [C, S, T] are the same on both runs and for both targets."""
    curves = np.stack([smoothed(candidates, SETTINGS)] * 2)
    return FoldCurves(tuple(f"candidate {i}" for i in range(len(candidates))), curves, curves, np.stack([true, true]))


def errors(count: int, seconds: int, seed: int) -> np.ndarray:
    """Independent slow errors of deviation 1, [count, 1, T]."""
    made = running_mean(np.random.default_rng(seed).normal(size=(seconds, count)), 10)
    return (made / made.std(axis=0)).T[:, None, :]


def test_a_stretched_mean_is_as_wide_as_its_members():
    second = np.arange(200)
    members = np.stack([[0.3 * np.sin(second / 20 + shift) + 0.1] for shift in (0.0, 0.9, 2.0)])
    weights = np.full(3, 1 / 3)
    plain, stretched = (combined(members, weights, stretch, SETTINGS) for stretch in (False, True))
    np.testing.assert_allclose(plain, members.mean(axis=(0, 1)))
    assert plain.std() < 0.9 * members.std(axis=2).mean()
    assert stretched.std() == pytest.approx(members.std(axis=2).mean())
    assert stretched.mean() == pytest.approx(plain.mean())
    assert np.corrcoef(plain, stretched)[0, 1] == pytest.approx(1.0)
    np.testing.assert_allclose(combined(members, np.array([0.0, 1.0, 0.0]), True, SETTINGS), members[1, 0])
    np.testing.assert_array_equal(combined(np.full((2, 1, 5), 0.25), weights[:2] * 1.5, True, SETTINGS), [0.25] * 5)


def test_blocks_are_the_run_and_margins_surround_them():
    parts = np.array(blocks(884))
    assert (parts.sum(axis=0) == 1).all()
    assert set(parts.sum(axis=1)) == {176, 177}
    for block, around in zip(parts, blocks(884, MARGIN_S), strict=True):
        inside, beyond = np.flatnonzero(block), np.flatnonzero(~around)
        assert np.abs(inside[:, None] - beyond[None, :]).min() == MARGIN_S + 1
        assert around.sum() == block.sum() + MARGIN_S * (2 - (inside[0] == 0) - (inside[-1] == 883))


def test_greedy_selection_takes_what_helps_and_reads_the_known_seconds_only():
    true = 0.5 * np.sin(np.arange(600) / 30)
    candidates = np.concatenate([0.7 * true + 0.2 * errors(2, 600, 1), 0.4 * errors(1, 600, 2)])
    curves, known = smoothed(candidates, SETTINGS).mean(axis=2), np.arange(600) < 400
    weights = greedily(curves, true, known)
    assert weights.sum() == pytest.approx(1.0)
    assert weights[2] < 0.1
    assert min(weights[:2]) > 0.2
    np.testing.assert_array_equal(greedily(curves, np.where(known, true, -true), known), weights)
    assert not np.array_equal(greedily(curves, np.where(known, true[::-1], true), known), weights)


def test_the_rule_is_the_mean_where_selection_overfits():
    # Eight candidates that are equally good: selecting among them does better on what it knows, and elsewhere worse.
    true = 0.5 * np.sin(np.arange(900) / 60)
    fold = fold_of(true + 0.5 * errors(8, 900, 3), true)
    everything = np.ones(900, bool)
    known = {rule.name: choose(rule, fold.validation[0], true, everything, SETTINGS).ccc for rule in RULES}
    assert known["greedy selection on validation"] > known["mean of all"]
    scores = nested_scores(fold, SETTINGS)
    assert best_rule([scores]).name == "mean of all"
    assert scores["best candidate on validation"] < scores["mean of all"] - 0.05


def test_the_rule_is_a_selection_where_one_candidate_is_right():
    true = 0.5 * np.sin(np.arange(900) / 60)
    fold = fold_of(np.concatenate([0.4 * errors(3, 900, 4), true[None, None] + 0.1 * errors(1, 900, 5)]), true)
    scores = nested_scores(fold, SETTINGS)
    assert best_rule([scores]).name == "best candidate on validation"
    assert scores["mean of all"] < 0.8 < scores["best candidate on validation"]
    # Over several folds it is the mean that counts, and of equals the first.
    assert best_rule([scores, dict.fromkeys(scores, 0.0)]).name == "best candidate on validation"
    assert best_rule([dict.fromkeys(scores, 0.0)]) is RULES[0]


def test_the_rule_is_chosen_without_the_test_run_as_a_validation_run():
    scores = {run: {"number": float(run)} for run in RUNS}
    for test in RUNS:
        left_out = test % 8 + 1  # the fold that validates on it
        assert [one["number"] for one in scores_without(scores, test)] == [run for run in RUNS if run != left_out]
    assert scores_without({4: scores[4]}, 4) == [scores[4]]


def drawn_curves(config: StudyForrestConfig, recording: Recording, runs: tuple[int, ...]) -> dict[Any, Curves]:
    """Made-up curves of every candidate and seed on these folds: labels and noise."""
    generator = np.random.default_rng(6)
    return {
        (name, test, seed): Curves(
            *(
                np.clip(recording.labels[recording.run == run] + generator.normal(scale=0.5, size=(RUN_S, 2)), -1, 1)
                for run in (Fold(test).validation, test)
            )
        )
        for name in config.candidates
        for test in runs
        for seed in config.seeds
    }


def permuted_labels(recording: Recording, runs: list[int]) -> Recording:
    """The recording with the labels of these runs in another order."""
    moved, labels = np.isin(recording.run, runs), recording.labels.copy()
    labels[moved] = np.random.default_rng(7).permutation(labels[moved])
    return replace(recording, labels=labels)


@pytest.fixture(scope="module")
def two_seeds() -> StudyForrestConfig:
    """The shipped configuration with its first two seeds."""
    config = read_configuration(CONFIGURATION)
    return config.model_copy(update={"seeds": config.seeds[:2]})


def test_labels_of_the_test_run_change_nothing_that_is_chosen(made_up, two_seeds):
    recording = read_recording(made_up)
    trained = drawn_curves(two_seeds, recording, (1, 4))

    def chosen(runs: list[int]) -> tuple[list[str], np.ndarray]:
        answers, lines = answers_of(two_seeds, permuted_labels(recording, runs), trained, [1, 4])
        return lines, np.concatenate([one[run].test for seeds in answers.values() for one in seeds for run in (1, 4)])

    lines, curves = chosen([])
    for others in ([1, 4], [2, 5, 6, 7]):
        again, same = chosen(others)
        assert again == lines
        np.testing.assert_array_equal(same, curves)
    other, different = chosen([3, 8])  # the validation runs
    assert other != lines
    assert not np.array_equal(different, curves)


def test_nor_do_they_where_the_next_fold_validates_on_it(made_up, two_seeds):
    recording, runs = read_recording(made_up), (1, 4, 5)
    trained = drawn_curves(two_seeds, recording, runs)
    (before, _), (after, _) = (
        answers_of(two_seeds, permuted_labels(recording, moved), trained, runs) for moved in ([], [4])
    )
    np.testing.assert_array_equal(after[OURS][0][4].test, before[OURS][0][4].test)
    assert not np.array_equal(after[OURS][0][5].test, before[OURS][0][5].test)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arousal", "valence"),
    [
        ("low", (0.37, 0.28, 0.406), (0.12, 0.06, 0.595)),
        ("low + cues", (0.35, 0.27, 0.407), (0.22, 0.12, 0.590)),
        ("all", (0.39, 0.34, 0.419), (0.09, 0.08, 0.678)),
    ],
)
def test_ridge_comes_out_as_given(shared_data, name, arousal, valence):
    if not (shared_data / "studyforrest").is_dir():
        pytest.skip("needs ../shared/data/studyforrest")
    recording = read_recording(shared_data / "studyforrest")
    rows = {row.target: row for row in rows_of(name, [given_ridge(recording, name)], recording)}
    for target, noted in (("arousal", arousal), ("valence", valence)):
        found = [rows[target].mean(metric) for metric in ("pcc", "ccc", "rmse")]
        np.testing.assert_allclose(found, noted, atol=0.01)


def test_figures_of_a_run_by_hand():
    figures = figures_of(np.array([0.0, 1.0, 2.0]), np.array([0.0, 2.0, 4.0]))
    assert figures["pcc"] == pytest.approx(1.0)
    assert figures["ccc"] == pytest.approx(2 * (4 / 3) / (2 / 3 + 8 / 3 + 1))
    assert figures["rmse"] == pytest.approx(np.sqrt(5 / 3))


def test_seeds_differ_by_their_sample_deviation(made_up):
    recording = read_recording(made_up)
    true = recording.labels[recording.run == 1]
    curves = [{1: true + error} for error in (0.1, 0.2, 0.4)]
    for row in rows_of("model", curves, recording):
        assert row.figures["rmse"][1] == pytest.approx(0.7 / 3)
        assert row.seeds_sd["rmse"] == pytest.approx(statistics.stdev([0.1, 0.2, 0.4]))
    assert all(row.seeds_sd == {} for row in rows_of("model", curves[:1], recording))
    assert "±" not in to_text(rows_of("model", curves[:1], recording))


@pytest.mark.parametrize("seeds", ["0", "-1"])
def test_no_seeds_are_refused(seeds, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["--seeds", seeds])
    assert exit_.value.code == 2
    assert f"argument --seeds: {seeds} is less than 1" in capsys.readouterr().err
