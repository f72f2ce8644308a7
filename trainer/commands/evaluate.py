"""`cineaffect evaluate`: curves against labels, as a table, evaluation.json and evaluation.csv."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.command_line import add_configuration, guarded, make_parser
from beam_pipelines.foundation.errors import EXIT_OK, EXIT_SOME_FILMS_FAILED
from beam_pipelines.foundation.output_directory import assert_output_directory

EXAMPLES = """
examples:
  held-out films, scored before with `cineaffect score --output scores`:
    cineaffect evaluate --manifest films.csv --scores scores --splits test
  the trainer's own predictions of its validation films:
    cineaffect evaluate --manifest films.csv --scores run --splits validation --per-film
  a run file in the task's format:
    cineaffect evaluate --manifest films.csv --run-file run1.txt --splits test

The row "constant mean" predicts the mean of all label rows of --train-splits for every second: a model must beat it.
Films that the model has learned from, or that chose its epoch and filter, are named.
PCC and CCC of a constant series are undefined; means over films leave such films out and say how many.
exit codes: 0 all done, 1 an outage (run it again), 2 configuration error, 3 some labelled films have no curve.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cineaffect evaluate`: prints the table, writes evaluation.json and .csv, returns the exit code."""
    return guarded(_main, argv)


def _main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)

    from beam_pipelines.contracts.curves.bands import lines
    from beam_pipelines.films.catalogue import films_of_splits, read_manifest
    from beam_pipelines.foundation.configuration import load_section
    from beam_pipelines.labels.annotations import render_reports
    from trainer.evaluation.evaluate import evaluate_run, evaluate_run_file, write_evaluation
    from trainer.evaluation.run_origin import bands_note, known_note, own_range_note, untrained_note
    from trainer.foundation.config import TrainConfig

    config = load_section("train", TrainConfig, arguments.config, arguments.overrides)
    output = arguments.output or arguments.scores or arguments.run_file.removesuffix(".txt") + "_evaluation"
    assert_output_directory(output)
    films = read_manifest(arguments.manifest)
    chosen = films_of_splits(films, arguments.splits.split(","), arguments.manifest)
    constant_films = films_of_splits(films, arguments.train_splits.split(","), arguments.manifest)
    if arguments.run_file:
        evaluation = evaluate_run_file(arguments.run_file, chosen, constant_films, config.labels)
    else:
        evaluation = evaluate_run(arguments.scores, chosen, constant_films, config.labels)
    write_evaluation(evaluation, output)
    print(render_reports(evaluation.reports))
    print()
    print(evaluation.table.to_text(per_film=arguments.per_film))
    for line in lines(evaluation.bands):
        print(line)
    if note := bands_note(evaluation.bands_without):
        print(note)
    if evaluation.own_range:
        print(own_range_note())
    if evaluation.untrained:
        print(untrained_note(evaluation.untrained))
    if note := known_note(evaluation.learned_from or (), evaluation.chosen_on or (), len(evaluation.reports)):
        print(note)
    if evaluation.without_ridge:
        print(f"ridge regression isn't shown, for it has no curve of {', '.join(evaluation.without_ridge)}")
    for film_ids, what in ((evaluation.without_labels, "no labels"), (evaluation.without_curve, "labels but no curve")):
        if film_ids:
            print(f"\nfilms with {what}, not evaluated: {', '.join(film_ids)}")
    print(f"\nresults: {storage.join(output, 'evaluation.json')}")
    return EXIT_SOME_FILMS_FAILED if evaluation.without_curve else EXIT_OK


def _parser() -> argparse.ArgumentParser:
    description = "Compares predicted curves with labels: MSE, PCC and CCC, per film and pooled."
    parser = make_parser("evaluate", description, EXAMPLES)
    parser.add_argument("--manifest", required=True, help="CSV with the columns film_id, path, split and labels")
    predictions = parser.add_mutually_exclusive_group(required=True)
    predictions.add_argument("--scores", help="directory of a scoring or training run, with curves/ in it")
    predictions.add_argument("--run-file", help="a run file in the task's format, a film's name and then its rows")
    parser.add_argument("--splits", default="test", help="which films, comma separated (default: test)")
    parser.add_argument("--train-splits", default="train", help="whose labels give the constant mean (default: train)")
    parser.add_argument(
        "--output", help="where evaluation.json and .csv go (default: the run's directory, or RUN_FILE_evaluation)"
    )
    parser.add_argument("--per-film", action="store_true", help="also print every film's figures")
    file = "YAML file; its section train.labels says how labels are read"
    add_configuration(parser, "train", "labels.minimum=0", file)
    return parser
