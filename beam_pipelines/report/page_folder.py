"""A page's folder: the common part of the pages of a scoring run, a training run, a study and a table of experiments.

    index.html   the page, written last: the common frame around its own body
    assets/      its scripts and styles, and uPlot for the charts
    data/*.js    its data

A page opened from disk may load scripts but not fetch files, so data are scripts that call `CineAffect.data`. uPlot
draws the charts: it has 50 kB and no dependencies, draws ten thousand points in milliseconds and needs no build step;
Plotly does the same with 3 to 4 MB.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError

PAGE = "index.html"
_FRAME = "frame.html"
_MARK = '<a class="brand" href="#">CineAffect</a>'
"""A line of the frame, by which pages of this project are recognised."""
_FOLDERS = ("assets", "data", "thumbs", "markers")
_UPLOT = ("uPlot.iife.min.js", "uPlot.min.css", "uPlot.LICENSE.txt")
_CLOSING = ");\n"
_RUN_CHARTS = ("store.js", "run_charts.js")


@dataclass(frozen=True)
class PageKind:
    """A kind of page.

    Attributes:
        body: the file with the content between header and footer.
        title, tagline: the texts in the browser's tab and next to the project's name.
        scripts, styles: the kind's own files, in the order of loading.
        policy: what the browser may load besides scripts, styles and pictures of the folder.
    """

    body: str
    title: str
    tagline: str
    scripts: Sequence[str]
    styles: Sequence[str] = ("style.css", "run.css")
    policy: str = ""


SCORING = PageKind(
    "scoring.html",
    "CineAffect report",
    "what films make viewers feel, second by second",
    (
        "store.js",
        "drawing.js",
        "arcs.js",
        "catalogue.js",
        "curve_pad.js",
        "map.js",
        "explore.js",
        "charts.js",
        "reasons.js",
        "film.js",
        "app.js",
    ),
    ("style.css", "explore.css"),
    " media-src 'self' file:;",
)
TRAINING = PageKind("training.html", "CineAffect training run", "a training run", (*_RUN_CHARTS, "training.js"))
STUDY = PageKind("study.html", "CineAffect study", "a study", (*_RUN_CHARTS, "study.js"))
TABLE = PageKind("table.html", "CineAffect Table 1", "the paper's runs and ours", (*_RUN_CHARTS, "table.js"))
COMPARISON = PageKind("table.html", "CineAffect comparison", "variants of one training", (*_RUN_CHARTS, "table.js"))


@dataclass
class PageFolder:
    """Writes the files of one page; `finish` writes the page itself and removes files of an earlier one.

    Attributes:
        output: the folder, local or `gs://`.

    Raises:
        ConfigurationError: if the folder holds a page that this project didn't write.
    """

    output: str
    _written: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        page = storage.join(self.output, PAGE)
        if storage.stat(page) is not None and _MARK.encode() not in storage.read_bytes(page):
            raise ConfigurationError(f"{page}: is not a page of CineAffect's; name another folder with --output")

    def write(self, name: str, content: bytes) -> None:
        """Writes a file of the page, unless it exists with this content; `name` is relative to the folder."""
        uri = storage.join(self.output, name)
        self._written.add(uri)
        _write(uri, content)

    def write_data(self, name: str, value: Any) -> None:
        """Writes `data/<name>.js`: plain values that the page loads by that name."""
        # ASCII, so that neither an encoding nor a line separator in a name can change the script.
        text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
        self.write(f"data/{name}.js", f"{_opening(name)}{text}{_CLOSING}".encode("ascii"))

    def finish(self, kind: PageKind) -> str:
        """Writes the page of a kind with its assets, and returns the page's address."""
        assets = resources.files(__package__) / "assets"
        for name in (*_UPLOT, *kind.styles, *kind.scripts):
            self.write(f"assets/{name}", (assets / name).read_bytes())
        page = storage.join(self.output, PAGE)
        self._remove_left_over(page)
        frame, body = ((assets / name).read_text(encoding="utf-8") for name in (_FRAME, kind.body))
        _write(page, _framed(frame, kind, body).encode("utf-8"))
        return page

    def _remove_left_over(self, page: str) -> None:
        # Only if an earlier page of this project is there: otherwise the files may belong to others.
        if storage.stat(page) is None:
            return
        for folder in _FOLDERS:
            for info in storage.list_files(storage.join(self.output, folder)):
                if info.uri not in self._written:
                    storage.remove(info.uri)


def read_data(output: str, name: str) -> Any:
    """What `PageFolder.write_data` wrote into a page's folder.

    Raises:
        FileNotFoundError: if the folder has no such data.
        ValueError: if the file isn't what this version writes.
    """
    text = storage.read_bytes(storage.join(output, "data", f"{name}.js")).decode("ascii")
    return json.loads(text.removeprefix(_opening(name)).removesuffix(_CLOSING))


def _opening(name: str) -> str:
    return f"CineAffect.data({json.dumps(name)},"


def _write(uri: str, content: bytes) -> None:
    # A second run that changes nothing keeps the files' times.
    if storage.stat(uri) is None or storage.read_bytes(uri) != content:
        storage.write_bytes(uri, content)


def _framed(frame: str, kind: PageKind, body: str) -> str:
    styles = [f'<link rel="stylesheet" href="assets/{name}">' for name in ("uPlot.min.css", *kind.styles)]
    scripts = [f'<script src="assets/{name}"></script>' for name in ("uPlot.iife.min.js", *kind.scripts)]
    places: Mapping[str, str] = {
        "POLICY": kind.policy,
        "TITLE": html.escape(kind.title),
        "TAGLINE": html.escape(kind.tagline),
        "STYLES": "\n".join(styles),
        "SCRIPTS": "\n".join(scripts),
        "BODY": body.strip(),
    }
    for place, text in places.items():
        frame = frame.replace(f"<!--{place}-->", text)
    return frame
