"""DrawPlots: takes films whose files are written, and draws a plot of each into the directory of the run."""

from __future__ import annotations

from dataclasses import dataclass

import apache_beam as beam

from beam_pipelines.foundation.stage_times import stage
from beam_pipelines.report.plots import plot_film
from beam_pipelines.scoring.curve_files import CurveFiles
from beam_pipelines.scoring.scored_film import ScoredFilm
from beam_pipelines.transforms.outcomes import TIMES_TAG, TimedDoFn


@dataclass
class DrawPlots(beam.PTransform):
    """From a PCollection of `ScoredFilm` to their `StageTimes`, for which a run's manifest waits.

    Attributes:
        files: the run's files. `CurveFiles.write_film` has removed a film's earlier plot: a run that is interrupted
            between the two leaves none, and the next run scores the film again.
        label_range: lowest and highest label, the range of a plot's axis.
        remark: a text on each plot next to the film's name.
    """

    files: CurveFiles
    label_range: tuple[float, float]
    remark: str = ""

    def expand(self, films: beam.PCollection) -> beam.PCollection:
        drawn = films | "DrawPlot" >> beam.ParDo(_DrawPlot(self)).with_outputs(TIMES_TAG, main="nothing")
        return drawn[TIMES_TAG]


class _DrawPlot(TimedDoFn):
    def __init__(self, how: DrawPlots):
        self.files, self.label_range, self.remark = how.files, how.label_range, how.remark

    def work(self, film: ScoredFilm) -> tuple[()]:
        with stage("plots", 1):
            plot_film(self.files.plot_uri(film.curve.film_id), film.curve, self.label_range, self.remark)
        return ()
