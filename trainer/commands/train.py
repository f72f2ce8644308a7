"""`cineaffect train` (`python -m trainer.task`): feature records and labels in, an exported model with its card out."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

from beam_pipelines.contracts.models.exported_cards import EXPORTS, exported_cards
from beam_pipelines.contracts.records.records import is_untrained
from beam_pipelines.films.catalogue import films_of_splits, read_manifest
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.configuration import load_section
from beam_pipelines.foundation.errors import EXIT_OK, CineAffectError, ConfigurationError
from beam_pipelines.foundation.output_directory import assert_output_directory
from beam_pipelines.foundation.run_summary import next_steps_of_job, print_summary
from beam_pipelines.foundation.version import __version__
from beam_pipelines.labels.annotations import render_reports
from beam_pipelines.report.runs.run_pages import write_run_page
from trainer.data.dataset import Statistics, TrainingFilm, assert_no_leak, data_digest, load_films, read_statistics
from trainer.evaluation.curve_files import write_curve
from trainer.evaluation.evaluate import Evaluation, smooth_curves, write_evaluation
from trainer.evaluation.run_origin import untrained_note
from trainer.foundation.config import TrainConfig
from trainer.training.validation_record import write_validation

if TYPE_CHECKING:
    from trainer.data.transform import RowTransform
    from trainer.training.train import TrainingResult

EXAMPLES = """
a whole experiment, from films to a model:
  films.csv holds the columns film_id,path,split,labels, for example
    film_id,path,split,labels
    MEDIAEVAL18_00,films/MEDIAEVAL18_00.mp4,train,annotations/MEDIAEVAL18_00_Valence-Arousal.txt
    MEDIAEVAL18_13,films/MEDIAEVAL18_13.mp4,validation,annotations/MEDIAEVAL18_13_Valence-Arousal.txt
  cineaffect extract  --films films.csv --output features
  cineaffect prepare  --records features --manifest films.csv --output transform
  cineaffect train    --manifest films.csv --records features --transform transform --output run \\
                      --set model.encoder.units=64 --set model.dropout=0.3
  cineaffect evaluate --manifest films.csv --scores run --splits validation --per-film

what it leaves in --output:
  exports/<version>/    the SavedModel and model_card.json; `cineaffect score --model run/exports` takes the newest
  evaluation.json/.csv  MSE, PCC and CCC on the validation films, beside the constant mean
  curves/<film_id>.csv  its own predictions of the training and validation films
  report/index.html     a page of all this to look at; validation.json holds what it needs of labels and filters
  history.json/.csv     one entry an epoch;  logs/: the same for TensorBoard
  checkpoints/          killed, it goes on from there and ends at the same weights: start it again as before

With `--validation-splits ''` the last epoch and the configured filter stand: for the final training on all films.
Several GPUs share each batch by themselves. With several workers, start the same command on each, with TF_CONFIG set as
  TensorFlow wants it; the first one writes. If one is lost, start all of them again: they go on from the checkpoint.
exit codes: 0 all done, 1 an outage (run it again), 2 configuration error.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """`cineaffect train`: loads, trains, chooses the smoothing, evaluates, exports; returns the exit code."""
    try:
        return _main(list(sys.argv[1:] if argv is None else argv))
    except CineAffectError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)
    config = load_section("train", TrainConfig, arguments.config, arguments.overrides)
    assert_output_directory(arguments.output)
    statistics = read_statistics(arguments.transform)
    _use_threads(arguments.threads)

    from trainer.foundation.distribution import is_chief, make_strategy

    strategy = make_strategy(arguments.strategy)

    from trainer.data.transform import load_transform
    from trainer.training.train import train

    transform = load_transform(arguments.transform)
    films_train, films_validation = _load(arguments, config, statistics, transform)
    print(render_reports([film.report for film in (*films_train, *films_validation)]))
    transform_sha256 = transform.digest()

    result = train(
        films_train,
        films_validation,
        config,
        arguments.output,
        identity={"transform": {"graph": transform_sha256, **statistics.identity()}},
        checkpoint_batches=arguments.checkpoint_batches,
        strategy=strategy,
    )
    if not is_chief(strategy):
        return EXIT_OK
    card = model_card(result, films_train, films_validation, config, statistics, transform_sha256)
    _write_results(result, films_validation, config, arguments.output, card["untrained_networks"])
    directory = _export(result, card, config, arguments)
    _print_figures(result, card)
    print_summary(
        [("model", directory), ("page", write_run_page(arguments.output))],
        next_steps_of_job("train", directory, records=arguments.records),
    )
    return EXIT_OK


def model_card(
    result: TrainingResult,
    films_train: Sequence[TrainingFilm],
    films_validation: Sequence[TrainingFilm],
    config: TrainConfig,
    statistics: Statistics,
    transform_sha256: str,
) -> dict[str, Any]:
    """What is to be known of a model, as plain values; `export_model` adds what the network itself tells."""
    modalities = config.model.modalities
    descriptions = {modality: dict(statistics.descriptions[modality]) for modality in modalities}
    return {
        "fingerprints": {modality: statistics.fingerprints[modality] for modality in modalities},
        "descriptions": descriptions,
        "untrained_networks": sorted(modality for modality in modalities if is_untrained(descriptions[modality])),
        "window_s": config.model.window_s,
        "smoothing": result.smoothing.model_dump(mode="json"),
        "label_range": [config.labels.minimum, config.labels.maximum],
        "validation_metrics": []
        if result.table is None
        else [row for row in result.table.to_dict() if row["scope"] != "film"],
        "constant_mean": {"valence": float(result.constant[0]), "arousal": float(result.constant[1])},
        "best_epoch": result.best_epoch,
        "seed": config.seed,
        "data": {
            "digest": data_digest([*films_train, *films_validation]),
            "train_films": [film.film_id for film in films_train],
            "validation_films": [film.film_id for film in films_validation],
            "labelled_seconds": int(sum(film.known.sum() for film in films_train)),
            "statistics_sha256": statistics.digest,
            "transform_sha256": transform_sha256,
        },
        "configuration": {"train": config.model_dump(mode="json")},
        "weights_sha256": _weights_digest(result),
        "code_version": __version__,
        "versions": {package: metadata.version(package) for package in ("tensorflow", "keras", "numpy", "scipy")},
    }


def _load(
    arguments: argparse.Namespace, config: TrainConfig, statistics: Statistics, transform: RowTransform
) -> tuple[list[TrainingFilm], list[TrainingFilm]]:
    films = read_manifest(arguments.manifest)
    loaded = [
        load_films(
            arguments.records,
            films_of_splits(films, [split for split in splits.split(",") if split], arguments.manifest),
            transform,
            statistics,
            config.labels,
            config.model.modalities,
        )
        for splits in (arguments.train_splits, arguments.validation_splits)
    ]
    films_train, films_validation = loaded
    if not films_train:
        raise ConfigurationError("--train-splits: names no split to train on")
    assert_no_leak(films_train, films_validation, statistics)
    return films_train, films_validation


def _use_threads(threads: int) -> None:
    if threads:
        import tensorflow as tf

        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        except RuntimeError:
            print(f"note: --threads {threads} has no effect: TensorFlow runs already in this process", file=sys.stderr)


def _write_results(
    result: TrainingResult,
    films_validation: Sequence[TrainingFilm],
    config: TrainConfig,
    output: str,
    untrained: Sequence[str],
) -> None:
    smoothed = smooth_curves(result.predictions, result.smoothing, config.labels)
    for film_id, raw in result.predictions.items():
        write_curve(output, film_id, raw, smoothed[film_id])
    write_validation(result.predictions, films_validation, result.constant, result.smoothing, config, output)
    if result.table is not None:
        reports = tuple(film.report for film in films_validation)
        write_evaluation(Evaluation(result.table, reports, (), (), tuple(untrained)), output)


def _export(result: TrainingResult, card: dict[str, Any], config: TrainConfig, arguments: argparse.Namespace) -> str:
    """Exports under the wanted version, else the next; a run that ended before with this very model exports nothing."""
    from trainer.exporting.export import export_model

    exports = storage.join(arguments.output, EXPORTS)
    cards = exported_cards(arguments.output)
    version = arguments.export_version
    if version is None and cards:
        newest = max(cards)
        if _is_same_model(cards[newest], card):
            print(f"this model is exported already, as version {newest}")
            return storage.join(exports, str(newest))
    if version is None:
        version = max(cards, default=0) + 1
    directory = storage.join(exports, str(version))
    label_range = (config.labels.minimum, config.labels.maximum)
    whole_card = {**card, "version": str(version)}
    return export_model([result.model], arguments.transform, whole_card, directory, label_range=label_range)


def _is_same_model(exported: dict[str, Any], card: dict[str, Any]) -> bool:
    plain = json.loads(json.dumps(card))
    return all(exported.get(key) == plain[key] for key in ("weights_sha256", "smoothing", "data", "fingerprints"))


def _weights_digest(result: TrainingResult) -> str:
    state = hashlib.sha256()
    # Without the variables' names: Keras numbers those by what else the process has built.
    for variable in result.model.weights:
        state.update(str(tuple(variable.shape)).encode())
        state.update(variable.numpy().tobytes())
    return state.hexdigest()


def _print_figures(result: TrainingResult, card: dict[str, Any]) -> None:
    print()
    if result.table is None:
        print("no validation films: the last epoch and the configured filter stand")
    else:
        print(f"validation films, epoch {result.best_epoch}:")
        print(result.table.to_text())
    smoothing = result.smoothing
    if smoothing.method == "butterworth":
        print(f"smoothing: Butterworth, order {smoothing.order}, cutoff {smoothing.cutoff_hz:g} Hz")
    else:
        print(f"smoothing: {smoothing.method.replace('_', ' ')}")
    if card["untrained_networks"]:
        print(untrained_note(card["untrained_networks"]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cineaffect train",
        description="Trains the paper's model on feature records and labels, and exports it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--manifest", required=True, help="CSV with the columns film_id, path, split and labels")
    parser.add_argument("--records", required=True, help="directory of feature records, from extract, local or gs://")
    parser.add_argument(
        "--transform", required=True, help="directory of the transform graph, from prepare, local or gs://"
    )
    parser.add_argument(
        "--output", required=True, help="directory of this run, local or gs://; started again, it goes on there"
    )
    parser.add_argument("--config", help="YAML file with a section train; without one the defaults hold")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="overrides one key of the section train, for example --set epochs=20; may be repeated",
    )
    parser.add_argument("--train-splits", default="train", help="films to learn from, comma separated (default: train)")
    parser.add_argument(
        "--validation-splits", default="validation", help="films that choose epoch and cutoff (default: validation)"
    )
    parser.add_argument(
        "--export-version", type=int, help="number of the exported version (default: the next free one)"
    )
    parser.add_argument(
        "--checkpoint-batches",
        type=int,
        default=0,
        help="a checkpoint after every so many batches too, for long epochs (default: after each epoch only)",
    )
    parser.add_argument(
        "--strategy",
        choices=("auto", "one", "mirrored", "multi_worker"),
        default="auto",
        help="devices that share each batch: one, mirrored (all GPUs), multi_worker (all workers of TF_CONFIG, with an "
        "--output that all can read); auto goes by TF_CONFIG and GPUs. A run can go on with others (default: auto)",
    )
    parser.add_argument(
        "--threads", type=int, default=0, help=f"threads of one operation (default: all {os.cpu_count()} cores)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
