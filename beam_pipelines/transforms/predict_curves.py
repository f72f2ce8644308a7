"""PredictCurves: takes films with their features; gives affect curves.

    film and features ──▶ BatchFilms ──▶ RunInference ──▶ SmoothCurve ──▶ ScoredFilm
                                                              └─ failed

The model must accept every film that comes in, because RunInference fails a whole batch at a time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from beam_pipelines.contracts.curves.curves import smoothed_curve
from beam_pipelines.contracts.curves.done_marker import DoneMarker
from beam_pipelines.contracts.curves.shares import Explain
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.contracts.film_warnings import in_order
from beam_pipelines.contracts.models.explained import explain_films
from beam_pipelines.contracts.models.exported_model import (
    GPU_BLOCK_S,
    ExportedModel,
    FilmFeatures,
    ModelReference,
    find_model,
)
from beam_pipelines.contracts.models.raw_prediction import RawPrediction
from beam_pipelines.contracts.models.seen_features import UnlikeSeconds
from beam_pipelines.extractors.built_once import built_once
from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.foundation.stage_times import STARTING, StageTimes, add_times, count, count_times, stage
from beam_pipelines.foundation.tensorflow_start import sees_gpu, start_tensorflow
from beam_pipelines.scoring.scored_film import FilmToScore, ScoredFilm, failed_film
from beam_pipelines.transforms.outcomes import TIMES_TAG, TimedDoFn

SCORED_TAG = "scored"
FAILED_TAG = "failed"
CPU_BATCH_S = 2048
"""Seconds of films that a model gets together on a processor; on a GPU it gets a block of its rows."""

FilmInput = tuple[FilmToScore, FilmFeatures]
FilmOutput = tuple[FilmToScore, RawPrediction, UnlikeSeconds | None, StageTimes]
"""The times are those of a batch, with its first film."""


@dataclass(frozen=True)
class Inference:
    """How the model is called. Only the stride changes a curve (and `block_s` its last bits).

    Attributes:
        stride_s: the distance in seconds between predictions.
        batch_s: the model gets films together until they have so many seconds; 0 for one at a time, None for the
            device's default.
        threads_per_worker: TensorFlow's threads in each process.
        block_s: seconds that the model advances at a time; None for the device's default.
        explain: what curves are explained by.
    """

    stride_s: int = 1
    batch_s: int | None = 0
    threads_per_worker: int = 1
    block_s: int | None = None
    explain: Explain = "nothing"


@dataclass
class PredictCurves(beam.PTransform):
    """From (`FilmToScore`, `FilmFeatures`) to {`scored`: `ScoredFilm`, `failed`: `FilmOutcome`, `times`}.

    Attributes:
        model: the exported model; one copy per process.
        smoothing: how curves are smoothed.
        scorer: `scorer_digest` of this run.
        inference: how the model is called.
    """

    model: ModelReference
    smoothing: SmoothingConfig
    scorer: str
    inference: Inference = Inference()

    def expand(self, films: beam.PCollection) -> Mapping[str, beam.PCollection]:
        card = self.model.card
        bands = card.half_widths(self.smoothing, self.inference.stride_s)
        smooth = _SmoothCurve(self.smoothing, card.label_range, self.scorer, bands)
        smoothed = (
            films
            | "BatchFilms" >> beam.ParDo(_BatchFilms(self.inference.batch_s))
            | "RunInference" >> RunInference(FilmModelHandler(self.model, self.inference))
            | "SmoothCurve" >> beam.ParDo(smooth).with_outputs(FAILED_TAG, TIMES_TAG, main=SCORED_TAG)
        )
        return {tag: smoothed[tag] for tag in (SCORED_TAG, FAILED_TAG, TIMES_TAG)}


class ModelOfProcess:
    """An exported model that is loaded when a film first needs it: a process that gets no film starts no TensorFlow."""

    def __init__(self, reference: ModelReference, inference: Inference):
        self.building = threading.Lock()
        self._reference = reference
        self._inference = inference

    @built_once
    @stage(STARTING, 1)
    def loaded(self) -> ExportedModel:
        """The model."""
        start_tensorflow(self._inference.threads_per_worker)
        return ExportedModel(self._reference, self._inference.block_s)


class FilmModelHandler(ModelHandler[FilmInput, FilmOutput, ModelOfProcess]):
    """Loads an exported model for RunInference, once per process, and calls it batch by batch.

    The elements are batches already, measured in seconds: Beam's own batching counts elements, and delays films that
    come one by one.
    """

    def __init__(self, model: ModelReference, inference: Inference = Inference()):
        super().__init__()
        self._model = model
        self._inference = inference

    def should_skip_batching(self) -> bool:
        """True, since the elements are batches already."""
        return True

    def update_model_path(self, model_path: str | None = None) -> None:
        """Changes the model; RunInference calls this if its side input of `ModelMetadata` names another one.

        Args:
            model_path: a version's directory, or a directory of exports, whose pointer `current` is followed.

        Raises:
            ConfigurationError: if there is no model.
        """
        if model_path:
            self._model = find_model(model_path)

    def set_environment_vars(self) -> None:
        """Silences a warning; Beam calls this in each process before it loads the model."""
        super().set_environment_vars()
        # Without PyTorch, Beam 2.77 treats Python's own `resource` module as absent and warns at every load.
        logging.getLogger().addFilter(_is_not_about_resource)

    def load_model(self) -> ModelOfProcess:
        """The model, which is loaded later; Beam calls this once per process."""
        return ModelOfProcess(self._model, self._inference)

    def run_inference(
        self, batch: Sequence[FilmInput], model: ModelOfProcess, inference_args: dict[str, Any] | None = None
    ) -> Iterable[FilmOutput]:
        """The predictions of some films, in their order; each film has the values that it has alone."""
        films, inference = [features for _, features in batch], self._inference
        with count_times() as times, stage("model", sum(film.seconds for film in films), self.get_num_bytes(batch)):
            loaded = model.loaded
            predictions = loaded.predict_films(films, inference.stride_s)
            predictions = explain_films(loaded, films, predictions, inference.explain, inference.stride_s)
            unlike = [loaded.unlike(features) for features in films]
        of_films = [times, *({} for _ in films[1:])]
        return list(zip([film for film, _ in batch], predictions, unlike, of_films, strict=True))

    def get_num_bytes(self, batch: Sequence[FilmInput]) -> int:
        """The size of the features in bytes, for Beam's metrics (by default Beam pickles the batch to measure it)."""
        return sum(features.size_bytes for _, features in batch)


class _BatchFilms(beam.DoFn):
    """Collects films up to so many seconds; the rest follows at the end of the bundle."""

    def __init__(self, batch_s: int | None):
        self.batch_s = batch_s

    def setup(self) -> None:
        # Decided where the model runs, since the machine that starts the job may have no GPU.
        self.seconds_wanted = (GPU_BLOCK_S if sees_gpu() else CPU_BATCH_S) if self.batch_s is None else self.batch_s

    def start_bundle(self) -> None:
        self.waiting: list[FilmInput] = []
        self.seconds = 0

    def process(self, film: FilmInput) -> Iterator[list[FilmInput]]:
        self.waiting.append(film)
        self.seconds += film[1].seconds
        if self.seconds >= self.seconds_wanted:
            yield self.waiting
            self.start_bundle()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self.waiting:
            yield WindowedValue(self.waiting, GlobalWindow().max_timestamp(), (GlobalWindow(),))


class _SmoothCurve(TimedDoFn):
    def __init__(
        self,
        smoothing: SmoothingConfig,
        label_range: tuple[float, float],
        scorer: str,
        half_widths: Mapping[str, Mapping[int, float]],
    ):
        self.smoothing = smoothing
        self.label_range = label_range
        self.scorer = scorer
        self.half_widths = half_widths

    def work(self, element: FilmOutput) -> Iterator[Any]:
        film, raw, unlike, times = element
        add_times(times)
        try:
            with stage("smoothing"):
                how = self.smoothing, self.label_range, raw.members, self.half_widths, raw.shares
                curve = smoothed_curve(film.film_id, raw.values, *how)
                count(curve.seconds, sum(values.nbytes for values in raw.values.values()))
        except FilmError as error:
            yield beam.pvalue.TaggedOutput(FAILED_TAG, failed_film(film, error))
        else:
            counts = curve.seconds, curve.seconds_without_value
            warnings = in_order([*film.warnings, *(unlike.warnings() if unlike else ())])
            percent = unlike.percent if unlike else None
            marker = DoneMarker(
                film.film_id, self.scorer, film.checksum, *counts, warnings, film.source_sha256, percent
            )
            yield ScoredFilm(film, marker, curve)


def _is_not_about_resource(entry: logging.LogRecord) -> bool:
    return not str(entry.msg).startswith("Resource module is not available")
