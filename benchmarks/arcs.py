"""What it costs to find similar films and families in a catalogue, and to find films by a drawn curve on its page.

    python -m benchmarks.arcs [--films 10000] [--page]

Curves are random walks; no film is scored. `--page` needs Chromium and the Python package playwright. Times are
processor time of one process, except on the page: milliseconds by its clock.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.report.arcs import arc_table
from beam_pipelines.report.arcs.arcs import Arcs, arcs_of
from beam_pipelines.report.arcs.distance import BYS
from beam_pipelines.report.arcs.families import find_families
from beam_pipelines.report.arcs.similar_films import similar_films
from beam_pipelines.report.scoring.page import PageWriter
from beam_pipelines.report.scoring.scoring_run import ScoringRun
from beam_pipelines.report.scoring.sheets import FilmSheet, catalogue_row

RANGE = (-1.0, 1.0)
FILM_S = 6000
PAGE_FILMS = 5000
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
WATCH = """() => { const search = CineAffect.Explore.prototype.search;
  CineAffect.Explore.prototype.search = function () {
    const begin = performance.now();
    search.call(this);
    window.searched = performance.now() - begin; }; }"""
DRAW = """async (wave) => { const pad = document.getElementById("pad"), box = pad.getBoundingClientRect();
  const at = (name, share, up) => pad.dispatchEvent(new PointerEvent(name, { pointerId: 1, bubbles: true,
    clientX: box.left + 12 + share * (box.width - 24), clientY: box.top + box.height * (0.5 - up / 3) }));
  pad.setPointerCapture = () => {};
  at("pointerdown", 0, Math.sin(wave));
  for (let i = 1; i <= 40; i++) at("pointermove", i / 40, Math.sin(wave + i / 7));
  at("pointerup", 1, 0);
  const begin = performance.now();
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  return [window.searched, performance.now() - begin]; }"""


def walks(count: int, film_s: int = FILM_S) -> Iterator[AffectCurve]:
    """Smooth random walks within the labels' range."""
    for seed in range(count):
        random = np.random.default_rng(seed)
        knots = np.clip(np.cumsum(random.normal(0, 0.15, (2, 25)), axis=1), -1, 1)
        curves = [np.interp(np.arange(film_s), np.linspace(0, film_s, 25), values) for values in knots]
        yield AffectCurve(f"film {seed:05d}", *curves, *curves)


def measured(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and the processor time that it took, in seconds."""
    before = os.times()
    result = work()
    after = os.times()
    return result, after.user - before.user + after.system - before.system


def print_costs(films: int) -> None:
    """Prints what arcs, searches and families cost, as a table in Markdown."""
    small = min(films, 500)
    _, made_s = measured(lambda: arcs_of(walks(small), RANGE))
    _, drawn_s = measured(lambda: list(walks(small)))
    arcs = arcs_of(walks(films, 600), RANGE)
    with tempfile.TemporaryDirectory() as folder:
        run = ScoringRun(folder, {"job": "score"}, (), ())
        arc_table.write_arcs(run, arcs)
        loaded, load_s = measured(lambda: arc_table.read_arcs(run))
        size = (Path(folder) / arc_table.TABLE).stat().st_size
    assert isinstance(loaded, Arcs)
    rows = [(f"arcs of {films:,} films of 100 minutes, from their curves", (made_s - drawn_s) * films / small)]
    rows.append((f"load `arcs.parquet` ({size / 1e6:.1f} MB)", load_s))
    similar_films(loaded.take([0]), loaded.take([0, 1]), "shape", 20)  # its import
    for by in BYS:
        _, search_s = measured(lambda by=by: similar_films(loaded.take([7]), loaded, by, 20, 7))
        rows.append((f"the 20 most similar of {films:,}, by {by}", search_s))
    for count in sorted({300, 2000, films}):
        part = loaded.take(range(count))
        _, families_s = measured(lambda part=part: find_families(part))
        rows.append((f"families of {count:,}, auto", families_s))
    print("| what | processor seconds |\n|---|---|")
    for what, seconds in rows:
        print(f"| {what} | {seconds:.2f} |")


def print_page() -> None:
    """Prints how fast the page of 5,000 films answers a drawn curve, and lists films like one."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        writer = PageWriter(folder)
        for curve in walks(PAGE_FILMS, 200):
            writer.add_row(catalogue_row(FilmSheet(curve, 200.0, (), ()), RANGE))
        address = Path(writer.finish({"job": "score"})).resolve().as_uri()
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.goto(address)
        tab.wait_for_selector("#list .row")
        tab.click("#explore summary")
        tab.wait_for_selector("#explore-body:not([hidden])")
        tab.evaluate(WATCH)
        for targets in ("valence", "valence and arousal"):
            if targets != "valence":
                tab.click("#pad-targets button:last-child")
            times_ms = [tab.evaluate(DRAW, wave / 3) for wave in range(15)]
            for what, places in zip(
                ("search and list", "until it is on the screen"), zip(*times_ms, strict=True), strict=True
            ):
                print(f"| {targets}: {what} | {statistics.median(places):.0f} | {max(places):.0f} |")
        browser.close()


def main() -> None:
    """Prints tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=10_000)
    parser.add_argument("--page", action="store_true")
    arguments = parser.parse_args()
    if arguments.page:
        print("| a curve drawn, 5,000 films | median ms | slowest ms |\n|---|---|---|")
        print_page()
    else:
        print_costs(arguments.films)


if __name__ == "__main__":
    main()
