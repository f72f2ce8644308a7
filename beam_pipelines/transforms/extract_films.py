"""ExtractFilms: films in, feature records in a directory, outcomes out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
from apache_beam.utils.shared import Shared

from beam_pipelines.catalogue import Film
from beam_pipelines.compute import start_tensorflow
from beam_pipelines.errors import FilmError
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.transforms.outcomes import DONE, FAILED, SKIPPED, FilmOutcome

DONE_TAG = "done"
FAILED_TAG = "failed"


@dataclass
class ExtractFilms(beam.PTransform):
    """PCollection of `Film` -> outcomes by tag: `done` (done or skipped: a record is there) and `failed`.

    Attributes:
        config: the extract section.
        directory: where the records go, one TFRecord file a film.
        descriptions: wanted modality -> what its features depend on (`describe_tracks`).
    """

    config: ExtractConfig
    directory: str
    descriptions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def expand(self, films: beam.PCollection) -> Any:
        # The reshuffle hands films to workers one by one; without it they'd stay fused to the one Create.
        return (
            films
            | "ReshuffleFilms" >> beam.Reshuffle()
            | "ExtractFilm"
            >> beam.ParDo(_ExtractFilm(self.config, self.directory, self.descriptions)).with_outputs(
                FAILED_TAG, main=DONE_TAG
            )
        )


class _ExtractFilm(beam.DoFn):
    def __init__(self, config: ExtractConfig, directory: str, descriptions: Mapping[str, Mapping[str, Any]]):
        self.config = config
        self.directory = directory
        self.descriptions = descriptions
        # Made here and not in `setup`: its key travels with the DoFn, so that a process holds one copy of the networks
        # however many threads of it process bundles.
        self._shared = Shared()

    def setup(self) -> None:
        start_tensorflow(self.config.threads_per_worker)
        from beam_pipelines.extractors.tracks import Networks

        self.networks = self._shared.acquire(lambda: Networks(self.config))

    def process(self, film: Film) -> Iterator[Any]:
        from beam_pipelines.extraction import extract_film

        try:
            header, extracted = extract_film(film, self.directory, self.networks, self.descriptions)
        except FilmError as error:
            failure = FilmOutcome(film.film_id, film.uri, FAILED, error.step, error.reason, error.detail)
            yield beam.pvalue.TaggedOutput(FAILED_TAG, failure)
        else:
            yield FilmOutcome(
                film.film_id, film.uri, DONE if extracted else SKIPPED, film_s=header.duration_us / 1_000_000
            )
