"""Shapley values against their definition over all subsets; sampled orders against sums and games without error."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from beam_pipelines.contracts.models.shapley import EXACT_UP_TO, SAMPLED_ORDERS, coalitions, describe, together
from tests.support.shapley_values import by_definition


@pytest.mark.parametrize("count", range(1, EXACT_UP_TO + 1))
def test_up_to_six_are_exact(count):
    known = coalitions(count)
    values = dict(zip(map(tuple, known.sets), np.random.default_rng(count).normal(size=2**count), strict=True))
    assert set(values) == set(itertools.product((False, True), repeat=count))
    shares = known.weights @ np.array(list(values.values()))
    np.testing.assert_allclose(shares[1:], by_definition(lambda chosen: values[chosen], count), atol=1e-12)
    assert shares[0] == values[(False,) * count]


def test_above_six_orders_are_drawn_and_each_adds_up():
    known = coalitions(7)
    again = coalitions(7)
    np.testing.assert_array_equal(known.sets, again.sets)
    np.testing.assert_array_equal(known.weights, again.weights)
    assert len(known.sets) < SAMPLED_ORDERS * 6 + 3 < 2**7
    values = np.random.default_rng(1).normal(size=len(known.sets))
    shares = known.weights @ values
    assert not known.sets[0].any()
    assert known.sets[-1].all()
    assert shares.sum() == pytest.approx(values[-1], abs=1e-12)
    # A game of parts that don't depend on each other has no sampling error, one of pairs little: orders come reversed.
    parts = np.arange(7.0)
    np.testing.assert_allclose((known.weights @ (known.sets @ parts))[1:], parts, atol=1e-12)
    pairs = np.array([math.comb(int(chosen.sum()), 2) for chosen in known.sets], float)
    np.testing.assert_allclose((known.weights @ pairs)[1:], np.full(7, 3.0), atol=1e-12)
    assert "16 of 5040 orders" in describe(7)


def test_a_mean_of_models_has_each_caveat_once():
    exact, rough = describe(2), describe(3, rough=True)
    assert together([exact, rough, "", exact]) == rough
    assert together([describe(2), describe(7)]) == f"{describe(2)}; {describe(7)}"
