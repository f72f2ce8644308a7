"""DrawPlots: films whose files are written in, a plot of each in the directory of the run."""

from __future__ import annotations

from dataclasses import dataclass

import apache_beam as beam

from beam_pipelines.report.plots import plot_film
from beam_pipelines.scoring.curve_files import CurveFiles
from beam_pipelines.transforms.score_films import ScoredFilm


@dataclass
class DrawPlots(beam.PTransform):
    """PCollection of `ScoredFilm` -> an empty one, which a run's manifest waits for.

    Attributes:
        files: where the plots go. `CurveFiles.write_film` has removed a film's earlier plot: a run that is cut off
            between the two leaves none, and the film is scored again.
        label_range: lowest and highest label, the range of a plot's axis.
        remark: what each plot says beside the film's name.
    """

    files: CurveFiles
    label_range: tuple[float, float]
    remark: str = ""

    def expand(self, films: beam.PCollection) -> beam.PCollection:
        return films | "DrawPlot" >> beam.FlatMap(_draw_plot, self.files, self.label_range, self.remark)


def _draw_plot(film: ScoredFilm, files: CurveFiles, label_range: tuple[float, float], remark: str) -> tuple[()]:
    plot_film(files.plot_uri(film.curve.film_id), film.curve, label_range, remark)
    return ()
