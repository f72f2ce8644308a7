"""Raters: fusion, standardising and disagreement beside plain NumPy of their formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from beam_pipelines.labels.raters import disagreement, evaluator_weights, fused, others_mean, standardised
from beam_pipelines.labels.table_config import RatersConfig
from tests.support.hypothesis_profiles import examples


def ratings(seed: int = 0, seconds: int = 200, raters: int = 4, gaps: float = 0.1) -> np.ndarray:
    generator = np.random.default_rng(seed)
    truth = np.sin(np.arange(seconds) / 9.0)[:, None]
    values = truth * generator.uniform(0.3, 1.0, raters) + generator.normal(0, 0.4, (seconds, raters))
    values[generator.random(values.shape) < gaps] = np.nan
    return values


def test_the_evaluator_weighted_estimate_is_grimm_and_kroschels() -> None:
    values = ratings()
    mean = np.nanmean(values, axis=1)
    weights, label = [], []
    for k in range(values.shape[1]):
        there = np.isfinite(values[:, k])
        x, m = values[there, k], mean[there]
        weights.append(((x - x.mean()) * (m - m.mean())).sum() / (len(x) * x.std() * m.std()))
    for row in values:
        there = np.isfinite(row)
        label.append(
            sum(w * v for w, v in zip(np.array(weights)[there], row[there], strict=True))
            / np.array(weights)[there].sum()
        )
    np.testing.assert_allclose(evaluator_weights(values), weights, atol=1e-12)
    np.testing.assert_allclose(fused(values, RatersConfig(fusion="ewe")), label, atol=1e-12)


def test_a_rater_against_all_others_has_no_weight_and_one_who_gave_one_value_neither() -> None:
    values = ratings(gaps=0.0)
    against, flat = -values.mean(axis=1), np.full(len(values), 0.2)
    weights = evaluator_weights(np.column_stack([values, against, flat]))
    assert list(weights[-2:]) == [0.0, 0.0]
    assert (weights[:-2] > 0.3).all()


def test_raters_without_any_agreement_are_refused() -> None:
    with pytest.raises(ValueError, match="no rater correlates"):
        fused(np.full((10, 3), 0.5), RatersConfig(fusion="ewe"))


def test_mean_least_raters_and_disagreement() -> None:
    values = np.array([[0.0, 1.0, np.nan], [0.2, np.nan, np.nan], [np.nan] * 3, [0.3, 0.6, 0.9]])
    np.testing.assert_allclose(fused(values, RatersConfig()), [0.5, 0.2, np.nan, 0.6])
    np.testing.assert_allclose(fused(values, RatersConfig(least=2)), [0.5, np.nan, np.nan, 0.6])
    np.testing.assert_allclose(disagreement(values), [np.std([0, 1], ddof=1), np.nan, np.nan, 0.3])
    np.testing.assert_allclose(others_mean(values, 0), [1.0, np.nan, np.nan, 0.75])


@given(st.integers(0, 10_000))
@examples(25)
def test_standardised_raters_have_one_mean_and_deviation_and_keep_their_course(seed: int) -> None:
    values = ratings(seed)
    moved = standardised(np.column_stack([values, np.full(len(values), np.nan)]))
    assert np.isnan(moved[:, -1]).all()
    moved = moved[:, :-1]
    np.testing.assert_allclose(np.nanmean(moved, axis=0), np.mean(np.nanmean(values, axis=0)), atol=1e-12)
    np.testing.assert_allclose(np.nanstd(moved, axis=0), np.mean(np.nanstd(values, axis=0)), atol=1e-12)
    for k in range(values.shape[1]):
        there = np.isfinite(values[:, k])
        assert np.corrcoef(values[there, k], moved[there, k])[0, 1] == pytest.approx(1.0)


@pytest.mark.parametrize("count", [10, 100, 1000])
def test_a_rater_who_gave_one_value_is_moved_to_the_common_mean(count: int) -> None:
    """A thousand times .1 has a deviation of 1e-17, which would become the others' deviation."""
    others = np.random.default_rng(0).normal(size=(count, 2)) * 0.3
    moved = standardised(np.column_stack([others, np.full(count, 0.1)]))
    np.testing.assert_allclose(moved[:, 2], moved[:, :2].mean(), atol=1e-12)
