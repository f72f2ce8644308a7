"""The plot of a study: the best figure over its trials, and a slice along every parameter, and their importance."""

from __future__ import annotations

import io
import math

import optuna
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from beam_pipelines import storage
from trainer.study import importances

_COLUMNS = 3
_BLUE, _ORANGE = "#0072b2", "#d55e00"


def write_plot(study: optuna.Study, output: str, selection: str) -> None:
    """Writes `study.png`; nothing where no trial has finished."""
    figure = draw_study(study, selection)
    if figure is not None:
        image = io.BytesIO()
        figure.savefig(image, format="png", dpi=110, metadata={"Software": None})
        storage.write_bytes(storage.join(output, "study.png"), image.getvalue())


def draw_study(study: optuna.Study, selection: str) -> Figure | None:
    """A panel of the figures over the trials, one for each parameter, one of their importance where it can be told."""
    trials = [t for t in study.get_trials(deepcopy=False) if t.state == optuna.trial.TrialState.COMPLETE]
    if not trials:
        return None
    names = sorted({name for trial in trials for name in trial.params})
    weights = importances(study)
    panels = 1 + len(names) + bool(weights)
    rows = math.ceil(panels / _COLUMNS)
    figure = Figure(figsize=(4.2 * _COLUMNS, 2.9 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, _COLUMNS, squeeze=False).flat)
    values = [float(trial.value) for trial in trials if trial.value is not None]
    better = min if study.direction == optuna.study.StudyDirection.MINIMIZE else max
    numbers = [trial.number for trial in trials]
    axes[0].scatter(numbers, values, s=16, color=_BLUE, label="trial")
    axes[0].step(
        numbers, [better(values[: n + 1]) for n in range(len(values))], where="post", color=_ORANGE, label="best"
    )
    axes[0].set(xlabel="trial", ylabel=f"validation {selection}")
    axes[0].legend()
    for axis, name in zip(axes[1:], names, strict=False):
        points = [(trial.params[name], trial.value) for trial in trials if name in trial.params]
        words = any(isinstance(value, (str, bool)) for value, _ in points)
        axis.scatter([str(x) if words else x for x, _ in points], [y for _, y in points], s=16, color=_BLUE)
        if name in ("l2", "learning_rate") or name.endswith((".units", ".filters")):
            axis.set_xscale("log")
        axis.set(xlabel=name, ylabel=selection)
    if weights:
        axis = axes[panels - 1]
        axis.barh(list(weights)[::-1], list(weights.values())[::-1], color=_BLUE)
        axis.set(xlabel="importance")
    for axis in axes[panels:]:
        axis.set_visible(False)
    return figure
