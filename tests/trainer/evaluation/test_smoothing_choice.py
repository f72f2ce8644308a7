"""Which filter the validation films choose: the best of the candidates by the selection's own figure."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.labels.config import LabelConfig
from tests.support.labelled_films import Film, make_films, noisy
from trainer.evaluation.curve_files import RAW, SMOOTHED
from trainer.evaluation.evaluate import choose_smoothing, evaluate_curves, selection_score, smooth_curves
from trainer.evaluation.metrics import CONSTANT_MEAN
from trainer.foundation.config import TrainConfig


def mirror_filtered(sections: np.ndarray, curve: np.ndarray, cutoff_hz: float) -> np.ndarray:
    """SciPy's zero-phase filter on the curve between two whole mirror images, or more if the cutoff asks for them."""
    there_and_back = np.concatenate([curve, curve[-2:0:-1]])
    copies = int(np.ceil(4 / cutoff_hz / len(there_and_back)))
    endless = np.concatenate([np.tile(there_and_back, (2 * copies, 1)), curve])
    start = copies * len(there_and_back)
    return signal.sosfiltfilt(sections, endless, axis=0)[start : start + len(curve)]


def test_the_cutoff_is_the_best_of_the_candidates_by_an_independent_filter() -> None:
    films, config = make_films(3, period_s=30.0), TrainConfig()
    curves = noisy(films, 0.3)
    chosen = choose_smoothing(curves, films, config)
    errors = {}
    for cutoff in (config.smoothing.cutoff_hz, *config.smoothing_cutoffs_hz):
        sections = signal.butter(config.smoothing.order, 2 * cutoff, output="sos")
        filtered = {key: np.clip(mirror_filtered(sections, curve, cutoff), -1, 1) for key, curve in curves.items()}
        errors[cutoff] = np.mean([(filtered[film.film_id] - film.labels) ** 2 for film in films])
    assert chosen.cutoff_hz == min(errors, key=lambda cutoff: errors[cutoff])
    table = evaluate_curves({RAW: curves, SMOOTHED: smooth_curves(curves, chosen, config.labels)}, films, np.zeros(2))
    for target in TARGETS:
        assert table.find(SMOOTHED, target).mse == pytest.approx(
            table.find(SMOOTHED, target, "mean of films").mse, rel=1e-9
        )
        assert table.find(SMOOTHED, target).mse < 0.5 * table.find(RAW, target).mse
        assert table.find(SMOOTHED, target).pcc > table.find(RAW, target).pcc


def test_curves_without_noise_choose_no_filter_unless_there_is_nothing_to_choose() -> None:
    films = make_films(2, period_s=7.0)
    curves = {film.film_id: film.labels for film in films}
    assert choose_smoothing(curves, films, TrainConfig()).method == "none"
    fixed = TrainConfig.model_validate({"smoothing": {"cutoff_hz": 0.03}, "smoothing_cutoffs_hz": []})
    assert choose_smoothing(curves, films, fixed) == fixed.smoothing


def test_the_candidates_lie_close_together_from_slow_moods_to_single_seconds() -> None:
    cutoffs = np.array(TrainConfig().smoothing_cutoffs_hz)
    assert cutoffs[0] <= 0.01
    assert cutoffs[-1] >= 0.3
    ratios = cutoffs[1:] / cutoffs[:-1]
    assert 1.0 < ratios.min() <= ratios.max() <= 1.5


def test_slower_labels_choose_a_lower_cutoff() -> None:
    cutoffs = []
    for period_s in (12.0, 60.0):
        films = make_films(3, period_s)
        cutoffs.append(choose_smoothing(noisy(films, 0.3), films, TrainConfig()).cutoff_hz)
    assert cutoffs[0] > cutoffs[1]


def test_each_selection_chooses_the_cutoff_that_is_best_by_its_own_figure() -> None:
    # The network exaggerates the labels' fast changes: a low cutoff has the least error, a high one follows best.
    labels = [film.labels * 0.25 for film in make_films(3, period_s=10.0)]
    films = [Film(f"film{index}", values, np.ones(len(values), bool)) for index, values in enumerate(labels)]
    curves = noisy([Film(film.film_id, 4.0 * film.labels, film.known) for film in films], 0.2)
    figures: dict[str, dict[float, float]] = {"mse": {}, "pcc": {}, "ccc": {}}
    for cutoff in (0.02, 0.03, 0.05, 0.08, 0.12):
        sections = signal.butter(2, 2 * cutoff, output="sos")
        filtered = np.concatenate([mirror_filtered(sections, curves[film.film_id], cutoff) for film in films])
        true = np.concatenate(labels).astype(np.float64)
        covariances = [np.cov(filtered[:, i], true[:, i], bias=True) for i in range(len(TARGETS))]
        figures["mse"][cutoff] = -np.mean((filtered - true) ** 2)
        figures["pcc"][cutoff] = np.mean([c[0, 1] / np.sqrt(c[0, 0] * c[1, 1]) for c in covariances])
        shifts = (filtered.mean(axis=0) - true.mean(axis=0)) ** 2
        figures["ccc"][cutoff] = np.mean(
            [2 * c[0, 1] / (np.trace(c) + shift) for c, shift in zip(covariances, shifts, strict=True)]
        )
    best = {selection: max(values, key=lambda cutoff: values[cutoff]) for selection, values in figures.items()}
    assert best["mse"] < best["ccc"] < best["pcc"]
    for selection, cutoff in best.items():
        config = TrainConfig.model_validate({"selection": selection, "smoothing_cutoffs_hz": [0.02, 0.03, 0.08, 0.12]})
        assert choose_smoothing(curves, films, config).cutoff_hz == cutoff


def test_other_methods_and_no_films_leave_the_configured_filter() -> None:
    films = make_films(1, 30.0)
    average = TrainConfig.model_validate({"smoothing": {"method": "moving_average", "width_s": 9}})
    assert choose_smoothing(noisy(films, 0.3), films, average) == average.smoothing
    assert choose_smoothing({}, [], TrainConfig()) == TrainConfig().smoothing


def test_selection_score_prefers_less_error_and_more_correlation() -> None:
    films = make_films(2, 30.0)
    tables = [evaluate_curves({RAW: noisy(films, deviation)}, films, np.zeros(2)) for deviation in (0.1, 0.5)]
    for selection in ("mse", "pcc", "ccc"):
        good, bad = (selection_score(table, selection, RAW) for table in tables)
        assert good > bad
    assert selection_score(tables[0], "pcc", CONSTANT_MEAN) == -np.inf


def test_smoothing_stays_in_the_label_range() -> None:
    step = {"film": np.repeat([[0.0, 1.0]], 100, axis=0)}
    step["film"][50:] = [1.0, 0.0]
    labels = LabelConfig(minimum=0.0, maximum=1.0)
    curve = smooth_curves(step, TrainConfig.model_validate({"smoothing": {"order": 4}}).smoothing, labels)["film"]
    assert curve.min() >= 0.0
    assert curve.max() <= 1.0
