"""ScoreFilms: feature records in, affect curves out, with what was scored before set apart.

    FilmToScore ──▶ ReadFeatures ──▶ PredictCurves ──▶ ScoredFilm
                        │  └─ failed      └─ failed
                        └──── skipped: its done marker says that nothing has changed

All of it can be fused: features never cross a shuffle, and the curves of a batch are written before the next is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import apache_beam as beam

from beam_pipelines.contracts.curves.done_marker import record_checksum
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.contracts.models.exported_model import FilmFeatures, ModelReference, features_of
from beam_pipelines.contracts.records.records import RecordError, read_record
from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.foundation.logs.structured_log import about
from beam_pipelines.foundation.tensorflow_start import start_tensorflow
from beam_pipelines.scoring.curve_files import CurveFiles, FinishedFilms
from beam_pipelines.scoring.scored_film import FilmToScore, SkippedFilm
from beam_pipelines.transforms.predict_curves import FAILED_TAG, SCORED_TAG, Inference, PredictCurves, failed_film

SKIPPED_TAG = "skipped"


@dataclass
class ScoreFilms(beam.PTransform):
    """PCollection of `FilmToScore` -> {`scored`: `ScoredFilm`, `skipped`: `SkippedFilm`, `failed`: `FilmOutcome`}.

    Attributes:
        model: the exported model; one copy of it a process.
        smoothing: how curves are smoothed.
        files: where an earlier run may have left the film's files.
        inference: how the model is called.
    """

    model: ModelReference
    smoothing: SmoothingConfig
    files: CurveFiles
    inference: Inference = field(default_factory=Inference)

    def expand(self, films: beam.PCollection) -> Mapping[str, beam.PCollection]:
        read = films | "ReadFeatures" >> beam.ParDo(
            _ReadFeatures(self.model, self.files, self.inference.threads_per_worker)
        ).with_outputs(SKIPPED_TAG, FAILED_TAG, main="read")
        predicted = read["read"] | PredictCurves(self.model, self.smoothing, self.files.scorer, self.inference)
        failed = (read[FAILED_TAG], predicted[FAILED_TAG]) | "Failed" >> beam.Flatten()
        return {SCORED_TAG: predicted[SCORED_TAG], SKIPPED_TAG: read[SKIPPED_TAG], FAILED_TAG: failed}


class _ReadFeatures(beam.DoFn):
    def __init__(self, model: ModelReference, files: CurveFiles, threads_per_worker: int):
        self.model = model
        self.files = files
        self.threads_per_worker = threads_per_worker

    def setup(self) -> None:
        # Reading a record starts TensorFlow, after which the number of threads can't be set any more.
        start_tensorflow(self.threads_per_worker)
        self.finished = FinishedFilms(self.files)

    def process(self, film: FilmToScore) -> Iterator[Any]:
        try:
            film = _with_checksum(film)
            marker = self.finished.marker_of(film.film_id, film.checksum)
            if marker:
                by_this_run = self.finished.is_of_this_run(film.film_id)
                yield beam.pvalue.TaggedOutput(SKIPPED_TAG, SkippedFilm(film, marker, by_this_run))
                return
            with about(film=film.film_id):
                features = self._read(film)
        except FilmError as error:
            yield beam.pvalue.TaggedOutput(FAILED_TAG, failed_film(film, error))
        else:
            yield film, features

    def _read(self, film: FilmToScore) -> FilmFeatures:
        try:
            record = read_record(film.record_uri, self.model.card.modalities)
        except RecordError as error:
            raise FilmError("score", "unreadable_record", str(error)) from error
        return features_of(record, self.model.card)


def _with_checksum(film: FilmToScore) -> FilmToScore:
    try:
        return replace(film, checksum=record_checksum(film.record_uri))
    except FileNotFoundError as error:
        raise FilmError("score", "no_record", f"{film.record_uri}: no such feature record; extract it") from error
    except PermissionError as error:
        raise FilmError("score", "unreadable_record", f"{film.record_uri}: {error.strerror}") from error
