"""Shares of films whose curves are made of known modalities: ridge regression and a trained network find them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainer.data.dataset import LabelReport, TrainingFilm
from trainer.data.transform import RowTransform
from trainer.exporting.export import NetworksModule
from trainer.exporting.ridge_module import RidgeModule
from trainer.exporting.serving_module import ServingModule, placed
from trainer.foundation.config import TrainConfig
from trainer.ridge.fit import fit_ridge
from trainer.training.train import train

MODALITIES = ("image", "audio", "text")
WEIGHTS = np.array([[0.45, 0.0], [0.2, -0.3], [0.0, 0.4]])
"""What each modality gives to valence and arousal, per unit of its latent curve."""
SECONDS, SIZE = 150, 3


class Unchanged(tf.Module):
    """The transform of features that need none."""

    def __init__(self) -> None:
        super().__init__()
        sizes = dict.fromkeys(MODALITIES, SIZE) | {f"{m}_present": 1 for m in MODALITIES}
        given = {key: tf.TensorSpec((None, size), tf.float32, name=key) for key, size in sizes.items()}
        self.transform_fn = tf.function(lambda rows: dict(rows), autograph=False).get_concrete_function(given)


def make_film(seed: int) -> tuple[TrainingFilm, np.ndarray]:
    """A film whose features are noisy mixtures of latent curves, and what each modality gives, [modalities, T, 2]."""
    generator, time_s = np.random.default_rng(seed), np.arange(SECONDS)[:, None]
    periods, phases = generator.uniform(20, 60, (2, 3)), generator.uniform(0, 2 * np.pi, (2, 3))
    latent = sum(0.6 * np.sin(2 * np.pi * time_s / periods[i] + phases[i]) for i in range(2))
    parts = latent.T[:, :, None] * WEIGHTS[:, None, :]
    mixtures = np.random.default_rng(7).uniform(0.5, 1.5, (3, SIZE))
    values = {
        m: (latent[:, [n]] * mixtures[n] + generator.normal(0, 0.1, (SECONDS, SIZE))).astype(np.float32)
        for n, m in enumerate(MODALITIES)
    }
    present = {m: np.ones((SECONDS, 1), np.float32) for m in MODALITIES}
    labels, known = parts.sum(axis=0).astype(np.float32), np.ones(SECONDS, bool)
    report = LabelReport(f"film{seed}", SECONDS, SECONDS, SECONDS, 0, 0, 0)
    name = f"film{seed}"
    return TrainingFilm(name, "train", values, present, labels, known, labels, report, name, name), parts


def configure(**changes: object) -> TrainConfig:
    model = {"modalities": MODALITIES, "window_s": 6, "encoder": {"units": 12}, "experts": 2, "dropout": 0.0,
             "feature_dropout": 0.0, "modality_dropout": 0.2, "batch_normalization": False}  # fmt: skip
    return TrainConfig.model_validate({"model": model, "learning_rate": 0.01, "batch_size": 64, **changes})


def assert_finds_them(module: ServingModule, variance_within: float) -> None:
    """Of films that it doesn't know: each share within 0.1 in the labels' unit, and its part of the curve's variance.

    The variance is the harder measure where two modalities nearly cancel: what they give is divided by what is left.
    """
    for seed in (50, 51, 52):
        film, parts = make_film(seed)
        rows = {**film.features, **{f"{m}_present": film.present[m] for m in MODALITIES}}
        given = {key: tf.constant(values) for key, values in rows.items()}
        splits, all_rows = tf.constant([0, SECONDS], tf.int64), tf.range(SECONDS, dtype=tf.int64)
        (shares,) = module.member_shares(given, splits, all_rows)
        (curve,) = module.member_curves(given, splits, all_rows)
        shares, curve = shares.numpy(), curve.numpy()
        np.testing.assert_allclose(shares.sum(axis=0), curve, atol=1e-5)
        assert np.sqrt(np.mean((curve - film.labels) ** 2)) < 0.15, "it has learned the films"
        apart = [each - each.mean(axis=1, keepdims=True) for each in (shares[1:], parts)]
        assert np.sqrt(np.mean((apart[0] - apart[1]) ** 2, axis=1)).max() < 0.1
        found, truth = (variance_shares(each) for each in (shares[1:], parts))
        np.testing.assert_allclose(found, truth, atol=variance_within)


def variance_shares(parts: np.ndarray) -> np.ndarray:
    """The share of each part, [parts, T, targets], in the variance of their sum, [parts, targets]; they add up to 1."""
    apart = parts - parts.mean(axis=1, keepdims=True)
    return (apart * apart.sum(axis=0)).mean(axis=1) / (apart.sum(axis=0) ** 2).mean(axis=0)


def test_a_member_gives_nothing_by_a_modality_that_it_does_not_take() -> None:
    shares = tf.reshape(tf.range(6.0), (3, 2, 1))  # base, text, image
    found = placed(shares, ("text", "image"), MODALITIES).numpy()[:, :, 0]
    np.testing.assert_array_equal(found, [[0, 1], [4, 5], [0, 0], [2, 3]])


@pytest.mark.usefixtures("eagerly")
def test_ridge_regression_finds_what_each_modality_gives() -> None:
    films = [make_film(seed)[0] for seed in range(8)]
    fit = fit_ridge(films[:6], films[6:], configure())
    assert_finds_them(RidgeModule(fit.model, RowTransform(Unchanged())), 0.1)


@pytest.mark.slow
def test_a_trained_network_finds_what_each_modality_gives(tmp_path: Path) -> None:
    films = [make_film(seed)[0] for seed in range(14)]
    result = train(films[:12], films[12:], configure(epochs=30), str(tmp_path))
    assert_finds_them(NetworksModule([result.model], [RowTransform(Unchanged())], (-1.0, 1.0)), 0.2)
