"""The plot of a study: what stands along its axes can be read."""

from __future__ import annotations

from itertools import pairwise

import optuna
import pytest

from trainer.tuning.study_plot import draw_study, log_ticks


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((32, 256), [50, 100, 200]),
        ((1e-7, 1e-3), [1e-7, 1e-6, 1e-5, 1e-4, 1e-3]),
        ((3, 5), [3, 5]),
        ((64, 96), [64, 96]),
        ((1e-12, 1.0), [1e-12, 1e-9, 1e-6, 1e-3, 1.0]),
    ],
)
def test_places_of_a_logarithmic_axis_are_few_and_round(ends: tuple[float, float], expected: list[float]) -> None:
    assert log_ticks(*ends) == pytest.approx(expected)


def test_no_label_of_an_axis_covers_its_neighbour_and_what_is_counted_is_whole() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=2))
    kinds = ["encoder_decoder_tcn", "bidirectional_gru", "lstm_of_two_layers"]

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_categorical("kind", kinds)
        trial.suggest_int("audio.units", 32, 256, log=True)
        trial.suggest_int("model.experts", 2, 8)
        return trial.suggest_float("learning_rate", 1e-5, 1e-2, log=True)

    study.optimize(objective, 30)
    figure = draw_study(study, "mse")
    assert figure is not None
    figure.canvas.draw()
    for axis in figure.axes:
        labels = [label for label in axis.get_xticklabels(which="both") if label.get_visible() and label.get_text()]
        if axis.get_xlabel() == "kind":
            assert all(label.get_rotation() > 0 for label in labels)
            continue
        boxes = sorted((label.get_window_extent() for label in labels), key=lambda box: box.x0)
        assert all(left.x1 < right.x0 for left, right in pairwise(boxes)), axis.get_xlabel()
    (experts,) = [axis for axis in figure.axes if axis.get_xlabel() == "model.experts"]
    assert all(float(tick).is_integer() for tick in experts.get_xticks())
