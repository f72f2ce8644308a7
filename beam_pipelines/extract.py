"""The extract job: films in, one feature record per film out.

films ──▶ ExtractFilms ──▶ records/<film_id>.tfrecord, failures.jsonl, run_manifest.json
          (ExtractFilm, ExtractSegment, FinishFilm)
"""

from __future__ import annotations

import sys

from beam_pipelines.commands.extract import main as main

if __name__ == "__main__":  # before Beam is imported: help and refusals need none of it
    sys.exit(main())

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import apache_beam as beam

from beam_pipelines.contracts.records.records import fingerprint, is_untrained
from beam_pipelines.contracts.runs import FilmOutcome
from beam_pipelines.extraction.earlier_runs import EarlierRuns, ListedFilm, name_attempt
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.films.work_lists import WorkList
from beam_pipelines.launch import job
from beam_pipelines.transforms.extract_films import DONE_TAG, FAILED_TAG, ExtractFilms
from beam_pipelines.transforms.outcomes import TIMES_TAG, WriteOutcomes
from beam_pipelines.transforms.read_films import ReadFilms


def define_pipeline(
    pipeline: beam.Pipeline,
    films: WorkList,
    config: ExtractConfig,
    output: str,
    descriptions: Mapping[str, Mapping[str, Any]],
    earlier: EarlierRuns | None = None,
    known: Sequence[FilmOutcome] = (),
    passed_over: Mapping[str, int] | None = None,
    segment_s: int | None = None,
) -> None:
    """Builds the graph of the job on `pipeline`.

    Args:
        pipeline: the pipeline.
        films: the lists of the catalogue, film ids unique.
        config: the extract section.
        output: directory of records, failures and manifest.
        descriptions: wanted modality -> description of its features, from `describe_tracks(config)`.
        earlier: the records of earlier runs that count, and the attempt; failures come with the films.
        known: outcomes of further films, which need no work (`extraction.finished_films`).
        passed_over: suffix -> how many files of the folder are no films by it.
        segment_s: how long segments are in this run; None for the section's. No feature depends on it.
    """
    earlier = earlier or EarlierRuns(attempt=name_attempt(config, descriptions))
    outcomes, times = [pipeline | "Known" >> beam.Create(known)], []
    if films.films:
        listed = pipeline | "Films" >> ReadFilms(films, ListedFilm.of_row)
        extract = ExtractFilms(config.with_segments_of(segment_s), output, descriptions, replace(earlier, failures={}))
        extracted = listed | extract
        outcomes += [extracted[DONE_TAG], extracted[FAILED_TAG]]
        times.append(extracted[TIMES_TAG])
    about = {
        "job": "extract",
        "versions": job.versions(),
        "fingerprints": {modality: fingerprint(description) for modality, description in descriptions.items()},
        "descriptions": descriptions,
        "untrained": sorted(m for m, d in descriptions.items() if is_untrained(d)),
        "configuration": config.model_dump(mode="json"),
        "passed_over_by_suffix": dict(passed_over or {}),
    }
    films_in = films.films + len(known)
    tuple(outcomes) | WriteOutcomes(output, films_in, about, config.failure_threshold, times=times)
