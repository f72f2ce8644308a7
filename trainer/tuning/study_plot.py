"""The plot of a study: the best figure over its trials, a slice along every parameter, and their importance."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import optuna
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from beam_pipelines.foundation import storage
from trainer.tuning.study import importances

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 3
_MOST_TICKS = 5
_LETTERS_IN_A_ROW = 28
"""The number of letters that fit side by side below a panel."""
_BLUE, _ORANGE = "#0072b2", "#d55e00"


def write_plot(study: optuna.Study, output: str, selection: str) -> None:
    """Writes `study.png`, unless no trial has finished."""
    figure = draw_study(study, selection)
    if figure is not None:
        image = io.BytesIO()
        figure.savefig(image, format="png", dpi=110, metadata={"Software": None})
        storage.write_bytes(storage.join(output, "study.png"), image.getvalue())


def draw_study(study: optuna.Study, selection: str) -> Figure | None:
    """Draws a panel of the figures over the trials, one for each parameter, and one of their importance if known."""
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
        has_names = any(isinstance(value, (str, bool)) for value, _ in points)
        axis.scatter([str(x) if has_names else x for x, _ in points], [y for _, y in points], s=16, color=_BLUE)
        axis.set(xlabel=name, ylabel=selection)
        if has_names:
            _place_names(axis, sorted({str(x) for x, _ in points}))
        else:
            _place_numbers(axis, name, [x for x, _ in points])
    if weights:
        axis = axes[panels - 1]
        axis.barh(list(weights)[::-1], list(weights.values())[::-1], color=_BLUE)
        axis.set(xlabel="importance")
    for axis in axes[panels:]:
        axis.set_visible(False)
    return figure


def log_ticks(low: float, high: float) -> list[float]:
    """At most `_MOST_TICKS` round ticks of a logarithmic axis: 1, 2, 5, 10, …, or powers of ten, or its ends."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    within = [10.0**power * digit for power in powers for digit in (1, 2, 5)]
    within = [tick for tick in within if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
    if len(within) > _MOST_TICKS:
        decades = [10.0**power for power in powers if low * (1 - 1e-9) <= 10.0**power <= high * (1 + 1e-9)]
        within = decades[:: math.ceil(len(decades) / _MOST_TICKS)]
    return within if len(within) > 1 else sorted({low, high})


def _place_names(axis: Axes, names: list[str]) -> None:
    if sum(map(len, names)) > _LETTERS_IN_A_ROW:
        axis.tick_params(axis="x", labelrotation=25)
        for label in axis.get_xticklabels():
            label.set(horizontalalignment="right", rotation_mode="anchor")


def _place_numbers(axis: Axes, name: str, values: list[float]) -> None:
    low, high = min(values), max(values)
    if (name in ("l2", "learning_rate") or name.endswith((".units", ".filters"))) and 0 < low < high:
        # If the axis spans less than a decade, matplotlib would label its minor ticks too, one over the other.
        axis.set_xscale("log")
        axis.xaxis.set_minor_locator(NullLocator())
        ticks = log_ticks(low, high)
        axis.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
    else:
        whole = all(float(value).is_integer() for value in values)
        axis.xaxis.set_major_locator(MaxNLocator(_MOST_TICKS, integer=whole))
