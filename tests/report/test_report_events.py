"""Peaks and turning points: found where they were put, and what every list of events must be."""

from __future__ import annotations

from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, strategies as st

from beam_pipelines.report.markers import events as events_of_curves
from beam_pipelines.report.markers.events import find_events

curves = st.lists(st.floats(-1, 1), min_size=0, max_size=200)


def hill(seconds: int, middle: float, width: float) -> np.ndarray:
    return np.exp(-(((np.arange(seconds) - middle) / width) ** 2))


def test_hills_and_valleys_are_found_where_they_stand() -> None:
    curve = 0.8 * hill(300, 60, 15) - 0.7 * hill(300, 140, 15) + 0.6 * hill(300, 220, 15)
    events = find_events(curve, "valence")
    extremes = [(event.kind, event.time_s) for event in events if not event.is_turning_point]
    assert extremes == [("peak", 60), ("low", 140), ("peak", 220)]
    assert events[0].target == "valence"
    peak = next(event for event in events if event.kind == "peak")
    assert peak.value == pytest.approx(0.8, abs=1e-6)
    assert peak.prominence == pytest.approx(0.8, abs=0.01)


def test_a_turning_point_is_the_steepest_second_between_a_low_and_a_peak() -> None:
    seconds = np.arange(240)
    curve = 0.4 * np.tanh((seconds - 120) / 10) + 0.5 * hill(240, 190, 20) - 0.5 * hill(240, 50, 20)
    turns = [event for event in find_events(curve, "arousal") if event.is_turning_point]
    rise = next(event for event in turns if event.kind == "rise")
    assert rise.time_s == 119 + int(np.argmax(np.gradient(curve)[119:122]))
    assert rise.prominence > 1.5


def test_a_film_that_ends_on_its_way_up_turns_there() -> None:
    curve = 1.4 / (1 + np.exp(-(np.arange(120) - 80) / 5)) - 0.5 * hill(120, 30, 10) - 0.7
    kinds = [(event.kind, event.time_s) for event in find_events(curve, "valence")]
    assert kinds[-1][0] == "rise"
    assert 78 <= kinds[-1][1] <= 82


@pytest.mark.parametrize("curve", [[], [0.5], [0.1, 0.9], [0.3] * 50, [float("nan")] * 50])
def test_what_has_no_peak_has_no_events(curve: list[float]) -> None:
    assert find_events(curve, "valence") == []


def test_ripples_of_a_flat_film_are_no_events() -> None:
    assert find_events(0.02 * np.sin(np.arange(400) / 7), "valence") == []


def test_seconds_without_a_value_are_bridged() -> None:
    curve = 0.8 * hill(100, 50, 10)
    curve[20:30] = np.nan
    assert [event.time_s for event in find_events(curve, "valence") if event.kind == "peak"] == [50]


def test_an_array_of_two_axes_is_refused() -> None:
    with pytest.raises(ValueError, match="one axis"):
        find_events(np.zeros((3, 2)), "valence")


@given(curves, st.integers(1, 20), st.integers(1, 10))
def test_events_are_in_order_few_and_on_the_curve(values: list[float], distance_s: int, most: int) -> None:
    with patch.multiple(events_of_curves, DISTANCE_S=distance_s, MOST_EXTREMES=most):
        events = find_events(values, "valence")
    assert [event.time_s for event in events] == sorted(event.time_s for event in events)
    extremes = [event for event in events if not event.is_turning_point]
    assert len(extremes) <= most
    assert all(event.value == values[event.time_s] for event in events)
    for kind in ("peak", "low"):
        times = [event.time_s for event in extremes if event.kind == kind]
        assert all(later - earlier >= distance_s for earlier, later in pairwise(times))


@given(curves)
def test_turning_the_curve_over_turns_the_kinds_over(values: list[float]) -> None:
    other = {"peak": "low", "low": "peak", "rise": "fall", "fall": "rise"}
    with patch.object(events_of_curves, "MOST_EXTREMES", 1000):
        upright = {(event.time_s, event.kind) for event in find_events(values, "valence")}
        turned = {(event.time_s, other[event.kind]) for event in find_events([-v for v in values], "valence")}
    assert upright == turned
