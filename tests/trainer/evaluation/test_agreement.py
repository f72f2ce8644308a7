"""Agreement of raters: its figures beside plain NumPy, and which raters are named."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from beam_pipelines.labels.raters import Ratings
from trainer.evaluation.agreement import agreement, cronbachs_alpha, dead_stretches, lag_s, lines_of
from trainer.evaluation.metrics import RATERS
from trainer.evaluation.rater_rows import rater_rows


def ratings(seconds: int = 300, raters: int = 4, seed: int = 3, noise: float = 0.3) -> np.ndarray:
    generator = np.random.default_rng(seed)
    truth = np.sin(np.arange(seconds) / 11) + 0.5 * np.sin(np.arange(seconds) / 37)
    return 0.4 * truth[:, None] + generator.normal(0, noise, (seconds, raters))


def concordance(x: np.ndarray, y: np.ndarray) -> float:
    return 2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)


def test_pairs_and_alpha_are_those_of_the_formulas() -> None:
    values = ratings()
    found = agreement("night", "arousal", Ratings(tuple("abcd"), values[:, :, None]), 0, 60)
    pairs = list(itertools.combinations(values.T, 2))
    assert found.pcc == pytest.approx(np.mean([np.corrcoef(pair)[0, 1] for pair in pairs]))
    assert found.ccc == pytest.approx(np.mean([concordance(*pair) for pair in pairs]))
    covariance = np.cov(values.T)
    alpha = 4 / 3 * (1 - np.trace(covariance) / covariance.sum())
    assert found.alpha == cronbachs_alpha(values) == pytest.approx(alpha)
    assert (found.raters, found.seconds, found.findings, found.lags) == (4, 300, (), ())


def test_raters_to_look_at_are_named() -> None:
    values = ratings(raters=7, noise=0.02)
    values[:, 3] = 0.25
    values[:, 4] = -values[:, 4]
    values[5:, 5], values[:5, 5] = values[:-5, 5].copy(), np.nan
    values[100:180, 6] = 0.1
    found = agreement("night", "arousal", Ratings(tuple("abcdefg"), values[:, :, None]), 0, 60)
    text = "\n".join(lines_of([found]))
    assert "night, arousal: rater d: gave 0.25 throughout, on the labels' scale" in text
    assert "rater e: runs against the others" in text
    assert "rater f: 5 s after the others" in text
    assert "rater g: the same value from second 100 to 179" in text
    assert not any(f"rater {name}" in text for name in "abc")


def test_one_late_rater_is_one_line_and_nobody_else_comes_early() -> None:
    found = []
    for film in range(4):
        values = ratings(raters=3, seed=film, noise=0.02)
        late = 5 if film == 3 else 4
        values[late:, 1], values[:late, 1] = values[:-late, 1].copy(), np.nan
        found.append(agreement(f"film{film}", "arousal", Ratings(("anna", "ben", "cleo"), values[:, :, None]), 0, 60))
    assert lines_of(found) == ["rater ben: about 4 s after the others (4 to 5 s) in 4 of 4 curves"]
    (alone,) = lines_of(found[:1])
    assert alone.startswith("film0, arousal: rater ben: 4 s after the others (PCC 0.")
    # Of two raters the later one is named.
    pair = Ratings(("anna", "ben"), values[:, :2, None])
    assert [lag.rater for lag in agreement("film", "arousal", pair, 0, 60).lags] == ["ben"]


def test_raters_with_the_same_values_are_named_once() -> None:
    values = ratings(raters=4, noise=0.02)
    values[7, 1] = np.nan
    values[:, 2], values[:, 3] = values[:, 1], 0.5
    constant_twice = np.concatenate([values, values[:, 3:]], axis=1)
    rated = Ratings(("anna", "ben", "ben (copy)", "carl", "carl (copy)"), constant_twice[:, :, None])
    found = [agreement(film, "arousal", rated, 0, 60) for film in ("one", "two")]
    lines = [line for line in lines_of(found) if "throughout" not in line]
    assert lines == [
        "raters ben and ben (copy): the same values; if they are one rater, leave one out (in 2 of 2 curves)"
    ]


def test_lag_and_dead_stretches() -> None:
    values = ratings(noise=0.0)[:, 0]
    assert lag_s(np.roll(values, 3)[10:], values[10:]) == (3, pytest.approx(1.0))
    assert lag_s(values[10:], np.roll(values, 3)[10:])[0] == -3
    assert np.isnan(lag_s(np.full(50, 0.1), values[:50])[1])
    own = np.array([1, 2, 2, 2, np.nan, np.nan, np.nan, 3, 3], float)
    assert dead_stretches(own, 2) == [(1, 4), (7, 9)]


def test_the_human_row_is_each_rater_against_the_mean_of_the_others() -> None:
    films = []
    for number in range(2):
        values = np.stack([ratings(100, 3, seed=number), ratings(100, 3, seed=10 + number)], axis=-1)
        values[:30, 1] = np.nan
        known = np.arange(100) >= 10
        films.append(SimpleNamespace(film_id=f"film{number}", known=known, ratings=Ratings(("a", "b", "c"), values)))
    alone = SimpleNamespace(film_id="alone", known=np.ones(5, bool), ratings=None)
    rows = {(row.target, row.scope, row.film_id): row for row in rater_rows([*films, alone], ("valence", "arousal"))}
    assert {row.predictor for row in rows.values()} == {RATERS}
    whole: dict[int, list] = {0: [], 1: [], 2: []}
    for film in films:
        figures = []
        for rater in range(3):
            values = film.ratings.values[10:, :, 1]
            others = np.nanmean(np.delete(values, rater, axis=1), axis=1)
            there = np.isfinite(values[:, rater])
            pair = np.stack([values[there, rater], others[there]])
            whole[rater].append(pair)
            figures.append((((pair[0] - pair[1]) ** 2).mean(), np.corrcoef(pair)[0, 1], concordance(*pair)))
        row = rows["arousal", "film", film.film_id]
        np.testing.assert_allclose((row.mse, row.pcc, row.ccc), np.mean(figures, axis=0))
    joined = [np.concatenate(pairs, axis=1) for pairs in whole.values()]
    pooled = rows["arousal", "pooled", ""]
    assert pooled.pcc == pytest.approx(np.mean([np.corrcoef(pair)[0, 1] for pair in joined]))
    assert pooled.ccc == pytest.approx(np.mean([concordance(*pair) for pair in joined]))
    assert pooled.seconds == 2 * (90 + 90 + 70)
    means = [rows["arousal", "film", film.film_id].ccc for film in films]
    assert rows["arousal", "mean of films", ""].ccc == pytest.approx(np.mean(means))


def test_a_single_rater_gives_no_human_row() -> None:
    film = SimpleNamespace(film_id="film", known=np.ones(9, bool), ratings=Ratings(("a",), np.zeros((9, 1, 1))))
    assert rater_rows([film], ("arousal",)) == []
