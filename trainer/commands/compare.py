"""`cineaffect compare`: the paper's comparisons, each a table with mean and spread over seeds, and a page.

Figures are those of the split `test`; the split `validation` chooses epoch and filter. Comparisons with one --output
share equal trainings.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.command_line import add_configuration, at_least_one, guarded, make_parser
from beam_pipelines.foundation.errors import EXIT_OK, ConfigurationError
from beam_pipelines.foundation.run_summary import as_steps_of_a_run
from trainer.experiments.comparison_variants import COMPARISONS, variants

if TYPE_CHECKING:
    from trainer.experiments.data import ExperimentData

EXAMPLES = f"""
comparisons:
{chr(10).join(f"  {name:<10} {what}" for name, what in COMPARISONS.items())}

examples:
  any films, by manifest; without --transform it is prepared:
    cineaffect compare --what window --manifest films.csv --records features --output comparisons
  MediaEval 2018, validated by films of the development set as in `cineaffect reproduce`:
    cineaffect compare --what encoder --data DIR --records features --output comparisons
  a variant with its own settings:
    cineaffect compare --what encoder --manifest films.csv --records features --output comparisons \\
                       --set model.encoder.units=64 --set-in TCN model.encoder.levels=3

The spread is that of the seeds. Whether two variants differ, the differences film by film say, with their interval.
Each writes report/<what>/index.html and <what>.txt, .json, .csv to --output. On data of `cineaffect mediaeval-demo`
they only show that the command works: there the results are built in.
exit codes: 0 all done, 1 an outage (run it again), 2 configuration error or a failed job.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cineaffect compare` and returns the exit code."""
    with as_steps_of_a_run():
        return guarded(_main, argv)


def _main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)

    from beam_pipelines.foundation.configuration import load_section
    from beam_pipelines.foundation.tensorflow_start import start_tensorflow
    from trainer.experiments.cached_steps import assert_experiment_directory
    from trainer.experiments.comparison import compare_variants, describe_filters
    from trainer.foundation.config import TrainConfig

    assert_experiment_directory(arguments.output)
    what = arguments.what
    if what == "ensemble" and arguments.seeds < 2:
        raise ConfigurationError(f"--what ensemble: the mean of {arguments.seeds} run is that run; name more --seeds")
    base = load_section("train", TrainConfig, arguments.config, arguments.overrides)
    start_tensorflow()
    data = _data(arguments)
    modalities = data.statistics().modalities
    chosen = variants(what, base, modalities, [name for name in arguments.baseline.split(",") if name])
    own = _own_settings(arguments.own, chosen)
    configs = {
        name: load_section("train", TrainConfig, arguments.config, [*arguments.overrides, *settings, *own[name]])
        for name, settings in chosen.items()
    }
    rows, filters = compare_variants(what, data, configs, arguments.seeds, arguments.output)
    about: dict[str, Any] = {
        "what": what,
        "seeds": arguments.seeds,
        "train": base.model_dump(mode="json"),
        "variants": chosen,
    }
    if filters:
        about["filters"] = [{kind: one.model_dump(mode="json") for kind, one in found.items()} for found in filters]
    used = {modality for config in configs.values() for modality in config.model.modalities}
    _report(rows, data.untrained(sorted(used)), about, describe_filters(filters), arguments)
    return EXIT_OK


def _data(arguments: argparse.Namespace) -> ExperimentData:
    from beam_pipelines.films.mediaeval2018 import list_layout
    from beam_pipelines.foundation.configuration import validate
    from trainer.experiments.data import (
        TEST,
        TRAIN,
        VALIDATION,
        ExperimentData,
        assert_new_test_films,
        draw_partitions,
        prepare_transform,
        write_manifest,
    )
    from trainer.experiments.reproduce_config import ReproduceConfig

    manifest = arguments.manifest
    if arguments.data:
        keys = {"validation_films": arguments.validation_films, "split_seed": arguments.split_seed}
        given = {key: value for key, value in keys.items() if value is not None}
        splits = validate(ReproduceConfig, given, "the command line: reproduce")
        films = list_layout(arguments.data)
        selection, _ = draw_partitions(films, splits.validation_films, splits.split_seed)
        manifest = write_manifest(films, selection, arguments.output)
    assert_new_test_films(manifest, arguments.records)
    transform = arguments.transform
    if not transform:
        transform = prepare_transform(manifest, arguments.records, arguments.output, arguments.config)
    data = ExperimentData(manifest, arguments.records, transform)
    for split in (TRAIN, VALIDATION, TEST):
        if not data.films(split):
            raise ConfigurationError(f"{manifest}: no film has the split '{split}'; a comparison needs all three")
    return data


def _own_settings(given: Sequence[tuple[str, str]], chosen: Mapping[str, Any]) -> dict[str, list[str]]:
    own: dict[str, list[str]] = {name: [] for name in chosen}
    for name, setting in given:
        if name not in own:
            raise ConfigurationError(f"--set-in '{name}': no such variant; there are {', '.join(own)}")
        own[name].append(setting)
    return own


def _report(
    rows: Sequence[Mapping[str, Any]],
    untrained: Sequence[str],
    about: Mapping[str, Any],
    notes: Sequence[str],
    arguments: argparse.Namespace,
) -> None:
    from beam_pipelines.report.runs.table_page import write_table_page
    from trainer.evaluation.run_origin import untrained_note
    from trainer.experiments.differences import differences, render_differences
    from trainer.experiments.table import render, write_table

    output, what = arguments.output, arguments.what
    found = differences(rows)
    about = {**about, "untrained": list(untrained), "differences": [one.to_dict() for one in found]}
    summaries = write_table(output, what, rows, None, **about)
    lines = [render(summaries), *notes, "", render_differences(found)]
    if untrained:
        lines.append(untrained_note(untrained))
    text = "\n".join(lines)
    storage.write_text(storage.join(output, f"{what}.txt"), text + "\n")
    results = storage.join(output, f"{what}.json")
    page = write_table_page(json.loads(storage.read_text(results)), storage.join(output, "report", what))
    print(f"\n{text}\n\npage: {page}\nresults: {results}")


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("compare", __doc__, EXAMPLES)
    parser.add_argument("--what", required=True, choices=list(COMPARISONS), help="which comparison")
    films = parser.add_mutually_exclusive_group(required=True)
    films.add_argument("--manifest", help="CSV with film_id, path, split (train, validation, test) and labels")
    films.add_argument("--data", help="directory in the layout of MediaEval 2018")
    parser.add_argument("--records", required=True, help="directory of feature records")
    parser.add_argument("--transform", help="directory that prepare made from the split train (default: it is made)")
    parser.add_argument("--output", required=True, help="local directory; a second run resumes there")
    parser.add_argument("--seeds", type=at_least_one, default=3, help="trainings of each variant (default: 3)")
    parser.add_argument("--baseline", default="", help="of features: its modalities, comma separated")
    parser.add_argument("--validation-films", type=int, help="with --data: how many of the development films (13)")
    parser.add_argument("--split-seed", type=int, help="with --data: draws them (2018, ours)")
    add_configuration(parser, "train", "epochs=20", "YAML file with the sections train and prepare")
    parser.add_argument(
        "--set-in",
        action="append",
        nargs=2,
        default=[],
        dest="own",
        metavar=("VARIANT", "KEY=VALUE"),
        help="train keys of one variant only",
    )
    return parser
