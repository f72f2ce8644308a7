"""ReadRows: takes feature records; gives Arrow record batches of one row per second, the input of tf.Transform."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.public.tfxio import TensorAdapterConfig

from beam_pipelines.contracts.records import records
from beam_pipelines.contracts.records.feature_track import PRESENT_SUFFIX
from beam_pipelines.contracts.runs import DONE, FAILED, FilmOutcome
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation.logs.structured_log import about

OUTCOME_TAG = "outcome"
PRESENT_TAG = "present"
ROWS_TAG = "rows"


@dataclass
class ReadRows(beam.PTransform):
    """From a PCollection of `Film` to `rows` (RecordBatch), `outcome` (`FilmOutcome`), `present` (id, seconds, counts).

    Attributes:
        directory: the directory of the records.
        dimensions: modality -> width of its rows.
        rows_per_batch: seconds per record batch.
    """

    directory: str
    dimensions: Mapping[str, int]
    rows_per_batch: int

    def expand(self, films: beam.PCollection) -> Any:
        # This gives films to workers one by one. It is no Beam Reshuffle: tf.Transform copies the stages between the
        # last grouping and its analyzers, and a runner that replaces a Reshuffle by its own loses such a copy.
        return (
            films
            | "KeyFilms" >> beam.Map(_by_id)
            | "SpreadFilms" >> beam.GroupByKey()
            | "EachFilm" >> beam.FlatMap(_films_of)
            | "ReadRecord"
            >> beam.ParDo(_ReadRecord(self.directory, dict(self.dimensions), self.rows_per_batch)).with_outputs(
                OUTCOME_TAG, PRESENT_TAG, main=ROWS_TAG
            )
        )


def _by_id(film: Film) -> tuple[str, Film]:
    return film.film_id, film


def _films_of(grouped: tuple[str, Iterable[Film]]) -> Iterable[Film]:
    return grouped[1]


def adapter_config(dimensions: Mapping[str, int], slots: Mapping[str, int]) -> TensorAdapterConfig:
    """The configuration with which tfx-bsl turns the columns of a record batch into dense tensors."""
    widths = {**dimensions, **{modality + PRESENT_SUFFIX: count for modality, count in slots.items()}}
    representations = {}
    for column, width in widths.items():
        dense = schema_pb2.TensorRepresentation.DenseTensor(column_name=column)
        dense.shape.dim.add(size=width)
        representations[column] = schema_pb2.TensorRepresentation(dense_tensor=dense)
    return TensorAdapterConfig(_schema(dimensions), representations)


class _ReadRecord(beam.DoFn):
    def __init__(self, directory: str, dimensions: Mapping[str, int], rows_per_batch: int):
        self.directory = directory
        self.dimensions = dimensions
        self.rows_per_batch = rows_per_batch

    def process(self, film: Film) -> Iterator[Any]:
        uri = records.record_uri(self.directory, film.film_id)
        try:
            with about(film=film.film_id):
                record = records.read_record(uri, list(self.dimensions))
        except FileNotFoundError:
            yield _failed(film, "no_record", f"{uri}: no such record; extract this film first")
            return
        except records.RecordError as error:
            yield _failed(film, "unreadable_record", str(error))
            return
        for first in range(0, record.header.seconds, self.rows_per_batch):
            yield record_batch(record, self.dimensions, first, first + self.rows_per_batch)
        present = {
            modality: track.present.sum(axis=0).astype(int).tolist() for modality, track in record.tracks.items()
        }
        yield beam.pvalue.TaggedOutput(PRESENT_TAG, (film.film_id, record.header.seconds, present))
        film_s, warnings = record.header.duration_us / 1_000_000, record.header.warnings
        outcome = FilmOutcome(film.film_id, uri, DONE, film_s=film_s, warnings=warnings)
        yield beam.pvalue.TaggedOutput(OUTCOME_TAG, outcome)


def record_batch(record: records.FilmRecord, dimensions: Mapping[str, int], first: int, stop: int) -> pa.RecordBatch:
    """Seconds [first, stop) of a record as Arrow columns `modality` and `modality_present`, one list per second."""
    columns = []
    for modality in sorted(dimensions):
        track = record.tracks[modality]
        columns += [_list_column(track.values[first:stop]), _list_column(track.present[first:stop])]
    return pa.RecordBatch.from_arrays(columns, schema=_schema(dimensions))


def _failed(film: Film, reason: str, detail: str) -> beam.pvalue.TaggedOutput:
    return beam.pvalue.TaggedOutput(OUTCOME_TAG, FilmOutcome(film.film_id, film.uri, FAILED, "read", reason, detail))


def _schema(dimensions: Mapping[str, int]) -> pa.Schema:
    columns = [column for modality in sorted(dimensions) for column in (modality, modality + PRESENT_SUFFIX)]
    return pa.schema([(column, pa.large_list(pa.float32())) for column in columns])


def _list_column(rows: np.ndarray) -> pa.Array:
    offsets = np.arange(len(rows) + 1, dtype=np.int64) * rows.shape[1]
    return pa.LargeListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(rows, np.float32).ravel()))
