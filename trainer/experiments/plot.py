"""The plot of an experiment: every figure of every predictor, its spread over seeds, and published figures."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation import storage
from trainer.evaluation.metrics import CONSTANT_MEAN
from trainer.experiments.table import FIGURES, SCOPES, Published, Summary

_COLOURS = {"mean of films": "#0072b2", "pooled": "#d55e00"}
_OFFSETS = {"mean of films": -0.12, "pooled": 0.12}
_GREEN = "#009e73"


def write_experiment_plot(
    uri: str, title: str, summaries: Sequence[Summary], published: Published | None = None
) -> None:
    """Writes a PNG: a panel for MSE, PCC and CCC of each target, one point per predictor with its deviation over seeds.

    With one seed a point has no deviation. The constant mean is a dashed line if it has a value. A figure without a
    value has no point.
    """
    names = [name for name in dict.fromkeys(s.predictor for s in summaries) if name != CONSTANT_MEAN]
    figure = Figure(figsize=(4.2 * len(FIGURES), 3.4 * len(TARGETS)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    panels = figure.subplots(len(TARGETS), len(FIGURES), squeeze=False)
    for row, target in zip(panels, TARGETS, strict=True):
        for axis, name in zip(row, FIGURES, strict=True):
            _draw_panel(axis, names, [s for s in summaries if (s.target, s.figure) == (target, name)])
            _draw_published(axis, names, target, name, published or {})
            axis.set(ylabel=f"{target} {name.upper()}", xlim=(-0.5, len(names) - 0.5))
            axis.set_xticks(range(len(names)), names, rotation=20, ha="right")
    handles, names_of_handles = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, names_of_handles, loc="outside lower center", ncols=len(handles), fontsize="small")
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=110, metadata={"Software": None})
    storage.write_bytes(uri, image.getvalue())


def _draw_panel(axis: Axes, names: Sequence[str], summaries: Sequence[Summary]) -> None:
    for scope in SCOPES:
        colour = _COLOURS[scope]
        drawn = [s for s in summaries if s.scope == scope and s.mean is not None]
        points = [
            (names.index(s.predictor) + _OFFSETS[scope], s.mean, math.nan if s.sd is None else s.sd)
            for s in drawn
            if s.predictor in names
        ]
        if points:
            places, means, deviations = zip(*points, strict=True)
            axis.errorbar(places, means, deviations, fmt="o", color=colour, capsize=3, markersize=5, label=scope)
        for summary in drawn:
            if summary.predictor == CONSTANT_MEAN and summary.mean is not None:
                label = f"{CONSTANT_MEAN}, {scope}"
                axis.axhline(summary.mean, color=colour, linestyle="--", linewidth=0.9, label=label)


def _draw_published(axis: Axes, names: Sequence[str], target: str, figure: str, published: Published) -> None:
    values = [
        (names.index(name), p[target, figure])
        for name, p in published.items()
        if name in names and (target, figure) in p
    ]
    if values:
        axis.plot(*zip(*values, strict=True), "D", color=_GREEN, markersize=5, label="paper")
