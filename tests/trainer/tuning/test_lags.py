"""The lag of the ratings as a key that a study may choose: every lag is judged on the same ratings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest

from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.labels.annotations import LabelReport
from beam_pipelines.labels.config import LabelConfig
from tests.support.synthetic_films import write_labels
from trainer.data.dataset import TrainingFilm
from trainer.foundation.config import TrainConfig
from trainer.tuning.config import SpaceConfig, TuneConfig, suggest
from trainer.tuning.folds import Fold, with_lags
from trainer.tuning.search import Search

SECONDS = 12


def make_film(root: Path, film_id: str, rows: int) -> tuple[Film, TrainingFilm]:
    """A film whose rating at time t is t / 100."""
    path = root / f"{film_id}.txt"
    write_labels(path, np.repeat(np.arange(rows)[:, None] / 100.0, 2, axis=1))
    nothing = np.zeros((SECONDS, 2), np.float32)
    report = LabelReport(film_id, SECONDS, 0, 0, 0, 0, 0)
    features = {"audio": np.ones((SECONDS, 3), np.float32)}
    loaded = TrainingFilm(
        film_id, "any", features, {}, nothing, np.ones(SECONDS, bool), nothing, report, film_id, film_id
    )
    return Film(film_id, f"{film_id}.mp4", labels=str(path)), loaded


def test_training_takes_all_ratings_and_validation_those_that_every_lag_has(tmp_path: Path) -> None:
    # The validation film's file goes on for three seconds after the film, which lag 0 can't use.
    (film, train), (other, held_out) = make_film(tmp_path, "train", SECONDS), make_film(tmp_path, "held", SECONDS + 3)
    folds, splits = [Fold((film,), (other,), "transform")], [([train], [held_out])]
    found = with_lags(folds, splits, LabelConfig(), (0, 1, 4))
    judged = {}
    for lag_s, (((learned,), (known,)),) in found.items():
        assert learned.features["audio"] is train.features["audio"]
        # Second s has the rating of time s + lag; the last `lag` seconds have none.
        np.testing.assert_array_equal(np.flatnonzero(learned.known), np.arange(SECONDS - lag_s))
        np.testing.assert_allclose(learned.labels[: SECONDS - lag_s, 0] * 100, np.arange(lag_s, SECONDS), rtol=1e-5)
        np.testing.assert_array_equal(learned.labels[~learned.known], 0.0)
        np.testing.assert_array_equal(np.flatnonzero(known.known), np.arange(4 - lag_s, SECONDS - lag_s))
        judged[lag_s] = known.labels[known.known]
        assert learned.digest != train.digest
    np.testing.assert_array_equal(judged[0], judged[1])
    np.testing.assert_array_equal(judged[0], judged[4])
    with pytest.raises(ConfigurationError, match="film 'held' has 12 seconds, and no rating that all lags up to 12 s"):
        with_lags(folds, splits, LabelConfig(), (0, 12))


def test_a_trial_has_the_lag_that_it_draws_and_other_label_keys_stay() -> None:
    space, base = SpaceConfig(lag_s=(2, 5)), TrainConfig(labels=LabelConfig(maximum=2.0, lag_s=1))
    search = Search("study", base, TuneConfig(space=space), ())
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)).ask()
    drawn = suggest(trial, space, ("audio",))
    assert drawn["labels"]["lag_s"] == trial.params["lag_s"] in (2, 5)
    assert search.trial_config(drawn).labels == LabelConfig(maximum=2.0, lag_s=trial.params["lag_s"])
    without = suggest(optuna.trial.FixedTrial(trial.params), SpaceConfig(), ("audio",))
    assert replace(search, config=TuneConfig()).trial_config(without).labels == base.labels
