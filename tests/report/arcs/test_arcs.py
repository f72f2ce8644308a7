"""Arcs: exact means of equal parts for films of any length, level and range apart; what somebody wrote as an arc."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.contracts.curves.curves import AffectCurve, to_csv
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.report.arcs.arcs import POINTS, arcs_of, resample
from beam_pipelines.report.arcs.distance import distances
from beam_pipelines.report.arcs.drawn_arc import read_arc
from tests.support.report_runs import curve_of

RANGE = (-1.0, 1.0)


def means_by_fractions(values: list[int]) -> list[float]:
    """The mean of each hundredth, second by second, in exact arithmetic."""
    seconds, means = len(values), []
    for part in range(POINTS):
        first, last = Fraction(part * seconds, POINTS), Fraction((part + 1) * seconds, POINTS)
        total = sum(
            value * max(Fraction(0), min(last, t + 1) - max(first, t)) for t, value in enumerate(values) if t < last
        )
        means.append(float(total / (last - first)))
    return means


@pytest.mark.parametrize("seconds", [1, 7, 100, 101, 432])
def test_a_point_is_the_exact_mean_of_its_part(seconds: int) -> None:
    values = np.random.default_rng(seconds).integers(-9, 9, seconds).tolist()
    np.testing.assert_allclose(resample(values), means_by_fractions(values), atol=1e-9)


def test_level_and_swing_leave_the_shape_alone() -> None:
    time_s = np.arange(600)
    wave = np.sin(time_s / 60)
    low = AffectCurve("low", 0.2 * wave - 0.5, wave / 2, wave, wave)
    high = AffectCurve("high", 0.4 * wave + 0.3, wave / 2, wave, wave)
    arcs = arcs_of([low, high], RANGE)
    assert arcs.film_ids == ("high", "low")
    np.testing.assert_allclose(arcs.shape[0], arcs.shape[1], atol=2e-5)
    np.testing.assert_allclose(arcs.shape.std(axis=1), 1, atol=1e-4)
    np.testing.assert_allclose(arcs.mean[0, 0] - arcs.mean[1, 0], 0.8 + 0.2 * wave.mean(), atol=1e-4)
    np.testing.assert_allclose(arcs.spread[0, 0], 2 * arcs.spread[1, 0], atol=1e-5)
    np.testing.assert_allclose(arcs.range[:, 0], [np.ptp(high.valence), np.ptp(low.valence)], atol=1e-6)
    np.testing.assert_allclose(arcs.values[1, :, 0], resample(low.valence), atol=1e-5)
    assert arcs.peaks[0, 0] == 2  # at 94 and 471 s


def test_the_noise_of_a_flat_curve_is_no_shape() -> None:
    noise = np.random.default_rng(0).normal(0, 1e-4, 400)
    arcs = arcs_of([AffectCurve("flat", 0.2 + noise, noise, noise, noise)], RANGE)
    assert np.abs(arcs.shape).max() < 0.02
    np.testing.assert_allclose(arcs.values[0, :, 0], resample(0.2 + noise), atol=2e-6)


def test_films_of_a_model_of_one_target() -> None:
    both = [curve_of(name, 120, seed) for seed, name in enumerate("ab")]
    one = [AffectCurve(curve.film_id, arousal=curve.arousal, arousal_raw=curve.arousal_raw) for curve in both]
    arcs, chosen = arcs_of(one, RANGE), arcs_of(both, RANGE).of(["arousal"])
    assert arcs.targets == chosen.targets == ("arousal",)
    for name in ("shape", "mean", "spread", "range", "peaks"):
        np.testing.assert_array_equal(getattr(arcs, name), getattr(chosen, name))
    with pytest.raises(ConfigurationError, match="b has other targets than a"):
        arcs_of([one[0], both[1]], RANGE)


def test_a_curve_of_a_run_is_read_as_the_films_own_arc(tmp_path: Path) -> None:
    curve = curve_of("film", 130, 3)
    (tmp_path / "arc.csv").write_text(to_csv(curve))
    arc, film = read_arc(str(tmp_path / "arc.csv"), RANGE), arcs_of([curve], RANGE)
    assert arc.targets == ("valence", "arousal")
    assert distances(arc, film, "both").max() < 1e-6


def test_points_are_joined_by_lines(tmp_path: Path) -> None:
    (tmp_path / "arc.csv").write_text("percent;valence\n0;-0,5\n50;0,5\n100;-0,5\n")
    arc = read_arc(str(tmp_path / "arc.csv"), RANGE)
    middles = (np.arange(POINTS) + 0.5) / POINTS
    assert arc.targets == ("valence",)
    np.testing.assert_allclose(arc.values[0, :, 0], 0.5 - 2 * np.abs(middles - 0.5), atol=1e-6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("second,valence\n0,1\n", "needs a column time_s (seconds from 0) or percent"),
        ("percent,mood\n0,1\n", "and a column valence or arousal or both; it has percent, mood"),
        ("percent,valence\n0,0.5\n40,\n", "line 3: a cell is empty"),
        ("percent,valence\n0,0.5\n40,x\n", "line 3: a cell is empty or no number"),
        ("percent,valence\n0,0.5\n140,0\n", "line 3: percent is 140"),
        ("percent,valence\n50,0.5\n40,0\n", "line 3: percent must rise"),
        ("percent,valence\n50,0.5\n", "needs two rows at least"),
        ("percent,valence\n0,0.5\n100,7\n", "goes from 0.532 to 6.97; the scores' range is -1 to 1"),
        ("time_s,valence\n0,0.5\n3,0.5\n", "must run from 0 without a gap; for a few points, give a column percent"),
        ("time_s,valence\n0,\n", "without a finite value"),
    ],
)
def test_an_arc_that_cannot_be_read_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "arc.csv").write_text(text)
    with pytest.raises(ConfigurationError, match=re.escape(said)) as raised:
        read_arc(str(tmp_path / "arc.csv"), RANGE)
    assert "arc.csv" in str(raised.value)


def test_an_absent_arc_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.csv: no such file"):
        read_arc(str(tmp_path / "none.csv"), RANGE)
