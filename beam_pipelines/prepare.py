"""The prepare job: feature records of the training films in, statistics and the transform graph out.

records of a split ──▶ ReadRows ──▶ AnalyzeDataset (tf.Transform, full passes) ──▶ transform_fn/, statistics.json
"""

from __future__ import annotations

import sys

from beam_pipelines.commands.prepare import main as main

if __name__ == "__main__":  # before Beam is imported: help and refusals need none of it
    sys.exit(main())

import json
from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam
import tensorflow_transform.beam as tft_beam

from beam_pipelines.contracts.records import records
from beam_pipelines.contracts.records.feature_changes import note_on_records
from beam_pipelines.contracts.runs import STATISTICS
from beam_pipelines.films.catalogue import Film
from beam_pipelines.films.work_lists import WorkList
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.launch import job
from beam_pipelines.normalisation.config import PrepareConfig
from beam_pipelines.normalisation.preprocessing import preprocessing
from beam_pipelines.transforms.outcomes import WriteOutcomes
from beam_pipelines.transforms.read_films import ReadFilms
from beam_pipelines.transforms.read_rows import OUTCOME_TAG, PRESENT_TAG, ROWS_TAG, ReadRows, adapter_config
from beam_pipelines.transforms.write_transform import WriteTransform


class RecordShape:
    """The properties that all records of a training set must share.

    Attributes:
        dimensions: modality -> width of its rows.
        descriptions: modality -> description of its features.
        slots: modality -> slots per second.
    """

    def __init__(self, dimensions: Mapping[str, int], descriptions: Mapping[str, Mapping[str, Any]]):
        self.dimensions = dict(dimensions)
        self.descriptions = {modality: dict(description) for modality, description in descriptions.items()}
        self.slots = {modality: records.slots_of(modality, self.descriptions.get(modality)) for modality in dimensions}

    def fingerprints(self) -> dict[str, str]:
        """The fingerprint of each modality."""
        return {modality: records.fingerprint(description) for modality, description in self.descriptions.items()}


def define_pipeline(
    pipeline: beam.Pipeline,
    films: WorkList,
    config: PrepareConfig,
    directory: str,
    output: str,
    shape: RecordShape,
    temporary: str,
) -> None:
    """Builds the graph of the job on `pipeline`.

    Args:
        pipeline: the pipeline.
        films: the lists of the films of the statistics.
        config: the prepare section.
        directory: directory of their records.
        output: directory of the transform graph.
        shape: the common properties of the records, from `common_shape`.
        temporary: directory that all workers see, for tf.Transform's passes.
    """
    listed = pipeline | "Films" >> ReadFilms(films, Film.of_row)
    read = listed | ReadRows(directory, shape.dimensions, config.rows_per_batch)
    with tft_beam.Context(temp_dir=temporary, use_deep_copy_optimization=True):
        transform_fn = (read[ROWS_TAG], adapter_config(shape.dimensions, shape.slots)) | tft_beam.AnalyzeDataset(
            preprocessing(config, shape.dimensions, shape.slots)
        )
    written = transform_fn | "WriteTransform" >> WriteTransform(output)
    statistics = (
        pipeline
        | "OneStatistics" >> beam.Create([None])
        | "WriteStatistics"
        >> beam.Map(_write_statistics, beam.pvalue.AsList(read[PRESENT_TAG]), output=output, shape=shape, config=config)
    )
    about = {
        "job": "prepare",
        "versions": job.versions(),
        "fingerprints": shape.fingerprints(),
        "configuration": config.model_dump(mode="json"),
    }
    finished = [written, statistics]
    (read[OUTCOME_TAG],) | WriteOutcomes(output, films.films, about, config.failure_threshold, finished)


def common_shape(directory: str, films: Sequence[Film]) -> RecordShape:
    """Reads the headers of all records and checks that they agree: statistics of mixed features would be meaningless.

    Raises:
        ConfigurationError: if no film has a record, or two records have different fingerprints; the text names both.
    """
    first: records.FilmRecord | None = None
    for film in films:
        uri = records.record_uri(directory, film.film_id)
        try:
            header = records.read_header(uri)
            first = first or records.read_record(uri)
        except (FileNotFoundError, records.RecordError):
            continue  # the job itself reports this film as failed
        ours, theirs = first.header.fingerprints(), header.fingerprints()
        if ours != theirs:
            note = note_on_records(first.header.descriptions) or note_on_records(header.descriptions)
            raise ConfigurationError(
                f"{directory}: the records of {first.header.film_id} and {film.film_id} have different features: "
                f"{ours} and {theirs}; {note or 'extract all films with one configuration'}"
            )
    if first is None:
        raise ConfigurationError(f"{directory}: holds no record of the {len(films)} chosen films; run extract first")
    dimensions = {modality: track.values.shape[1] for modality, track in first.tracks.items()}
    return RecordShape(dimensions, first.header.descriptions)


def _write_statistics(
    _: None,
    present: list[tuple[str, int, dict[str, list[int]]]],
    output: str,
    shape: RecordShape,
    config: PrepareConfig,
) -> str:
    uri = storage.join(output, STATISTICS)
    content = {
        "modalities": sorted(shape.dimensions),
        "dimensions": shape.dimensions,
        "fingerprints": shape.fingerprints(),
        "descriptions": shape.descriptions,
        "splits": list(config.splits),
        "pca_components": config.pca_components,
        "films": sorted(film_id for film_id, _, _ in present),
        "seconds": sum(seconds for _, seconds, _ in present),
        "present_seconds": {
            modality: [sum(counts) for counts in zip(*(row[modality] for _, _, row in present), strict=True)]
            for modality in sorted(shape.dimensions)
        },
    }
    storage.write_text(uri, json.dumps(content, indent=2, sort_keys=True) + "\n")
    return uri
