"""Ridge regression in NumPy on the eight folds: the rows to beat, and the same on the features that the network gets.

The rows to beat have a fixed penalty and nothing to choose, so they are fitted on all seven runs besides the test run
(less the margin around it): this reproduces the figures in the notes beside the data, which nobody published. A row
whose penalty is chosen leaves the validation run out of training, as the network does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from beam_pipelines.contracts.records.feature_track import PRESENT_SUFFIX
from benchmarks.studyforrest_data import (
    COLUMNS,
    MARGIN_S,
    RUNS,
    Fold,
    Recording,
    TrackConfig,
    prepare_fold,
    records_of_fold,
    standard_scale,
)
from trainer.data.transform import load_transform
from trainer.evaluation.metrics import ccc

PENALTY = 3000.0
PENALTIES = (300.0, 1000.0, 3000.0, 10000.0, 30000.0)
CONTEXT = TrackConfig(means_half_s=(3, 10, 30))
FEATURE_SETS: Mapping[str, tuple[str, ...]] = {
    "low": ("visual", "audio"),
    "low + cues": ("visual", "audio", "cues"),
    "all": ("visual", "audio", "phash", "cues"),
}
"""Name in the data's README -> its modalities."""


def fit_ridge(features: np.ndarray, labels: np.ndarray, penalty: float) -> np.ndarray:
    """Coefficients of centred labels [N, 2] on normalised features [N, D]: (Z'Z + penalty I)^-1 Z'y, float64 [D, 2]."""
    gram = features.T @ features
    return np.linalg.solve(gram + penalty * np.eye(len(gram)), features.T @ (labels - labels.mean(axis=0)))


def given_ridge(recording: Recording, feature_set: str, runs: Sequence[int] = RUNS) -> dict[int, np.ndarray]:
    """Test run -> curve float64 [T, 2] of the ridge row of one feature set, with means over 3, 10 and 30 s each way."""
    prefixes = [prefix for modality in FEATURE_SETS[feature_set] for prefix in COLUMNS[modality]]
    values = recording.with_context(recording.of(prefixes), CONTEXT)
    curves = {}
    for run in runs:
        kept = seconds_of_other_runs(recording, run)
        mean, deviation = standard_scale(values[kept])
        z = (values - mean) / deviation
        weights = fit_ridge(z[kept], recording.labels[kept], PENALTY)
        curves[run] = z[recording.run == run] @ weights + recording.labels[kept].mean(axis=0)
    return curves


def chosen_ridge(
    recording: Recording, tracks: Mapping[str, TrackConfig], directory: str, runs: Sequence[int] = RUNS
) -> dict[int, np.ndarray]:
    """Test run -> curve float64 [T, 2] on the network's features, each target's penalty chosen by validation CCC.

    Features, training seconds and validation run are those that the network has; in `directory` are its folds' records.
    """
    curves = {}
    for run in runs:
        fold = Fold(run)
        kept = fold.training_seconds(recording)
        raw = {name: recording.with_context(recording.of(COLUMNS[name]), track) for name, track in tracks.items()}
        presence = {name + PRESENT_SUFFIX: np.ones((len(kept), 1)) for name in tracks}
        transform = load_transform(prepare_fold(recording, fold, tracks, records_of_fold(directory, fold)))
        transformed = transform({**raw, **presence})
        z = np.concatenate([transformed[name].numpy() for name in tracks], axis=1).astype(np.float64)
        validation, test = recording.run == fold.validation, recording.run == run
        answers = [
            z @ fit_ridge(z[kept], recording.labels[kept], penalty) + recording.labels[kept].mean(axis=0)
            for penalty in PENALTIES
        ]
        columns = []
        for target in range(recording.labels.shape[1]):
            true = recording.labels[validation, target]
            best = max(answers, key=lambda answer: ccc(answer[validation, target], true))
            columns.append(best[test, target])
        curves[run] = np.stack(columns, axis=1)
    return curves


def constant_mean(recording: Recording, runs: Sequence[int] = RUNS) -> dict[int, np.ndarray]:
    """Test run -> the mean label of all other seconds beyond the margin, float64 [T, 2]."""
    curves = {}
    for run in runs:
        kept = seconds_of_other_runs(recording, run)
        curves[run] = np.tile(recording.labels[kept].mean(axis=0), (int(np.sum(recording.run == run)), 1))
    return curves


def seconds_of_other_runs(recording: Recording, run: int) -> np.ndarray:
    """bool [T]: all seconds that lie further than `MARGIN_S` from a run."""
    time_s = recording.time_s[recording.run == run]
    return (recording.time_s < time_s[0] - MARGIN_S) | (recording.time_s > time_s[-1] + MARGIN_S)
