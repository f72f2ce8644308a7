"""The import job: features that others computed in, feature records and a table of their defects out.

files ──▶ ImportFilms ──▶ OUTPUT/<film_id>.tfrecord, OUTPUT/import-NAME/{defects.csv, failures.jsonl, run_manifest.json}
"""

from __future__ import annotations

import sys

from beam_pipelines.commands.import_features import main as main

if __name__ == "__main__":  # before Beam is imported: help and refusals need none of it
    sys.exit(main())

from collections.abc import Mapping
from typing import Any

import apache_beam as beam

from beam_pipelines.contracts.records.records import fingerprint
from beam_pipelines.films.work_lists import WorkList
from beam_pipelines.importing.feature_import import FilmImport
from beam_pipelines.launch import job
from beam_pipelines.transforms.import_films import DEFECTS_TAG, OUTCOME_TAG, ImportFilms, WriteDefects
from beam_pipelines.transforms.outcomes import WriteOutcomes
from beam_pipelines.transforms.read_films import ReadFilms


def define_pipeline(
    pipeline: beam.Pipeline,
    films: WorkList,
    output: str,
    run_folder: str,
    descriptions: Mapping[str, Mapping[str, Any]],
    failure_threshold: float,
) -> None:
    """Builds the graph of the job on `pipeline`.

    Args:
        pipeline: the pipeline.
        films: the lists of the films and sources to import, film ids unique.
        output: directory of records.
        run_folder: directory of the table of defects, failures and manifest.
        descriptions: modality -> description of its track.
        failure_threshold: share of failed films above which the run fails with exit code 4.
    """
    imported = pipeline | "Films" >> ReadFilms(films, FilmImport.of_row) | ImportFilms(output, descriptions)
    table = imported[DEFECTS_TAG] | WriteDefects(run_folder)
    about = {
        "job": "import-features",
        "versions": job.versions(),
        "fingerprints": {modality: fingerprint(description) for modality, description in descriptions.items()},
        "descriptions": descriptions,
    }
    (imported[OUTCOME_TAG],) | WriteOutcomes(run_folder, films.films, about, failure_threshold, after=[table])
