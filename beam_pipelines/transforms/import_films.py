"""ImportFilms: takes imported features; writes feature records; gives outcomes and a table of defects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam

from beam_pipelines.contracts.runs import DONE, FAILED, SKIPPED, FilmOutcome
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.foundation.text_tables import csv_text
from beam_pipelines.importing.feature_import import DefectRow, FilmImport
from beam_pipelines.importing.imported_features import Defects

OUTCOME_TAG = "outcome"
DEFECTS_TAG = "defects"
DEFECTS = "defects.csv"


@dataclass
class ImportFilms(beam.PTransform):
    """From a PCollection of `FilmImport` to `outcome` of every film and `defects`, one row per film and kind (by tag).

    Attributes:
        directory: the directory of the records.
        descriptions: modality -> description of its track.
    """

    directory: str
    descriptions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def expand(self, films: beam.PCollection) -> Any:
        # The reshuffle gives films to workers one by one; without it they'd stay fused to the reading of a list.
        return (
            films
            | "ReshuffleFilms" >> beam.Reshuffle()
            | "ImportFilm"
            >> beam.ParDo(_ImportFilm(self.directory, self.descriptions)).with_outputs(DEFECTS_TAG, main=OUTCOME_TAG)
        )


class _ImportFilm(beam.DoFn):
    def __init__(self, directory: str, descriptions: Mapping[str, Mapping[str, Any]]):
        self.directory = directory
        self.descriptions = descriptions

    def process(self, film: FilmImport) -> Iterator[Any]:
        from beam_pipelines.importing.feature_import import import_film

        source = film.film_uri or next(iter(film.sources.values()), "")
        try:
            header, imported, rows = import_film(film, self.directory, self.descriptions)
        except FilmError as error:
            yield FilmOutcome(film.film_id, source, FAILED, error.step, error.reason, error.detail)
            return
        film_s = header.duration_us / 1_000_000
        status = DONE if imported else SKIPPED
        yield FilmOutcome(film.film_id, source, status, film_s=film_s, warnings=header.warnings)
        for row in rows:
            yield beam.pvalue.TaggedOutput(DEFECTS_TAG, row)


@dataclass
class WriteDefects(beam.PTransform):
    """From a PCollection of `DefectRow` to the address of the one table, a CSV sorted by film and kind.

    Attributes:
        directory: the directory of the table.
    """

    directory: str

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        return (
            rows.pipeline
            | "OneTable" >> beam.Create([None])
            | "WriteTable"
            >> beam.Map(_write_table, beam.pvalue.AsList(rows), uri=storage.join(self.directory, DEFECTS))
        )


def _write_table(_: None, rows: Sequence[DefectRow], uri: str) -> str:
    names = list(Defects().counts())
    ordered = sorted(rows, key=lambda row: (row.film_id, row.kind))
    cells = [
        [row.film_id, row.kind, row.seconds, row.present, *(row.counts.get(name, 0) for name in names)]
        for row in ordered
    ]
    storage.write_text(uri, csv_text(["film_id", "kind", "seconds", "present", *names], cells))
    return uri
