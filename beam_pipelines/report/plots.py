"""Plots as PNG files: the curves of a film."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.contracts.film_ids import shown_name
from beam_pipelines.report.canvas import Output, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette: all common kinds of colour vision tell these apart.
COLOURS = {"valence": "#0072B2", "arousal": "#D55E00"}
GUIDE_COLOUR = "#999999"

Range = tuple[float, float]
_LONGEST_NAME = 45
"""Letters of a film's name that a plot's title has room for beside a remark."""


def plot_film(output: Output, curve: AffectCurve, label_range: Range = (-1.0, 1.0), remark: str = "") -> None:
    """Draws a film's curves, one above the other: smoothed bold, raw faint, with its bands.

    Those of a calibrated model say where labels lie. An ensemble that isn't calibrated has its members' spread instead.

    Args:
        output: a path (local or `gs://`), or a binary file.
        curve: the film's curve; NaN leaves a gap.
        label_range: lowest and highest label: the height of each panel.
        remark: the text beside the film's name.
    """
    seconds = np.arange(curve.seconds)
    # A line needs two seconds; a single one is drawn as a point.
    marker = "o" if seconds.size == 1 else None
    rows = len(curve.targets)
    with canvas(output, _heading(curve.film_id, remark), rows=rows, size_in=(10.0, 0.6 + 2.4 * rows)) as panels:
        for target, panel in zip(curve.targets, panels, strict=True):
            values, raw, spread = (getattr(curve, target + suffix) for suffix in ("", "_raw", "_spread"))
            colour = COLOURS[target]
            panel.plot(seconds, values, color=colour, lw=2.4, marker=marker, label="smoothed", zorder=4)
            band: dict[str, Any] = {"color": colour, "lw": 0, "zorder": 2}
            for level, alpha in zip(curve.levels, (0.2, 0.12), strict=False):
                low, high = (curve.of(f"{target}_{edge}_{level}") for edge in ("low", "high"))
                panel.fill_between(seconds, low, high, label=f"{level} %", alpha=alpha, **band)
            if spread is not None and not curve.levels:
                panel.fill_between(seconds, values - spread, values + spread, label="spread", alpha=0.2, **band)
            panel.plot(seconds, raw, color=colour, alpha=0.4, lw=1.0, label="raw", zorder=2)
            _shape_curve_panel(panel, target, label_range)
        _shape_time_axis(panels[-1], seconds)


def _heading(film_id: str, remark: str) -> str:
    name = shown_name(film_id)
    if not remark:
        return name
    # A title that is too long is cut at its end, and what must not be lost stands there.
    name = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
    return f"{name}   ({remark})"


def clock(time_s: float, *, hours: bool) -> str:
    """A time in seconds as m:ss, or as h:mm:ss."""
    minutes, seconds = divmod(round(time_s), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def _shape_curve_panel(panel: Axes, target: str, label_range: Range) -> None:
    low, high = label_range
    margin = 0.05 * (high - low)
    panel.set_ylim(low - margin, high + margin)
    panel.set_yticks(np.linspace(low, high, 5))
    panel.axhline((low + high) / 2, color=GUIDE_COLOUR, lw=0.9, zorder=1)
    panel.set_title(target.capitalize(), loc="left", color=COLOURS[target], fontweight="bold")
    # Above the panel, right of its name, where it covers no curve.
    panel.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=5, borderaxespad=0.1)


def _shape_time_axis(panel: Axes, time_s: NDArray[np.int64]) -> None:
    """Sets ticks at round times, written m:ss, or h:mm:ss from an hour on."""
    from matplotlib.ticker import FixedLocator, FuncFormatter

    first, last = (float(time_s.min()), float(time_s.max())) if time_s.size else (0.0, 1.0)
    span_s = max(last - first, 1.0)
    panel.set_xlim(first, first + span_s)
    steps_s = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
    step_s = next((step_s for step_s in steps_s if span_s / step_s <= 11), 24 * 3600)
    ticks = np.arange(np.ceil(first / step_s) * step_s, last + 1e-9, step_s)
    hours = last >= 3600
    panel.xaxis.set_major_locator(FixedLocator(ticks.tolist()))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: clock(value, hours=hours)))
    panel.set_xlabel("time (h:mm:ss)" if hours else "time (m:ss)")
