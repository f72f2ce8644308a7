"""Shifted labels: what is fitted to which seconds, and the tables, without a training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.foundation.errors import ConfigurationError
from benchmarks.network_or_ridge import Arm
from benchmarks.shifted_labels import SHIFTS_S, curves_of, figures, report, shifted_arm, time_alone
from benchmarks.studyforrest_data import RUNS, Recording

SECONDS = 400


def recording(labels: np.ndarray) -> Recording:
    """Eight runs of the same labels [T, 2]."""
    time_s = np.arange(len(RUNS) * SECONDS, dtype=np.float64)
    run = np.repeat(RUNS, SECONDS)
    return Recording("", "0" * 64, (), np.zeros((len(time_s), 1)), np.tile(labels, (len(RUNS), 1)), time_s, run)


def cubic() -> np.ndarray:
    seconds = np.arange(SECONDS) / 1000.0
    return np.stack([seconds**3 - seconds, 0.5 * seconds], axis=1)


def test_time_alone_finds_a_trend_that_all_runs_share_and_not_that_of_a_shift() -> None:
    there = recording(cubic())
    np.testing.assert_allclose(time_alone(there, 0, 4), cubic(), atol=1e-9)
    assert np.corrcoef(time_alone(there, SECONDS // 2, 4)[:, 1], cubic()[:, 1])[0, 1] < 0.0


def test_every_shift_is_an_arm_of_its_own() -> None:
    arms = [shifted_arm(name, shift_s) for name in "bd" for shift_s in SHIFTS_S]
    assert len({arm.name for arm in arms}) == len({(arm.model, arm.disturbed) for arm in arms}) == len(arms)
    assert Arm("b shifted 300", "ridge", disturbed="shifted 300") in arms
    assert min(map(abs, SHIFTS_S)) == 120


def test_curves_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no curves of arm b shifted 120, run 4"):
        curves_of("b", 120, 4, recording(cubic()), str(tmp_path))


def test_the_tables_have_mean_and_spread_with_and_without_the_trend(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = np.arange(SECONDS)
    wave = np.stack([np.sin(seconds / 9.0), np.cos(seconds / 7.0)], axis=1)
    trend = 5.0 * np.stack([seconds, -seconds], axis=1) / SECONDS
    # Arm d has found the trend and a wave that isn't the labels', arm b the wave and the opposite trend.
    other = np.stack([np.sin(seconds / 3.0), np.cos(seconds / 4.0)], axis=1)
    made = {"b": wave - trend, "d": trend + 0.1 * other}
    monkeypatch.setattr("benchmarks.shifted_labels.curves_of", lambda name, *_: made[name])
    found = figures(recording(wave + trend), "", [120, 300])
    assert found[""]["d"].shape == (2, len(RUNS), 2)
    assert found[""]["d"].min() > 0.8
    assert found[""]["b"].max() < 0.0
    for how in ("without linear trends", "without what is slower than 2 min"):
        assert abs(found[how]["d"]).max() < 0.15
        assert found[how]["b"].min() > 0.9  # the ends of a run keep some of its trend
    text = report(found, [120, 300])
    mean, deviation = f"{found['']['d'][..., 0].mean():+.3f}", "0.000"
    assert next(line for line in text.splitlines() if line.startswith("mean")).split()[3] == mean
    assert next(line for line in text.splitlines() if line.startswith("sd")).split()[3] == deviation
    assert sum(line.split()[:1] == [str(run)] for line in text.splitlines() for run in RUNS) == len(RUNS)
