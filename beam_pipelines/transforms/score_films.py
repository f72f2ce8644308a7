"""ScoreFilms: takes feature records; gives affect curves, and separately the films that were scored before.

    FilmToScore ──▶ ReadFeatures ──▶ PredictCurves ──▶ ScoredFilm
                        │  └─ failed      └─ failed
                        └──── skipped: its done marker says that nothing has changed

A runner can fuse all of it: features never cross a shuffle, and a batch's curves are written before the next is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import apache_beam as beam
from apache_beam.utils.shared import Shared

from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.contracts.models.exported_model import FilmFeatures, ModelReference, features_of
from beam_pipelines.contracts.records.records import RecordError, read_record
from beam_pipelines.contracts.runs import FilmOutcome
from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.foundation.logs.structured_log import about
from beam_pipelines.scoring.curve_files import CurveFiles, FinishedFilms
from beam_pipelines.scoring.look_up import cannot_open, look_up_film
from beam_pipelines.scoring.scored_film import FilmToScore, SkippedFilm, failed_film
from beam_pipelines.transforms.outcomes import TIMES_TAG, TimedDoFn
from beam_pipelines.transforms.predict_curves import FAILED_TAG, SCORED_TAG, Inference, PredictCurves

SKIPPED_TAG = "skipped"


@dataclass
class ScoreFilms(beam.PTransform):
    """From `FilmToScore` to `scored` (`ScoredFilm`), `skipped` (`SkippedFilm`), `failed` (`FilmOutcome`) and `times`.

    Attributes:
        model: the exported model; one copy per process.
        smoothing: how curves are smoothed.
        files: the run's files, which may include a film's files of an earlier run.
        inference: how the model is called.
    """

    model: ModelReference
    smoothing: SmoothingConfig
    files: CurveFiles
    inference: Inference = field(default_factory=Inference)

    def expand(self, films: beam.PCollection) -> Mapping[str, beam.PCollection]:
        read = films | "ReadFeatures" >> beam.ParDo(_ReadFeatures(self.model, self.files)).with_outputs(
            SKIPPED_TAG, FAILED_TAG, TIMES_TAG, main="read"
        )
        predicted = read["read"] | PredictCurves(self.model, self.smoothing, self.files.scorer, self.inference)
        failed = (read[FAILED_TAG], predicted[FAILED_TAG]) | "Failed" >> beam.Flatten()
        times = (read[TIMES_TAG], predicted[TIMES_TAG]) | "Times" >> beam.Flatten()
        outputs = {SCORED_TAG: predicted[SCORED_TAG], SKIPPED_TAG: read[SKIPPED_TAG]}
        return {**outputs, FAILED_TAG: failed, TIMES_TAG: times}


class _ReadFeatures(TimedDoFn):
    def __init__(self, model: ModelReference, files: CurveFiles):
        self.model = model
        self.files = files
        # Made with the graph and not in `setup`: the threads of a process read the earlier table once.
        self.shared = Shared()

    def setup(self) -> None:
        self.finished = self.shared.acquire(lambda: FinishedFilms(self.files))

    def work(self, film: FilmToScore) -> Iterator[Any]:
        found = look_up_film(film, self.finished)
        if isinstance(found, SkippedFilm):
            yield beam.pvalue.TaggedOutput(SKIPPED_TAG, found)
            return
        if isinstance(found, FilmOutcome):
            yield beam.pvalue.TaggedOutput(FAILED_TAG, found)
            return
        try:
            with about(film=film.film_id):
                read = self._read(found)
        except FilmError as error:
            yield beam.pvalue.TaggedOutput(FAILED_TAG, failed_film(found, error))
        else:
            yield read

    def _read(self, film: FilmToScore) -> tuple[FilmToScore, FilmFeatures]:
        try:
            record = read_record(film.record_uri, self.model.card.modalities)
        except RecordError as error:
            raise FilmError("score", "unreadable_record", str(error)) from error
        except (FileNotFoundError, PermissionError) as error:  # it was there when the film was looked up
            raise cannot_open(film, error) from error
        header = record.header
        found = replace(film, warnings=header.warnings, source_sha256=header.source_sha256)
        return found, features_of(record, self.model.card)
