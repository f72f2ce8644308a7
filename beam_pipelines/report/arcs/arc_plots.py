"""Small multiples of arcs as PNG files: the films that are like one, and the families of a catalogue."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.report.arcs.arcs import POINTS, Arcs
from beam_pipelines.report.arcs.distance import By
from beam_pipelines.report.arcs.families import Families
from beam_pipelines.report.arcs.similar_films import SimilarFilm, short_name
from beam_pipelines.report.arcs.story_shapes import TARGET, nearest_stories, story_arc
from beam_pipelines.report.canvas import Output, canvas
from beam_pipelines.report.plots import COLOURS, GUIDE_COLOUR

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 4
_PANEL_IN = (3.1, 1.7)
_SHOWN_MEMBERS = 40
_LETTERS = 30
_PERCENT = (np.arange(POINTS) + 0.5) * (100 / POINTS)


def plot_similar(output: Output, title: str, arc: Arcs, arcs: Arcs, found: Sequence[SimilarFilm], by: By) -> None:
    """Draws each film that was found over the arc that was asked for (dashed), nearest first.

    Args:
        output: a path (local or `gs://`), or a binary file.
        title: the picture's title.
        arc: the arc that was asked for.
        arcs: the films.
        found: those to draw.
        by: what was compared: shapes are drawn without unit, else arcs in the labels' unit.
    """
    columns = min(_COLUMNS, max(1, len(found)))
    rows = max(1, math.ceil(len(found) / columns))
    size_in = (max(6.0, columns * _PANEL_IN[0]), rows * _PANEL_IN[1] + 1.2)
    asked, others = _drawn(arc, by)[0], _drawn(arcs, by)
    with canvas(output, title, rows, size_in, columns) as panels:
        for panel in panels[len(found) :]:
            panel.set_visible(False)
        for panel, film in zip(panels, found, strict=False):
            for place, target in enumerate(arcs.targets):
                panel.plot(_PERCENT, asked[:, place], color=GUIDE_COLOUR, lw=1.1, ls=(0, (4, 2)))
                panel.plot(_PERCENT, others[film.place, :, place], color=COLOURS[target], lw=1.8)
            name = short_name(arcs.film_ids[film.place], _LETTERS)
            _shape_panel(panel, f"{name}  {film.distance:.2f}", _height(arcs, by))
        _name_axes(panels, columns, arcs.targets)


def plot_families(output: Output, arcs: Arcs, families: Families) -> None:
    """Draws every family: its medoid bold, its other films faint, the nearest of the known story shapes dotted."""
    columns, rows = len(families.medoids), len(arcs.targets)
    size_in = (max(6.0, columns * _PANEL_IN[0]), rows * (_PANEL_IN[1] + 0.5) + 1.2)
    title = f"{len(arcs)} films in {columns} families by the shape of their curves"
    with canvas(output, title, rows, size_in, columns) as panels:
        for number, medoid in enumerate(families.medoids, start=1):
            members = np.flatnonzero(families.family == number)
            nearest = members[np.argsort(families.distance[members], kind="stable")][:_SHOWN_MEMBERS]
            for place, target in enumerate(arcs.targets):
                panel = panels[place * columns + number - 1]
                panel.plot(_PERCENT, arcs.shape[nearest, :, place].T, color=COLOURS[target], lw=0.6, alpha=0.25)
                panel.plot(_PERCENT, arcs.shape[medoid, :, place], color=COLOURS[target], lw=2.4)
                heading = f"family {number}: {len(members)} films" if place == 0 else ""
                if target == TARGET:
                    (name,), far = nearest_stories(arcs.take([medoid]))
                    panel.plot(_PERCENT, story_arc(name).shape[0, :, 0], color=GUIDE_COLOUR, lw=1.2, ls=":")
                    heading += f"\ndotted: {name}, distance {far[0]:.2f}"
                _shape_panel(panel, heading, _height(arcs, "shape"))
        _name_axes(panels, columns, arcs.targets)


def _drawn(arcs: Arcs, by: By) -> NDArray[np.floating]:
    return arcs.shape if by == "shape" else arcs.values


def _height(arcs: Arcs, by: By) -> tuple[float, float]:
    if by == "shape":
        return (-3.0, 3.0)
    low, high = arcs.label_range
    margin = 0.05 * (high - low)
    return (low - margin, high + margin)


def _shape_panel(panel: Axes, heading: str, height: tuple[float, float]) -> None:
    panel.set_ylim(*height)
    panel.set_xlim(0, 100)
    panel.set_xticks([0, 50, 100])
    panel.tick_params(labelsize=8)
    if heading:
        text = panel.set_title(heading, loc="left", fontsize=9)
        text.set_parse_math(False)


def _name_axes(panels: Sequence[Axes], columns: int, targets: Sequence[str]) -> None:
    for panel in panels[len(panels) - columns :]:
        panel.set_xlabel("% of the film", fontsize=9)
    figure = panels[0].figure.get_figure(root=True)
    if figure is None:
        return
    for place, target in enumerate(reversed(targets)):
        right = 1 - (0.1 + 0.9 * place) / figure.get_size_inches()[0]
        figure.text(right, 0.99, target, color=COLOURS[target], fontweight="bold", ha="right", va="top")
