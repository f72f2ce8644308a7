"""The score job: films or feature records in, valence and arousal curves out.

films ──▶ ExtractFilms ──▶ records ─┐
records ────────────────────────────┴─▶ ScoreFilms ──▶ WriteCurves ──▶ curves/, plots/, curves.parquet/
                                             └──── failures.jsonl, run_manifest.json (WriteOutcomes)
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence

import apache_beam as beam

from beam_pipelines.contracts.curves.done_marker import scorer_digest
from beam_pipelines.contracts.curves.score_config import ScoreConfig
from beam_pipelines.contracts.models.exported_model import ModelReference, find_model
from beam_pipelines.contracts.records.records import fingerprint, list_records, record_uri
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.weights.needed_weights import require_weights
from beam_pipelines.films.catalogue import films_of_splits, list_films
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.configuration import load_section
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.launch import job
from beam_pipelines.scoring.curve_files import CurveFiles
from beam_pipelines.transforms.films_to_score import FilmSource, FromFilms, FromRecords
from beam_pipelines.transforms.outcomes import WriteOutcomes
from beam_pipelines.transforms.score_films import (
    FAILED_TAG,
    SCORED_TAG,
    SKIPPED_TAG,
    FilmToScore,
    Inference,
    ScoreFilms,
)
from beam_pipelines.transforms.write_curves import OUTCOMES_TAG, TABLE_TAG, WriteCurves

EXAMPLES = """
examples:
  films on this machine, one process a core; their features are kept in curves/records:
    cineaffect score --films ~/films --model exports --output curves
  feature records that lie ready, the test films of a manifest, a slower filter, no plots:
    cineaffect score --records features --manifest films.csv --splits test --model exports/3 --output curves \\
        --set smoothing.cutoff_hz=0.02 --set plots=false
  on a Flink cluster, everything in a bucket (all options below it are Beam's own):
    cineaffect score --records gs://bucket/features --model gs://bucket/exports --output gs://bucket/curves \\
        --runner=PortableRunner --job_endpoint=jobserver:8099 --environment_type=EXTERNAL \\
        --environment_config=localhost:50000 --parallelism=8
  on Dataflow:
    cineaffect score --records gs://bucket/features --model gs://bucket/exports --output gs://bucket/curves \\
        --runner=DataflowRunner --project=PROJECT --region=REGION --temp_location=gs://bucket/tmp \\
        --sdk_container_image=IMAGE --experiments=use_runner_v2

A second run scores only films that are new, whose record has changed, or whose model, smoothing or stride is another.
The table (curves.parquet) keeps the films of earlier runs into the same directory, also those that fail now, as long as
the same model, smoothing and stride made their curves; those of another leave the table when a run doesn't score them,
and are counted.
exit codes: 0 all done, 1 an outage (run it again), 2 configuration error, 3 some films failed (see failures.jsonl),
4 too many failed.
"""


def define_pipeline(
    pipeline: beam.Pipeline,
    source: FilmSource,
    model: ModelReference,
    config: ScoreConfig,
    output: str,
    run_started_s: float = math.inf,
) -> None:
    """Builds the graph of the job on `pipeline`.

    Args:
        pipeline: where the graph goes.
        source: `FromRecords` or `FromFilms`.
        model: the exported model, from `find_model`.
        config: the score section.
        output: directory of curves, plots, table, failures and manifest.
        run_started_s: when this run began, from `job.storage_time_s`; films that it has scored count as done, not as
            skipped, also where a worker was lost and they are come upon a second time.
    """
    smoothing = config.smoothing_over(model.card.smoothing)
    files = CurveFiles(
        output,
        config.csv,
        config.plots,
        config.shards,
        model.card.label_range,
        scorer_digest(model.sha256, smoothing, model.card.is_ensemble, config.stride_s),
        remark="untrained networks: for demonstration only" if model.card.untrained() else "",
        spread=model.card.is_ensemble,
        run_started_s=run_started_s,
    )
    films, failed_before = source.films(pipeline)
    batch_s = config.batch_s if source.lies_ready else 0
    inference = Inference(config.stride_s, batch_s, config.threads_per_worker, config.block_s)
    scored = films | ScoreFilms(model, smoothing, files, inference)
    written = (scored[SCORED_TAG], scored[SKIPPED_TAG]) | WriteCurves(files)
    about = {
        "job": "score",
        "versions": job.versions(),
        "model": {
            "version": model.card.version,
            "sha256": model.sha256,
            "fingerprints": model.card.fingerprints,
            "descriptions": model.card.descriptions,
            "label_range": list(model.card.label_range),
        },
        "untrained": model.card.untrained(),
        "smoothing": smoothing.model_dump(mode="json"),
        "configuration": config.model_dump(mode="json"),
        **source.about(),
    }
    (
        (written[OUTCOMES_TAG], scored[FAILED_TAG], *failed_before)
        | beam.Flatten()
        | WriteOutcomes(output, source.films_in, about, config.failure_threshold, after=[written[TABLE_TAG]])
    )


def main(argv: Sequence[str] | None = None) -> int:
    """`cineaffect score`: parses the command line, runs the job and returns its exit code."""
    return job.guarded(_main, argv)


def records_source(directory: str, manifest: str | None = None, splits: Sequence[str] = ()) -> FromRecords:
    """The films of a directory of feature records, or those of them that a manifest names.

    Args:
        directory: where the records lie.
        manifest: a CSV manifest; a film in it that has no record becomes a failure of the run.
        splits: only films of these splits of the manifest.

    Raises:
        ConfigurationError: where there is nothing to score, or `splits` without a manifest.
    """
    if manifest is None:
        if splits:
            raise ConfigurationError("--splits chooses among the films of a manifest; name one with --manifest")
        films = [FilmToScore(film_id, uri, uri) for film_id, uri in list_records(directory).items()]
        if not films:
            raise ConfigurationError(
                f"{directory}: holds no feature records (*.tfrecord); cineaffect extract makes them"
            )
        return FromRecords(films)
    catalogue = list_films(manifest)
    chosen = films_of_splits(catalogue, splits, manifest) if splits else catalogue
    return FromRecords([FilmToScore(film.film_id, film.uri, record_uri(directory, film.film_id)) for film in chosen])


def films_source(
    films: str, config: ExtractConfig, model: ModelReference, directory: str, splits: Sequence[str] = ()
) -> FromFilms:
    """Films to be extracted and scored in one graph; only the modalities that the model takes are extracted.

    Raises:
        ConfigurationError: where there are no films, or the extract section makes other features than those that the
            model was trained on, so that every film would be refused in the end.
    """
    catalogue = list_films(films, config.suffixes, config.min_lines_px)
    chosen = films_of_splits(catalogue, splits, films) if splits else catalogue
    # Imported late: it brings in all networks, which a run on ready records doesn't need.
    from beam_pipelines.extractors.configured_networks import describe_tracks

    card = model.card
    lacking = [modality for modality in card.modalities if modality not in config.modalities]
    if lacking:
        raise ConfigurationError(
            f"extract.modalities: model {card.version} takes {', '.join(lacking)} too; "
            f"it is {', '.join(config.modalities)}"
        )
    config = config.model_copy(update={"modalities": tuple(m for m in config.modalities if m in card.modalities)})
    require_weights(config)
    descriptions = describe_tracks(config)
    for modality, description in descriptions.items():
        found, expected = fingerprint(description), card.fingerprints[modality]
        if found != expected:
            raise ConfigurationError(
                f"extract.{modality}: makes features with the fingerprint {found}, model {card.version} was "
                f"trained on {expected}; use the extract section that its training films were extracted with"
            )
    return FromFilms(chosen, config, directory, descriptions)


def _main(argv: list[str]) -> int:
    arguments, beam_arguments = job.parse_known(_parser(), argv)
    options = job.beam_options(
        beam_arguments,
        arguments.workers,
        one_process=lambda: bool(arguments.films) and job.films_share_batches(arguments.config),
    )
    config = load_section("score", ScoreConfig, arguments.config, arguments.overrides)
    model = find_model(arguments.model)
    model.card.assert_takes_stride(config.stride_s)
    source: FilmSource
    if arguments.records:
        source = records_source(arguments.records, arguments.manifest, arguments.splits)
    else:
        if arguments.manifest:
            raise ConfigurationError("--manifest goes with --records; --films takes a manifest itself")
        extract = load_section("extract", ExtractConfig, arguments.config)
        directory = storage.join(arguments.output, "records")
        source = films_source(arguments.films, extract, model, directory, arguments.splits)
    run_started_s = job.storage_time_s(arguments.output)
    code = job.run(
        lambda pipeline: define_pipeline(pipeline, source, model, config, arguments.output, run_started_s),
        options,
        arguments.output,
        source.films_in,
        count_done=".csv" if config.csv else ".png" if config.plots else ".parquet",
    )
    if untrained := model.card.untrained():
        print(f"made from untrained networks ({', '.join(untrained)}): for demonstration only")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cineaffect score",
        description="Predicts valence and arousal for every second of every film.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    films = parser.add_mutually_exclusive_group(required=True)
    films.add_argument("--records", help="directory of feature records, as cineaffect extract leaves them")
    films.add_argument("--films", help="folder, quoted glob, or CSV manifest; the films are extracted first")
    parser.add_argument("--manifest", help="with --records: CSV manifest that names the films")
    parser.add_argument(
        "--splits",
        type=job.comma_separated,
        default=(),
        help="only films of these splits of the manifest, comma separated",
    )
    parser.add_argument(
        "--model", required=True, help="exported model: a version's directory, or the exports' directory"
    )
    job.add_common_arguments(parser, "smoothing.cutoff_hz=0.02")
    return parser


if __name__ == "__main__":
    sys.exit(main())
