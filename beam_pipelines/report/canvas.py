"""The canvas of all plots: style, title, fonts and the PNG file.

It uses matplotlib's object interface and the Agg canvas, so it needs no display. A user's matplotlibrc has no effect,
and the same input gives the same bytes on one machine.
"""

from __future__ import annotations

import io
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO

from beam_pipelines.foundation import storage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Output = str | BinaryIO

DOTS_PER_INCH = 130
FONT = "DejaVu Sans"
"""Matplotlib's own font: Latin, Greek, Cyrillic, Arabic, Hebrew and more, but no letters of East and South Asia."""

_STYLE: dict[str, Any] = {
    "font.family": [FONT],
    "font.size": 11.0,
    "axes.titlesize": 12.0,
    "axes.titlepad": 8.0,
    "axes.labelcolor": "#444444",
    "axes.edgecolor": "#888888",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#E2E2E2",
    "grid.linewidth": 0.7,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.frameon": False,
    "legend.fontsize": 10.0,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
}

# Matplotlib's settings are global to the process, and runners draw in several threads.
_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def canvas(
    output: Output, title: str, rows: int, size_in: tuple[float, float], columns: int = 1
) -> Iterator[list[Axes]]:
    """Panels row by row, over one horizontal axis; written as PNG if the `with` block ends without an error.

    Args:
        output: a path (local or `gs://`), or a binary file.
        title: untrusted text: never read as a formula, and cut at the edge of the figure.
        rows, columns: number of panels above and beside each other.
        size_in: width and height in inches.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    settings: Any = {**mpl.rcParamsDefault, **_STYLE}
    # rc_context doesn't restore this setting: a notebook would show no more figures.
    settings.pop("backend")
    with _ONE_AT_A_TIME, mpl.rc_context(settings), _no_word_about_fonts():
        layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06)
        figure = Figure(figsize=size_in, dpi=DOTS_PER_INCH, layout=layout)
        FigureCanvasAgg(figure)
        _write_title(figure, title)
        yield list(figure.subplots(rows, columns, sharex=True, squeeze=False).flat)
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    if isinstance(output, str):
        storage.write_bytes(output, content.getvalue())
    else:
        output.write(content.getvalue())


def _write_title(figure: Figure, title: str) -> None:
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in title).split())
    heading = figure.suptitle(text, x=0.012, ha="left", fontsize=14, fontweight="bold")
    heading.set_parse_math(False)
    heading.set_fontfamily(_families(text))
    width_px = 0.97 * figure.bbox.width
    # The title is measured, because letters differ in width, and cut in steps that shrink with the excess.
    while text and (drawn_px := heading.get_window_extent().width) > width_px:
        text = text[: min(len(text) - 1, int(len(text) * width_px / drawn_px))]
        heading.set_text(text + "…")


def _families(text: str) -> list[str]:
    """Matplotlib's own font, and, if it lacks letters, the first installed font that has them."""
    from matplotlib import font_manager

    lacking = {ord(letter) for letter in text if letter != " "} - _letters(font_manager.findfont(FONT))
    if not lacking:
        return [FONT]
    for entry in sorted(font_manager.fontManager.ttflist, key=lambda entry: (entry.name, entry.fname)):
        # "Last Resort" draws a box for every letter; matplotlib uses it unasked.
        if entry.style == "normal" and not entry.name.startswith("Last Resort") and lacking <= _letters(entry.fname):
            return [FONT, entry.name]
    return [FONT]


@lru_cache(maxsize=256)
def _letters(font_path: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(font_path).get_charmap())


@contextmanager
def _no_word_about_fonts() -> Iterator[None]:
    # A letter that no installed font has is drawn as a box; a warning for each film would add nothing.
    logger = logging.getLogger("matplotlib.font_manager")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*Glyph.*")
            yield
    finally:
        logger.setLevel(level)
