"""The speed of the report page in a browser: a catalogue of 5,000 films and a film of three hours, opened from disk.

    python benchmarks/report_page.py [--repeats 5]

It needs Chromium and the Python package playwright. Times are medians over fresh tabs, from the start of the navigation
until the first row or the last chart is there.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.report.scoring.page import PageWriter
from beam_pipelines.report.scoring.sheet_maker import SheetMaker
from beam_pipelines.report.scoring.sheets import FilmSheet, catalogue_row

FILMS = 5000
LONG_S = 3 * 3600
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")

SEARCH = """() => { const field = document.getElementById("search"), start = performance.now();
  field.value = "film 04"; field.dispatchEvent(new Event("input")); return performance.now() - start; }"""
SORT = """() => { const start = performance.now();
  document.querySelector("[data-sort=valence]").click(); return performance.now() - start; }"""
STEP = """() => { const start = performance.now();
  for (let n = 0; n < 50; n++)
    document.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", shiftKey: true }));
  return (performance.now() - start) / 50; }"""


def wave(film_id: str, seconds: int, seed: int) -> AffectCurve:
    """A curve with noise, and with the spread of an ensemble."""
    random = np.random.default_rng(seed)
    smooth = [0.5 * np.sin(np.arange(seconds) / random.uniform(8, 60)) for _ in range(2)]
    raw = [values + random.normal(0, 0.1, seconds) for values in smooth]
    return AffectCurve(film_id, *smooth, *raw, *random.uniform(0.02, 0.1, (2, seconds)))


def write_page(folder: str) -> str:
    """The page of 5,000 films, one of them of three hours; returns its address."""
    writer = PageWriter(folder)
    writer.add_film(*SheetMaker(folder).make(wave("three hours", LONG_S, 1)))
    for n in range(FILMS - 1):
        sheet = FilmSheet(wave(f"film {n:04d}", 100, n), 100.0, (), ())
        writer.add_row(catalogue_row(sheet, (-1.0, 1.0)))
    return Path(writer.finish({"job": "score"})).resolve().as_uri()


def measure(browser: Any, address: str) -> dict[str, float]:
    """Milliseconds of each action, in one fresh tab a page."""
    found = {}
    tab = browser.new_page()
    tab.goto(address)
    tab.wait_for_selector("#list .row")
    found["5,000 films: first row"] = tab.evaluate("performance.now()")
    found["5,000 films: search"] = tab.evaluate(SEARCH)
    found["5,000 films: sort"] = tab.evaluate(SORT)
    tab.close()
    tab = browser.new_page()
    tab.goto(f"{address}#film=three%20hours")
    tab.wait_for_selector("#chart-arousal canvas")
    found["three hours: charts"] = tab.evaluate("performance.now()")
    found["three hours: a step of the cursor"] = tab.evaluate(STEP)
    tab.close()
    return found


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        address = write_page(folder)
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        runs = [measure(browser, address) for _ in range(repeats)]
        browser.close()
    print("| what | median ms | slowest ms |\n|---|---|---|")
    for what in runs[0]:
        times_ms = [run[what] for run in runs]
        print(f"| {what} | {statistics.median(times_ms):.0f} | {max(times_ms):.0f} |")


if __name__ == "__main__":
    main()
