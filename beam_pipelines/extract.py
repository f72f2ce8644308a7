"""The extract job: films in, one feature record a film out.

films ──▶ ExtractFilms ──▶ records/<film_id>.tfrecord, failures.jsonl, run_manifest.json
          (ExtractFilm, ExtractSegment, FinishFilm)
"""

from __future__ import annotations

import sys

if __name__ == "__main__":  # before Beam is imported: help and refusals need none of it
    from beam_pipelines.commands.extract import main as command

    sys.exit(command())

import math
from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam

from beam_pipelines.contracts.records.records import fingerprint, is_untrained
from beam_pipelines.contracts.runs import FilmOutcome
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation.version import __version__
from beam_pipelines.launch import job
from beam_pipelines.transforms.extract_films import DONE_TAG, FAILED_TAG, ExtractFilms
from beam_pipelines.transforms.outcomes import WriteOutcomes


def define_pipeline(
    pipeline: beam.Pipeline,
    films: Sequence[Film],
    config: ExtractConfig,
    output: str,
    descriptions: Mapping[str, Mapping[str, Any]],
    *,
    force: bool = False,
    run_started_s: float = math.inf,
    earlier_failures: Mapping[str, FilmOutcome] | None = None,
) -> None:
    """Builds the graph of the job on `pipeline`.

    Args:
        pipeline: where the graph goes.
        films: the catalogue, film ids unique.
        config: the extract section.
        output: directory of records, failures and manifest.
        descriptions: wanted modality -> what its features depend on, from `describe_tracks(config)`.
        force: extract again what is up to date.
        run_started_s: when this run began, from `job.storage_time_s`; films that it has done count as done, not as
            skipped, also where a worker was lost and they are come upon a second time.
        earlier_failures: film id -> its failure in an earlier run, from `read_failures`; such a film isn't tried again
            as long as its file is the same and the fault was its own.
    """
    attempt = name_attempt(config, descriptions)
    outcomes = (
        pipeline
        # ExtractFilms shares the films out itself, in this order.
        | "Films" >> beam.Create(films, reshuffle=False)
        | ExtractFilms(
            config,
            output,
            descriptions,
            force=force,
            run_started_s=run_started_s,
            earlier_failures=earlier_failures or {},
            attempt=attempt,
        )
    )
    about = {
        "job": "extract",
        "versions": job.versions(),
        "fingerprints": {modality: fingerprint(description) for modality, description in descriptions.items()},
        "descriptions": descriptions,
        "untrained": sorted(m for m, d in descriptions.items() if is_untrained(d)),
        "configuration": config.model_dump(mode="json"),
    }
    (
        (outcomes[DONE_TAG], outcomes[FAILED_TAG])
        | beam.Flatten()
        | WriteOutcomes(output, len(films), about, config.failure_threshold)
    )


def name_attempt(config: ExtractConfig, descriptions: Mapping[str, Mapping[str, Any]]) -> str:
    """A name of all that decides whether a film can be extracted: limits, features, version."""
    made = {modality: fingerprint(description) for modality, description in descriptions.items()}
    limits = config.limits.model_dump(exclude={"decoder_memory_mb"})
    damage = config.decode.max_damaged_share
    return fingerprint({"limits": limits, "max_damaged_share": damage, "made": made, "version": __version__})


def main(argv: Sequence[str] | None = None) -> int:
    """`cineaffect extract`: see `beam_pipelines.commands.extract`."""
    from beam_pipelines.commands.extract import main as command

    return command(argv)
