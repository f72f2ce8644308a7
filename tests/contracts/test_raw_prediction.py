"""Which seconds a stride predicts, what stands between them, and the mean of an ensemble's members."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from beam_pipelines.contracts.models.raw_prediction import fill_between, mean_of_members, seconds_to_predict


@pytest.mark.parametrize(
    ("seconds", "stride_s", "expected"),
    [(11, 4, [0, 4, 8, 10]), (9, 4, [0, 4, 8]), (3, 1, [0, 1, 2]), (1, 5, [0]), (2, 5, [0, 1])],
)
def test_every_so_many_seconds_and_the_last(seconds, stride_s, expected):
    assert seconds_to_predict(seconds, stride_s).tolist() == expected


@given(st.integers(1, 300), st.integers(1, 40), st.floats(-1, 1), st.floats(-0.01, 0.01))
def test_a_straight_line_comes_back(seconds, stride_s, level, slope):
    line = level + slope * np.arange(seconds)
    at = seconds_to_predict(seconds, stride_s)
    np.testing.assert_allclose(fill_between(line[at], at, seconds), line, atol=1e-6)


def test_predicted_seconds_keep_their_value_and_gaps_stay_where_they_are():
    at = seconds_to_predict(9, 2)
    values = np.array([[0.1, 0.3, np.nan, 0.7, 0.9], [5, 4, 3, 2, 1]], np.float32)
    filled = fill_between(values, at, 9)
    assert filled.dtype == np.float32
    np.testing.assert_array_equal(filled[:, at], values)
    assert np.flatnonzero(np.isnan(filled[0])).tolist() == [3, 4, 5]
    np.testing.assert_allclose(filled[1], np.linspace(5, 1, 9))


def test_one_member_is_no_ensemble():
    curves = np.random.default_rng(0).normal(size=(2, 3, 5)).astype(np.float32)
    several = mean_of_members({"valence": curves[0], "arousal": curves[1]})
    np.testing.assert_allclose(several.valence, curves[0].mean(axis=0), atol=1e-7)
    np.testing.assert_array_equal(several.members["arousal"], curves[1])
    single = mean_of_members({"valence": curves[0, :1], "arousal": curves[1, :1]})
    np.testing.assert_array_equal(single.arousal, curves[1, 0])
    assert not single.members


def test_a_model_of_one_target_has_nothing_for_the_other():
    raw = mean_of_members({"arousal": np.array([[0.0, 1.0], [1.0, 1.0]], np.float32)})
    assert raw.valence is None
    assert list(raw.values) == ["arousal"]
    np.testing.assert_array_equal(raw.values["arousal"], [0.5, 1.0])
