"""`cineaffect extract`: films in, one feature record a film out."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from beam_pipelines.foundation.command_line import guarded, make_parser, parse_known
from beam_pipelines.launch.driver_log import start_log
from beam_pipelines.launch.options import add_job_options

if TYPE_CHECKING:
    from beam_pipelines.extractors.config import ExtractConfig
    from beam_pipelines.films.catalogue import Film

_LOG = logging.getLogger(__name__)

EXAMPLES = """
examples:
  on this machine:
    cineaffect extract --films ~/films --output features
  the films of a manifest, without faces, in small batches:
    cineaffect extract --films films.csv --output features --set modalities=[image,audio] --set image.batch_size=4
  on a Flink cluster, films and records in a bucket (the options from --runner on are Beam's own):
    cineaffect extract --films gs://bucket/films --output gs://bucket/features \\
        --runner=PortableRunner --job_endpoint=jobserver:8099 --environment_type=EXTERNAL \\
        --environment_config=localhost:50000 --parallelism=8
  on Dataflow:
    cineaffect extract --films 'gs://bucket/films/*.mp4' --output gs://bucket/features \\
        --runner=DataflowRunner --project=PROJECT --region=REGION --temp_location=gs://bucket/tmp \\
        --sdk_container_image=IMAGE --experiments=use_runner_v2

  the paper's baseline; openSMILE is an extra, pip install 'cineaffect[opensmile]', with a licence for research only:
  neither it nor features extracted with it may be used in a product:
    cineaffect extract --films ~/films --output features --set modalities=[vgg16,opensmile_is10]
  what would be done, and how long it would take:
    cineaffect extract --films ~/films --output features --dry-run

A second run does only what is missing: films without a record, changed films, modalities whose fingerprint has changed.
Films whose file is at fault (damaged, no pictures, beyond a limit) stay failed until they, the limits or the version
change, or until --retry-failed. Films whose reason may be the machine's (timeout, crashed, out_of_memory, disk_full,
not_found, not_readable) are tried again. Several workers share films that are longer than segment_s.
exit codes: 0 all done, 1 an outage (run it again), 2 configuration error, 3 some films failed (see failures.jsonl),
4 too many failed.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cineaffect extract`: parses the command line, runs the job and returns its exit code."""
    return guarded(_main, argv)


def _main(argv: list[str]) -> int:
    start_log(argv)
    arguments, beam_arguments = parse_known(_parser(), argv)

    from beam_pipelines.extractors.config import ExtractConfig
    from beam_pipelines.foundation.configuration import load_section

    config = load_section("extract", ExtractConfig, arguments.config, arguments.overrides)

    from beam_pipelines.contracts.runs import read_failures
    from beam_pipelines.extract import define_pipeline
    from beam_pipelines.extraction.earlier_runs import EarlierRuns, name_attempt
    from beam_pipelines.extraction.finished_films import SetApart, set_apart
    from beam_pipelines.extraction.parts_folder import remove_parts, remove_useless_parts
    from beam_pipelines.extractors.configured_networks import describe_tracks, pin_networks
    from beam_pipelines.films.catalogue import list_catalogue
    from beam_pipelines.films.work_lists import write_work_list
    from beam_pipelines.foundation import storage
    from beam_pipelines.launch import job
    from beam_pipelines.launch.local_work import largest_first, looks_up, segment_for, workers_for

    options = job.beam_options(beam_arguments, arguments.workers, one_process=lambda: job.films_share_batches(config))
    films, passed_over = list_catalogue(arguments.films, config.suffixes, config.min_lines_px)
    _require(config, extracts_here=job.is_local(options) and not arguments.dry_run)
    descriptions = describe_tracks(config)
    config = pin_networks(config)
    _note_older_records(films, arguments.output, descriptions)
    failures = {} if arguments.retry_failed or arguments.force else read_failures(arguments.output)
    earlier = EarlierRuns(arguments.force, failures=failures, attempt=name_attempt(config, descriptions))
    passed_over = _without_subtitles(passed_over, descriptions)
    if arguments.dry_run:
        from beam_pipelines.extraction.dry_run import print_dry_run  # here, since it imports all that extracts

        return print_dry_run(films, config, arguments.output, descriptions, earlier, passed_over)
    storage.remove_unfinished(arguments.output)
    if arguments.force:
        remove_parts(arguments.output)
    earlier = replace(earlier, run_started_s=job.storage_time_s(arguments.output))
    work, segment_s = SetApart(films, ()), config.segment_s
    if job.is_local(options) and looks_up(len(films), arguments.output):
        work = set_apart(films, arguments.output, descriptions, earlier, config.refuse)
    work = replace(work, films=largest_first(work.films))
    if job.is_local(options):
        segment_s = segment_for(work.films, config.segment_s, arguments.output, arguments.workers)
        if not arguments.workers:
            job.use_at_most(options, beam_arguments, workers_for(work.films, segment_s=segment_s))
    listed = write_work_list(work.films, lambda film: earlier.listed(film).row(), arguments.output, "extract")
    code = job.run(
        lambda pipeline: define_pipeline(
            pipeline, listed, config, arguments.output, descriptions, earlier, work.outcomes, passed_over, segment_s
        ),
        options,
        arguments.output,
        len(work.films),
        count_done=".tfrecord",
        film_seconds=_film_seconds,
        lists=[listed],
    )
    if not job.is_template(options):  # whose job runs later, and uses the parts that an earlier one has left
        remove_useless_parts(arguments.output, arguments.output)
    return code


def _require(config: ExtractConfig, extracts_here: bool) -> None:
    """Refuses what can't work before anything starts; a cluster's machines may have what this one lacks."""
    from beam_pipelines.extraction.decoder import require_decoder
    from beam_pipelines.extractors.graphs.bfloat16 import require_precisions
    from beam_pipelines.extractors.weights.needed_weights import require_weights

    require_weights(config)
    if extracts_here:
        require_decoder(config)
        require_precisions(config)


def _without_subtitles(passed_over: Mapping[str, int], descriptions: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """The files that are no films, without subtitles if those are read: they aren't passed over."""
    from beam_pipelines.contracts.records.records import SUBTITLES
    from beam_pipelines.media.text.subtitle_choice import SIDECAR_SUFFIXES

    read = SIDECAR_SUFFIXES if any(SUBTITLES in described for described in descriptions.values()) else ()
    return {suffix: count for suffix, count in passed_over.items() if suffix not in read}


def _note_older_records(films: Sequence[Film], output: str, descriptions: Mapping[str, Mapping[str, Any]]) -> None:
    """Says so if the directory's records are of an earlier version, whose features this run makes again."""
    from beam_pipelines.contracts.records.feature_changes import note_on_records
    from beam_pipelines.extraction.missing import descriptions_there

    there = descriptions_there(films, output)
    if note := note_on_records({modality: made for modality, made in there.items() if modality in descriptions}):
        _LOG.warning("%s: %s", output, note)


def _film_seconds(uri: str) -> float:
    """The length of a record's film in seconds; 0 if the record can't be read."""
    from beam_pipelines.contracts.records.records import RecordError, read_header

    try:
        return read_header(uri).duration_us / 1_000_000
    except (RecordError, FileNotFoundError):
        return 0.0


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "extract", "Extracts image, audio and face features, one per second, into one TFRecord file per film.", EXAMPLES
    )
    parser.add_argument("--films", required=True, help="folder, quoted glob, or CSV manifest (film_id, path, …)")
    parser.add_argument("--retry-failed", action="store_true", help="try films again whose file was at fault")
    parser.add_argument("--force", action="store_true", help="extract everything again, even what is up to date")
    parser.add_argument(
        "--dry-run", action="store_true", help="probe every film and say what would be done; write nothing"
    )
    add_job_options(parser, "extract", "image.batch_size=8")
    return parser
