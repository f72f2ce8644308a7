"""Losses against NumPy, with finite gradients at the ends, at constants and for one window."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, strategies as st

from tests.support import numpy_reference as reference
from tests.support.hypothesis_profiles import examples
from trainer.training.losses import batch_loss, concordance_loss


def batch(size: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    weights = generator.uniform(0.1, 1.0, size)
    p, y = generator.uniform(size=(2, size, 2))
    return p.astype(np.float32), y.astype(np.float32), (weights / weights.sum()).astype(np.float32)


@examples(25)
@given(st.integers(2, 60), st.integers(0, 10_000))
def test_losses_are_the_formulas(size: int, seed: int) -> None:
    p, y, weights = batch(size, seed)
    wide_p, wide_y = p.astype(np.float64), y.astype(np.float64)
    entropy = -np.sum(wide_y * np.log(wide_p + 1e-6) + (1 - wide_y) * np.log(1 - wide_p + 1e-6), axis=1)
    expected = {
        "cross_entropy": weights @ entropy,
        "mse": weights @ np.sum((wide_p - wide_y) ** 2, axis=1),
        "ccc": sum(1.0 - reference.concordance(wide_p[:, target], wide_y[:, target], weights) for target in (0, 1)),
    }
    for kind, value in expected.items():
        assert float(batch_loss(kind, p, y, weights)) == pytest.approx(value, abs=2e-5), kind


def test_concordance_knows_agreement_and_its_opposite() -> None:
    y = np.random.default_rng(0).uniform(size=(50, 2)).astype(np.float32)
    weights = np.full(50, 0.02, np.float32)
    assert float(concordance_loss(y, y, weights)) == pytest.approx(0.0, abs=1e-5)
    assert float(concordance_loss(2 * y.mean(axis=0) - y, y, weights)) == pytest.approx(4.0, abs=1e-5)
    # A gain and an offset leave Pearson's coefficient alone, and lower this one.
    assert float(concordance_loss(0.5 * y + 0.3, y, weights)) > 0.2


@pytest.mark.parametrize("kind", ["cross_entropy", "mse", "ccc"])
@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_loss_and_gradient_are_finite_at_constants(kind: str, noise: float) -> None:
    levels = [(0.5, 0.5), (0.2, 0.9), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)]
    for size, (level_p, level_y) in product((1, 2, 64), levels):
        drawn = np.random.default_rng(0).normal(0.0, noise, (2, size, 2))
        p = tf.constant(np.clip(level_p + drawn[0], 0, 1), tf.float32)
        y = tf.constant(np.clip(level_y + drawn[1], 0, 1), tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(p)
            loss = batch_loss(kind, p, y, tf.fill((size,), 1.0 / size))
        gradient = tape.gradient(loss, p).numpy()
        assert np.isfinite(loss)
        assert np.isfinite(gradient).all()
        if kind == "ccc":
            assert float(loss) == pytest.approx(2.0, abs=1e-3)
            assert np.abs(gradient).max() < 100.0


def test_the_gradient_of_concordance_is_that_of_finite_differences() -> None:
    p, y, weights = (tf.constant(part, tf.float64) for part in batch(7, 3))
    with tf.GradientTape() as tape:
        tape.watch(p)
        loss = concordance_loss(p, y, weights)
    gradient = tape.gradient(loss, p).numpy()
    for index in np.ndindex(7, 2):
        step = np.zeros((7, 2))
        step[index] = 1e-6
        both = [float(concordance_loss(p + sign * step, y, weights)) for sign in (1, -1)]
        assert gradient[index] == pytest.approx((both[0] - both[1]) / 2e-6, abs=1e-6)
