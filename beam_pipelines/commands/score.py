"""`cineaffect score`: films or feature records in, valence and arousal curves out."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from beam_pipelines.foundation.command_line import comma_separated, guarded, make_parser, parse_known
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.launch.driver_log import start_log
from beam_pipelines.launch.options import add_job_options

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

    from beam_pipelines.contracts.curves.score_config import ScoreConfig
    from beam_pipelines.contracts.models.exported_model import ModelReference
    from beam_pipelines.transforms.films_to_score import FilmSource

_LOG = logging.getLogger(__name__)

EXAMPLES = """
examples:
  films on this machine without a model of your own: arousal from motion, cuts and loudness:
    cineaffect score --films ~/films --model builtin:signals --output curves
  films on this machine; their features are kept in curves/records:
    cineaffect score --films ~/films --model exports --output curves
  existing feature records, the test films of a manifest, a slower filter, no plots:
    cineaffect score --records features --manifest films.csv --splits test --model exports/3 --output curves \\
        --set smoothing.cutoff_hz=0.02 --set plots=false
  why the curves are as they are: columns arousal_by_image, arousal_by_audio and so on:
    cineaffect score --records features --model exports --output curves --explain
  on a Flink cluster, everything in a bucket (the options from --runner on are Beam's own):
    cineaffect score --records gs://bucket/features --model gs://bucket/exports --output gs://bucket/curves \\
        --runner=PortableRunner --job_endpoint=jobserver:8099 --environment_type=EXTERNAL \\
        --environment_config=localhost:50000 --parallelism=8
  on Dataflow:
    cineaffect score --records gs://bucket/features --model gs://bucket/exports --output gs://bucket/curves \\
        --runner=DataflowRunner --project=PROJECT --region=REGION --temp_location=gs://bucket/tmp \\
        --sdk_container_image=IMAGE --experiments=use_runner_v2

A second run scores only new films, and those whose record, model, smoothing, stride or --explain has changed. The
table (curves.parquet) keeps films of earlier runs into the same directory, also those that fail now, if the same model,
smoothing, stride and --explain made their curves. Other films leave the table if a run doesn't score them, and are
counted.
exit codes: 0 all done, 1 an outage (run it again), 2 configuration error, 3 some films failed (see failures.jsonl),
4 too many failed.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cineaffect score`: parses the command line, runs the job and returns its exit code."""
    return guarded(_main, argv)


def _main(argv: list[str]) -> int:
    start_log(argv)
    arguments, beam_arguments = parse_known(_parser(), argv)

    from beam_pipelines.contracts.curves.score_config import ScoreConfig
    from beam_pipelines.extractors.config import ExtractConfig
    from beam_pipelines.foundation import storage
    from beam_pipelines.foundation.configuration import load_section

    explain = [f"explain={arguments.explain}"] if arguments.explain else []
    config = load_section("score", ScoreConfig, arguments.config, [*arguments.overrides, *explain])
    if arguments.films and arguments.manifest:
        raise ConfigurationError("--manifest goes with --records; --films takes a manifest itself")
    extract = load_section("extract", ExtractConfig, arguments.config) if arguments.films else ExtractConfig()

    from beam_pipelines.contracts.models.exported_model import find_model
    from beam_pipelines.contracts.records.feature_changes import note_on_model
    from beam_pipelines.extraction.decoder import require_decoder
    from beam_pipelines.launch import job
    from beam_pipelines.score import films_source, records_source

    options = job.beam_options(
        beam_arguments,
        arguments.workers,
        one_process=lambda: bool(arguments.films) and job.films_share_batches(extract),
    )
    model = find_model(arguments.model)
    model.card.assert_takes_stride(config.stride_s)
    model.card.assert_explains(config.explain)
    if note := note_on_model(model.card.descriptions):
        _LOG.warning("model %s: %s", model.card.version, note)
    source: FilmSource
    if arguments.records:
        source = records_source(arguments.records, arguments.manifest, arguments.splits)
    else:
        if job.is_local(options):
            require_decoder(extract)
        directory = storage.join(arguments.output, "records")
        source = films_source(arguments.films, extract, model, directory, arguments.splits)
    code = run_scoring(
        source, model, config, arguments.output, options, beam_arguments, arguments.workers, arguments.records
    )
    if note := model.card.without_bands(config.smoothing_over(model.card.smoothing), config.stride_s):
        print(note)
    if config.explain != "nothing":
        print(f"explained by {model.card.explained}")
    if untrained := model.card.untrained():
        print(f"made from untrained networks ({', '.join(untrained)}): for demonstration only")
    return code


def run_scoring(
    source: FilmSource,
    model: ModelReference,
    config: ScoreConfig,
    output: str,
    options: PipelineOptions,
    beam_arguments: Sequence[str] = (),
    workers: int = 0,
    records: str | None = None,
) -> int:
    """Runs the job and returns its exit code. On this machine films that need no work are set apart first.

    Args:
        source: the films.
        model: the exported model.
        config: the score section.
        output: the directory of the run.
        options: Beam's options.
        beam_arguments: the arguments that they were made from.
        workers: `--workers`; 0 if it wasn't given.
        records: the directory of the records, if the films are extracted already.
    """
    from beam_pipelines.extraction.parts_folder import remove_useless_parts
    from beam_pipelines.extractors.graphs.bfloat16 import require_precisions
    from beam_pipelines.launch import job
    from beam_pipelines.launch.local_work import looks_up, segment_for, workers_for
    from beam_pipelines.score import curve_files, define_pipeline
    from beam_pipelines.transforms.films_to_score import FromFilms

    if isinstance(source, FromFilms) and job.is_local(options):
        require_precisions(source.config)
    run_started_s, named = job.storage_time_s(output), source.films_to_extract
    if job.is_local(options) and looks_up(source.films_in, records or output):
        source = source.looked_up(curve_files(model, config, output))
        source = source.with_segments(
            lambda films, segment_s, directory: segment_for(films, segment_s, directory, workers)
        )
        if not workers:
            to_score = [film.record_uri for film in source.films_to_score]
            needed = workers_for(source.films_to_extract, to_score, config.plots, source.segment_s)
            job.use_at_most(options, beam_arguments, needed)
    source = source.listed(output)
    code = job.run(
        lambda pipeline: define_pipeline(pipeline, source, model, config, output, run_started_s),
        options,
        output,
        len(source.films_to_extract) + len(source.films_to_score),
        count_done=".csv" if config.csv else ".png" if config.plots else ".parquet",
        lists=source.lists,
        records=records,
    )
    if source.made_in and not job.is_template(options):  # whose job runs later
        remove_useless_parts(source.made_in, output, (film.film_id for film in named))
    return code


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("score", "Predicts valence and arousal for every second of every film.", EXAMPLES)
    films = parser.add_mutually_exclusive_group(required=True)
    films.add_argument("--records", help="directory of feature records, from cineaffect extract")
    films.add_argument("--films", help="folder, quoted glob, or CSV manifest; the films are extracted first")
    parser.add_argument("--manifest", help="with --records: CSV manifest that names the films")
    parser.add_argument(
        "--splits", type=comma_separated, default=(), help="only films of these splits of the manifest, comma separated"
    )
    parser.add_argument(
        "--model",
        required=True,
        help="exported model: a version's directory, the exports' directory, or builtin:signals, which comes with it",
    )
    parser.add_argument(
        "--explain",
        nargs="?",
        const="modalities",
        choices=("modalities", "columns"),
        help="also write what each modality adds to the curves; with 'columns' also what single columns of signals do, "
        "at the price of a curve for each (default: the key explain)",
    )
    add_job_options(
        parser,
        "score",
        "smoothing.cutoff_hz=0.02",
        "YAML file with the sections score and, for --films, extract (default: all keys have their defaults)",
    )
    return parser
