"""`cineaffect prepare`: feature records of the training films in, statistics and the transform graph out."""

from __future__ import annotations

import argparse
import logging
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from beam_pipelines.foundation.command_line import guarded, make_parser, parse_known
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.launch.driver_log import start_log
from beam_pipelines.launch.options import add_job_options

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

EXAMPLES = """
examples:
  statistics of the training films of a manifest:
    cineaffect prepare --records features --manifest films.csv --output transform
  with principal components, and for the final training on everything:
    cineaffect prepare --records features --manifest films.csv --output transform-final \\
        --set splits=[train,validation] --set pca_components.image=128

  on a Flink cluster, everything in a bucket (the options from --runner on are Beam's own):
    cineaffect prepare --records gs://bucket/features --manifest gs://bucket/films.csv --output gs://bucket/transform \\
        --runner=PortableRunner --job_endpoint=jobserver:8099 --environment_type=EXTERNAL \\
        --environment_config=localhost:50000 --parallelism=8 --temp_location=gs://bucket/tmp
  on Dataflow:
    cineaffect prepare --records gs://bucket/features --manifest gs://bucket/films.csv --output gs://bucket/transform \\
        --runner=DataflowRunner --project=PROJECT --region=REGION --temp_location=gs://bucket/tmp \\
        --sdk_container_image=IMAGE --experiments=use_runner_v2

Another split has other statistics: give it another --output.
exit codes: 0 all done, 1 an outage (run it again), 2 configuration error, 3 some films failed,
4 too many failed.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cineaffect prepare`: parses the command line, runs the job and returns its exit code."""
    return guarded(_main, argv)


def _main(argv: list[str]) -> int:
    start_log(argv)
    arguments, beam_arguments = parse_known(_parser(), argv)

    from beam_pipelines.foundation.configuration import load_section
    from beam_pipelines.normalisation.config import PrepareConfig

    config = load_section("prepare", PrepareConfig, arguments.config, arguments.overrides)

    from beam_pipelines.foundation.tensorflow_start import start_tensorflow

    start_tensorflow()

    from beam_pipelines.contracts.runs import STATISTICS
    from beam_pipelines.films.catalogue import Film, films_of_splits, read_manifest
    from beam_pipelines.films.work_lists import write_work_list
    from beam_pipelines.launch import job
    from beam_pipelines.normalisation.preprocessing import preprocessing
    from beam_pipelines.prepare import common_shape, define_pipeline

    # Statistics take seconds; starting more processes would take longer.
    options = job.beam_options(beam_arguments, arguments.workers, default_workers=1)
    logging.getLogger("absl").addFilter(_is_not_about_the_cache)
    films = films_of_splits(read_manifest(arguments.manifest), config.splits, arguments.manifest)
    shape = common_shape(arguments.records, films)
    preprocessing(config, shape.dimensions, shape.slots)
    with _temporary_directory(options) as temporary:
        job.check_output(arguments.output)
        listed = write_work_list(films, Film.row, arguments.output, "prepare")
        return job.run(
            lambda pipeline: define_pipeline(
                pipeline, listed, config, arguments.records, arguments.output, shape, temporary
            ),
            options,
            arguments.output,
            len(films),
            marker=STATISTICS,
            lists=[listed],
        )


@contextmanager
def _temporary_directory(options: PipelineOptions) -> Iterator[str]:
    """The directory of tf.Transform's intermediate files: a local one, or one in Beam's --temp_location."""
    from apache_beam.options.pipeline_options import GoogleCloudOptions

    from beam_pipelines.foundation import storage
    from beam_pipelines.launch import job

    shared = options.view_as(GoogleCloudOptions).temp_location
    if shared:
        yield storage.join(shared, f"cineaffect-transform-{uuid.uuid4().hex}")
        return
    if not job.is_local(options):
        raise ConfigurationError("on a cluster prepare needs --temp_location, a directory that all its workers see")
    with tempfile.TemporaryDirectory(prefix="cineaffect-transform-") as folder:
        yield folder


def _is_not_about_the_cache(entry: logging.LogRecord) -> bool:
    # For every statistic of another one, tf.Transform warns about a cache that this job doesn't use.
    return "cache key varies on repeated tracing" not in entry.getMessage()


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "prepare",
        "Computes the statistics of the training films' features and writes them as a transform graph.",
        EXAMPLES,
    )
    parser.add_argument("--records", required=True, help="directory of feature records, from extract")
    parser.add_argument("--manifest", required=True, help="CSV with the columns film_id, path and split")
    add_job_options(parser, "prepare", "pca_components.image=512")
    return parser
