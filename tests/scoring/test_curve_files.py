"""The files of a scored film: whatever an interrupted run has left, the next run does what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.contracts.curves.done_marker import DoneMarker
from beam_pipelines.report.plots import plot_film
from beam_pipelines.scoring.curve_files import CurveFiles, FinishedFilms


def test_a_film_whose_new_plot_was_not_drawn_is_not_done_though_an_earlier_plot_was_there(tmp_path: Path) -> None:
    files = CurveFiles(str(tmp_path), csv=True, plots=True, shards=1, scorer="new")
    marker, values = DoneMarker("film", "new", "record", 3, 0), np.zeros(3)
    curve = AffectCurve("film", values, values, values, values)
    plot_film(files.plot_uri("film"), curve, (-1.0, 1.0))
    files.write_film(marker, curve)
    assert FinishedFilms(files).marker_of("film", "record") is None
    plot_film(files.plot_uri("film"), curve, (-1.0, 1.0))
    assert FinishedFilms(files).marker_of("film", "record") == marker
