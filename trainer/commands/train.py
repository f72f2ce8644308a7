"""`cineaffect train` (`python -m trainer.task`): feature records and labels in, an exported model with its card out."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from beam_pipelines.foundation.command_line import add_configuration, comma_separated, guarded, make_parser
from beam_pipelines.foundation.errors import EXIT_OK
from beam_pipelines.foundation.output_directory import assert_output_directory
from beam_pipelines.foundation.run_summary import next_steps_of_job, print_summary

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

what it writes to --output:
  exports/<version>/    the SavedModel and model_card.json; `cineaffect score --model run/exports` takes the newest
  evaluation.json/.csv  MSE, PCC and CCC on the validation films, beside the constant mean and ridge regression
  ridge/                the same files of ridge regression, exports included: on the same seconds and features, with
                        means over the last 5, 30 and all seconds; `--model ridge` makes them alone, without a network
  curves/<film_id>.csv  its own predictions of the training and validation films
  report/index.html     a page of all this to look at; validation.json holds what it needs of labels and filters
  history.json/.csv     one entry per epoch;  logs/: the same for TensorBoard
  checkpoints/          if training is killed, start it again: it resumes there and ends with the same weights

The final training, on all films: without validation films nothing chooses the epoch or the filter, so take both from a
  run that had some; the run's other settings come with them, unless --config names a file:
  cineaffect train    --manifest films.csv --records features --transform transform-all --output run-all \\
                      --train-splits train,validation --validation-splits '' --like run
Several GPUs share each batch automatically. For several workers, set TF_CONFIG as TensorFlow requires and start the
  same command on each; the first one writes. If one is lost, start all of them again: they resume from the checkpoint.
exit codes: 0 all done, 1 an outage (run it again), 2 configuration error.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cineaffect train` (load, train, choose the smoothing, evaluate, export) and returns the exit code."""
    return guarded(_main, argv)


def _main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)

    from beam_pipelines.foundation.configuration import load_section
    from beam_pipelines.foundation.tensorflow_start import start_tensorflow
    from beam_pipelines.report.runs.run_pages import write_run_page
    from trainer.exporting.like_run import settings_like
    from trainer.exporting.training_run import TrainingData, train_and_export
    from trainer.foundation.config import TrainConfig

    if arguments.like:
        config = settings_like(arguments.like, arguments.config, arguments.overrides)
    else:
        config = load_section("train", TrainConfig, arguments.config, arguments.overrides)
    assert_output_directory(arguments.output)
    start_tensorflow()
    data = TrainingData(
        arguments.manifest, arguments.records, arguments.transform, arguments.train_splits, arguments.validation_splits
    )
    directory = train_and_export(
        data,
        config,
        arguments.output,
        model=arguments.model,
        export_version=arguments.export_version,
        checkpoint_batches=arguments.checkpoint_batches,
        devices=arguments.strategy,
        threads=arguments.threads,
    )
    if directory is not None:
        places = [("model", directory), ("page", write_run_page(arguments.output))]
        print_summary(places, next_steps_of_job("train", directory, records=arguments.records))
    return EXIT_OK


def _parser() -> argparse.ArgumentParser:
    description = (
        "Trains the paper's model on feature records and labels, and exports it, with ridge regression to compare with."
    )
    parser = make_parser("train", description, EXAMPLES)
    parser.add_argument("--manifest", required=True, help="CSV with the columns film_id, path, split and labels")
    parser.add_argument("--records", required=True, help="directory of feature records, from extract, local or gs://")
    parser.add_argument(
        "--transform", required=True, help="directory of the transform graph, from prepare, local or gs://"
    )
    parser.add_argument(
        "--output", required=True, help="directory of this run, local or gs://; a second run resumes there"
    )
    file = "YAML file with a section train (default: all keys have their defaults)"
    add_configuration(parser, "train", "epochs=20", file)
    parser.add_argument(
        "--like",
        metavar="RUN",
        help="directory of a training run whose chosen epoch, filter and ridge penalties are taken; and, without "
        "--config, its settings",
    )
    parser.add_argument(
        "--model",
        choices=("network", "ridge"),
        default="network",
        help="the paper's network with ridge regression beside it, or ridge regression alone (default: network)",
    )
    for option, default, what in (
        ("--train-splits", "train", "films to learn from, comma separated"),
        ("--validation-splits", "validation", "films that choose epoch and cutoff"),
    ):
        parser.add_argument(option, type=comma_separated, default=default, help=f"{what} (default: {default})")
    parser.add_argument(
        "--export-version", type=int, help="number of the exported version (default: the next free one)"
    )
    parser.add_argument(
        "--checkpoint-batches",
        type=int,
        default=0,
        help="also write a checkpoint after every so many batches, for long epochs (default: after each epoch only)",
    )
    parser.add_argument(
        "--strategy",
        choices=("auto", "one", "mirrored", "multi_worker"),
        default="auto",
        help="devices that share each batch: one, mirrored (all GPUs), multi_worker (all workers of TF_CONFIG, with an "
        "--output that all can read); auto follows TF_CONFIG and GPUs. A run may resume with others (default: auto)",
    )
    parser.add_argument(
        "--threads", type=int, default=0, help=f"threads of one operation (default: all {os.cpu_count()} cores)"
    )
    return parser
