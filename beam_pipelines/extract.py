"""The extract job: films in, one feature record a film out.

films ──▶ ExtractFilms ──▶ records/<film_id>.tfrecord, failures.jsonl, run_manifest.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam

from beam_pipelines import job
from beam_pipelines.catalogue import Film, list_films
from beam_pipelines.compute import start_tensorflow
from beam_pipelines.configuration import load_section
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.records import fingerprint, is_untrained
from beam_pipelines.transforms.extract_films import DONE_TAG, FAILED_TAG, ExtractFilms
from beam_pipelines.transforms.outcomes import WriteOutcomes

EXAMPLES = """
examples:
  on this machine, one process a core:
    cineaffect extract --films ~/films --output features
  three films of a manifest, faces left out, in small batches:
    cineaffect extract --films films.csv --output features --set modalities=[image,audio] --set image.batch_size=4
  on a Flink cluster, films and records in a bucket (all options below it are Beam's own):
    cineaffect extract --films gs://bucket/films --output gs://bucket/features \\
        --runner=FlinkRunner --flink_master=jobmanager:8081 --environment_type=EXTERNAL \\
        --environment_config=localhost:50000 --parallelism=8
  on Dataflow:
    cineaffect extract --films 'gs://bucket/films/*.mp4' --output gs://bucket/features \\
        --runner=DataflowRunner --project=PROJECT --region=REGION --temp_location=gs://bucket/tmp \\
        --sdk_container_image=IMAGE --experiments=use_runner_v2

A second run does only what is missing: films without a record, films that have changed, modalities whose fingerprint is
another. exit codes: 0 all done, 2 configuration error, 3 some films failed (see failures.jsonl), 4 too many failed.
"""


def define_pipeline(
    pipeline: beam.Pipeline,
    films: Sequence[Film],
    config: ExtractConfig,
    output: str,
    descriptions: Mapping[str, Mapping[str, Any]],
) -> None:
    """Builds the graph of the job on `pipeline`.

    Args:
        pipeline: where the graph goes.
        films: the catalogue, film ids unique.
        config: the extract section.
        output: directory of records, failures and manifest.
        descriptions: wanted modality -> what its features depend on, from `describe_tracks(config)`.
    """
    outcomes = pipeline | "Films" >> beam.Create(films) | ExtractFilms(config, output, descriptions)
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


def main(argv: Sequence[str] | None = None) -> int:
    """`cineaffect extract`: parses the command line, runs the job and returns its exit code."""
    return job.guarded(_main, argv)


def _main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="cineaffect extract",
        description="Extracts image, audio and face features at one a second into one TFRecord file a film.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--films", required=True, help="folder, quoted glob, or CSV manifest (film_id, path, …)")
    job.add_common_arguments(parser)
    arguments, beam_arguments = parser.parse_known_args(argv)
    options = job.beam_options(beam_arguments, arguments.workers)
    config = load_section("extract", ExtractConfig, arguments.config, arguments.overrides)
    films = list_films(arguments.films, config.suffixes, config.min_lines_px)
    start_tensorflow()
    from beam_pipelines.extractors.tracks import describe_tracks

    descriptions = describe_tracks(config)
    return job.run(
        lambda pipeline: define_pipeline(pipeline, films, config, arguments.output, descriptions),
        options,
        arguments.output,
        len(films),
        count_done=".tfrecord",
    )


if __name__ == "__main__":
    sys.exit(main())
