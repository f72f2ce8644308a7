"""`cineaffect ensemble`: several exported models as one, whose curves are the mean of theirs (paper, run 5)."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.command_line import add_configuration, guarded, make_parser
from beam_pipelines.foundation.errors import EXIT_OK, ConfigurationError
from beam_pipelines.foundation.output_directory import assert_output_directory

if TYPE_CHECKING:
    from trainer.exporting.ensemble import Validated
    from trainer.exporting.ensemble_members import Member

EXAMPLES = """
examples:
  the mean of three training runs, its filter chosen on the validation films:
    cineaffect ensemble --members run1 run2 run3 --output exports --manifest films.csv --records features
  a network and the ridge regression beside it, weighted as the validation films say:
    cineaffect ensemble --members run run/ridge --weights validation --output exports --manifest films.csv \
                        --records features
  the mean of versions, with the filter that all of them chose:
    cineaffect ensemble --members run1/exports/2 run2/exports/1 --output exports
  scored as any other model:
    cineaffect score --records features --model exports --output curves

A member may be a training run, a directory of exports, or a version in it. Members may take different features, but
features of one name must be of one extraction. Films that any member has learned from can't choose the filter.
exit codes: 0 all done, 1 an outage (run it again), 2 configuration error.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cineaffect ensemble` (find, check, validate, combine) and returns the exit code."""
    return guarded(_main, argv)


def _main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)

    from beam_pipelines.contracts.models.exported_cards import versions_of
    from beam_pipelines.foundation.tensorflow_start import start_tensorflow
    from trainer.exporting.ensemble import combine
    from trainer.exporting.ensemble_members import assert_members_agree, common_smoothing, equal_weights, find_members

    if bool(arguments.manifest) != bool(arguments.records):
        raise ConfigurationError("--manifest and --records belong together: the films that choose the filter")
    assert_output_directory(arguments.output)
    start_tensorflow()
    members = find_members(arguments.members)
    assert_members_agree(members)
    if arguments.weights == "validation" and not arguments.manifest:
        raise ConfigurationError("--weights validation: give --manifest and --records, the films that choose them")
    further: dict[str, Any] = {}
    weights = equal_weights(len(members))
    chosen_by: Mapping[str, str] = {}
    if arguments.manifest:
        validated = _validated(arguments, members)
        smoothing, weights, chosen_by = validated.smoothing, validated.weights, validated.chosen_by
        further["validation_metrics"] = [row for row in validated.table.to_dict() if row["scope"] != "film"]
        further["constant_mean"] = dict(zip(validated.table.targets, map(float, validated.constant), strict=True))
        print(validated.table.to_text())
        print()
    else:
        smoothing = common_smoothing(members)
    version = arguments.export_version
    if version is None:
        version = max(versions_of(arguments.output), default=0) + 1
    place = storage.join(arguments.output, str(version))
    directory = combine(members, smoothing, place, further, weights, chosen_by)
    for number, (member, weight) in enumerate(zip(members, weights, strict=True), 1):
        print(f"member {number}: {member.uri} ({member.reference.sha256[:12]}, weight {weight:.3f})")
    print(f"model: {directory}")
    return EXIT_OK


def _validated(arguments: argparse.Namespace, members: Sequence[Member]) -> Validated:
    from beam_pipelines.films.catalogue import films_of_splits, read_manifest
    from beam_pipelines.foundation.configuration import load_section
    from trainer.exporting.ensemble import validate_members
    from trainer.foundation.config import TrainConfig

    config = load_section("train", TrainConfig, arguments.config, arguments.overrides)
    listed = read_manifest(arguments.manifest)
    films, constant_films = (
        films_of_splits(listed, [split for split in splits.split(",") if split], arguments.manifest)
        for splits in (arguments.validation_splits, arguments.train_splits)
    )
    if not films:
        raise ConfigurationError("--validation-splits: names no film")
    choose_weights = arguments.weights == "validation"
    return validate_members(members, films, constant_films, arguments.records, config, choose_weights=choose_weights)


def _parser() -> argparse.ArgumentParser:
    description = "Combines exported models into one whose curves are the mean of theirs."
    parser = make_parser("ensemble", description, EXAMPLES)
    parser.add_argument(
        "--members", nargs="+", required=True, help="training runs, directories of exports, or versions"
    )
    parser.add_argument("--output", required=True, help="directory of exports; the ensemble becomes a version there")
    parser.add_argument(
        "--weights",
        choices=("equal", "validation"),
        default="equal",
        help="all members alike (paper), or those of the least squared error on the validation films (default: equal)",
    )
    parser.add_argument("--manifest", help="CSV manifest: the films that choose the filter and judge the members")
    parser.add_argument("--records", help="directory of their feature records")
    parser.add_argument("--validation-splits", default="validation", help="which films (default: validation)")
    parser.add_argument("--train-splits", default="train", help="whose labels give the constant mean (default: train)")
    file = "YAML file; its section train says how labels are read and which filters are tried"
    add_configuration(parser, "train", "labels.minimum=0", file)
    parser.add_argument("--export-version", type=int, help="number of the version (default: the next free one)")
    return parser
