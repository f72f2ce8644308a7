"""The score job: films or feature records in, valence and arousal curves out.

films ──▶ ExtractFilms ──▶ records ─┐
records ────────────────────────────┴─▶ ScoreFilms ──▶ WriteCurves ──▶ curves/, curves.parquet/
                                             │             └──▶ DrawPlots ──▶ plots/
                                             └──── failures.jsonl, run_manifest.json (WriteOutcomes)
"""

from __future__ import annotations

import sys

from beam_pipelines.commands.score import main as main

if __name__ == "__main__":  # before Beam is imported: help and refusals need none of it
    sys.exit(main())

import math
from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam

from beam_pipelines.contracts.curves.curves import columns_of
from beam_pipelines.contracts.curves.done_marker import scorer_digest
from beam_pipelines.contracts.curves.score_config import ScoreConfig
from beam_pipelines.contracts.curves.shares import share_columns
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.contracts.models.exported_model import ModelReference
from beam_pipelines.contracts.records.records import list_records, record_uri
from beam_pipelines.extractors.config import OTHER_MODALITIES, ExtractConfig
from beam_pipelines.extractors.registry import registered_names
from beam_pipelines.extractors.weights.needed_weights import require_weights
from beam_pipelines.films.catalogue import Film, films_of_splits, list_catalogue, list_films
from beam_pipelines.films.films_on_disk import keep
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.launch import job
from beam_pipelines.launch.local_work import largest_first
from beam_pipelines.scoring.curve_files import CurveFiles
from beam_pipelines.scoring.scored_film import FilmToScore
from beam_pipelines.transforms.draw_plots import DrawPlots
from beam_pipelines.transforms.films_to_score import FilmSource, FromFilms, FromRecords
from beam_pipelines.transforms.outcomes import TIMES_TAG, WriteOutcomes
from beam_pipelines.transforms.predict_curves import FAILED_TAG, SCORED_TAG, Inference
from beam_pipelines.transforms.score_films import SKIPPED_TAG, ScoreFilms
from beam_pipelines.transforms.write_curves import OUTCOMES_TAG, TABLE_TAG, WRITTEN_TAG, WriteCurves


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
        pipeline: the pipeline.
        source: `FromRecords` or `FromFilms`.
        model: the exported model, from `find_model`.
        config: the score section.
        output: directory of curves, plots, table, failures and manifest.
        run_started_s: when this run began, from `job.storage_time_s`. Films that this run has scored count as done, not
            as skipped, even if a worker was lost and the films are processed again.
    """
    smoothing = config.smoothing_over(model.card.smoothing)
    files = curve_files(model, config, output, run_started_s)
    films = source.films(pipeline)
    batch_s = config.batch_s if source.lies_ready else 0
    inference = Inference(config.stride_s, batch_s, config.threads_per_worker, config.block_s, config.explain)
    if films.to_score:
        given = films.to_score | "FilmsToScore" >> beam.Flatten()
        scored = given | ScoreFilms(model, smoothing, files, inference)
    else:  # the model isn't loaded
        tags = SCORED_TAG, SKIPPED_TAG, FAILED_TAG, TIMES_TAG
        scored = dict.fromkeys(tags, pipeline | "NothingToScore" >> beam.Create([]))
    skipped = [scored[SKIPPED_TAG], *films.skipped] | "AllSkipped" >> beam.Flatten()
    written = (scored[SCORED_TAG], skipped) | WriteCurves(files)
    finished, times = [written[TABLE_TAG]], [*films.times, scored[TIMES_TAG], written[TIMES_TAG]]
    if config.plots and films.to_score:
        remark = "untrained networks: for demonstration only" if model.card.untrained() else ""
        drawn = written[WRITTEN_TAG] | DrawPlots(files, model.card.label_range, remark)
        finished.append(drawn)
        times.append(drawn)
    about = {**_about(model, smoothing, config), **source.about()}
    outcomes = (*written[OUTCOMES_TAG], scored[FAILED_TAG], *films.failed)
    outcomes | WriteOutcomes(output, source.films_in, about, config.failure_threshold, finished, times)


def _about(model: ModelReference, smoothing: SmoothingConfig, config: ScoreConfig) -> dict[str, Any]:
    """What the run's manifest says of the job, its model and its settings."""
    return {
        "job": "score",
        "versions": job.versions(),
        "model": {
            "version": model.card.version,
            "sha256": model.sha256,
            "fingerprints": model.card.fingerprints,
            "descriptions": model.card.descriptions,
            "targets": list(model.card.targets),
            "own_range": model.card.own_range,
            "about": model.card.about,
            "label_range": list(model.card.label_range),
            "label_lag_s": model.card.label_lag_s,
            "data": model.card.data,
            "calibration": model.card.calibration and model.card.calibration.model_dump(mode="json"),
            "explained": model.card.explained if config.explain != "nothing" else "",
        },
        "untrained": model.card.untrained(),
        "smoothing": smoothing.model_dump(mode="json"),
        "configuration": config.model_dump(mode="json"),
    }


def curve_files(model: ModelReference, config: ScoreConfig, output: str, run_started_s: float = math.inf) -> CurveFiles:
    """Where the files of a run go, and who makes them."""
    smoothing = config.smoothing_over(model.card.smoothing)
    levels = next(iter(model.card.half_widths(smoothing, config.stride_s).values()), {})
    explain = config.explain
    shares = share_columns(model.card.targets, model.card.parts(explain)) if explain != "nothing" else ()
    return CurveFiles(
        output,
        config.csv,
        config.plots,
        config.shards,
        scorer_digest(model.sha256, smoothing, model.card.is_ensemble, config.stride_s, explain),
        columns=(*columns_of(model.card.targets, model.card.is_ensemble, levels), *shares),
        run_started_s=run_started_s,
    )


def records_source(directory: str, manifest: str | None = None, splits: Sequence[str] = ()) -> FromRecords:
    """The films of a directory of feature records, or those that a manifest names.

    Args:
        directory: the directory of the records.
        manifest: a CSV manifest; a film without a record becomes a failure of the run.
        splits: splits of the manifest; empty for all.

    Raises:
        ConfigurationError: if there is nothing to score, or `splits` is given without a manifest.
    """
    if manifest is None:
        if splits:
            raise ConfigurationError("--splits chooses among the films of a manifest; name one with --manifest")
        found = (FilmToScore(film_id, uri, uri) for film_id, uri in list_records(directory).items())
        records = keep(found, FilmToScore.row, FilmToScore.of_row)
        if not records:
            raise ConfigurationError(
                f"{directory}: holds no feature records (*.tfrecord); cineaffect extract makes them"
            )
        return FromRecords(records)
    catalogue = list_films(manifest, needs_path=False)
    chosen = films_of_splits(catalogue, splits, manifest) if splits else catalogue
    films = (FilmToScore(film.film_id, film.uri, record_uri(directory, film.film_id)) for film in chosen)
    return FromRecords(keep(films, FilmToScore.row, FilmToScore.of_row))


def films_source(
    films: str, config: ExtractConfig, model: ModelReference, directory: str, splits: Sequence[str] = ()
) -> FromFilms:
    """Films to extract and score in one graph; only the modalities that the model takes are extracted.

    Raises:
        ConfigurationError: as `source_of_films` raises it, or if there are no films.
    """
    catalogue, passed_over = list_catalogue(films, config.suffixes, config.min_lines_px)
    chosen = films_of_splits(catalogue, splits, films) if splits else catalogue
    return source_of_films(chosen, config, model, directory, passed_over)


def source_of_films(
    catalogue: Sequence[Film],
    config: ExtractConfig,
    model: ModelReference,
    directory: str,
    passed_over: Mapping[str, int] | None = None,
) -> FromFilms:
    """The same for listed films.

    Raises:
        ConfigurationError: if the extract section makes other features than those that the model
            was trained on, so that it would refuse every film, or doesn't make all of them.
    """
    # Imported late: it imports all networks, which a run on existing records doesn't need.
    from beam_pipelines.extractors.configured_networks import describe_tracks, pin_networks

    card = model.card
    unknown = sorted({*card.modalities} - {*registered_names(), *OTHER_MODALITIES, *config.networks})
    if unknown:
        raise ConfigurationError(
            f"model {card.version} takes {', '.join(unknown)}, which no network of this configuration makes: give the "
            "--config of its films' extraction, whose section extract.networks names the file (imported features can't "
            "be made from films; score their records)"
        )
    if "modalities" not in config.model_fields_set:
        config = config.model_copy(update={"modalities": card.modalities})
    lacking = [modality for modality in card.modalities if modality not in config.modalities]
    if lacking:
        raise ConfigurationError(
            f"extract.modalities: model {card.version} takes {', '.join(lacking)} too; "
            f"it is {', '.join(config.modalities)}"
        )
    config = config.model_copy(update={"modalities": tuple(m for m in config.modalities if m in card.modalities)})
    require_weights(config)
    descriptions = describe_tracks(config)
    config = pin_networks(config)
    card.refuse_descriptions(descriptions)
    return FromFilms(largest_first(catalogue), config, directory, descriptions, passed_over=passed_over or {})
