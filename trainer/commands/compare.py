"""`cineaffect compare`: the paper's comparisons, each a table with mean and spread over seeds, and a plot.

The films of the split `test` are scored; epoch and filter are chosen on the split `validation`. Each training is made
once for what it depends on: comparisons with one --output share those that are alike.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.films.mediaeval2018 import list_layout
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.configuration import load_section, validate
from beam_pipelines.foundation.errors import EXIT_OK, CineAffectError, ConfigurationError
from beam_pipelines.foundation.run_summary import as_steps_of_a_run
from trainer.commands.reproduce import SEED_STRIDE, seed_count
from trainer.evaluation.curve_files import RAW, SMOOTHED
from trainer.evaluation.evaluate import FilmLabels, evaluate_curves, selection_score, smooth_curves
from trainer.evaluation.run_origin import untrained_note
from trainer.experiments.cached_steps import assert_experiment_directory
from trainer.experiments.comparison_variants import COMPARISONS, best_filters, variants
from trainer.experiments.data import (
    TEST,
    TRAIN,
    VALIDATION,
    ExperimentData,
    draw_partitions,
    prepare_transform,
    write_manifest,
)
from trainer.experiments.plot import write_experiment_plot
from trainer.experiments.reproduce_config import ReproduceConfig
from trainer.experiments.table import render, write_table
from trainer.experiments.training import Trained, train_selecting
from trainer.foundation.config import TrainConfig

MEAN, BEST = "mean of runs", "best on validation"
EXAMPLES = f"""
comparisons:
{chr(10).join(f"  {name:<10} {what}" for name, what in COMPARISONS.items())}

examples:
  any films, by manifest; the transform is prepared where none is named:
    cineaffect compare --what window --manifest films.csv --records features --output comparisons
  MediaEval 2018, validated by films of the development set as in `cineaffect reproduce`:
    cineaffect compare --what encoder --data DIR --records features --output comparisons
  a variant with settings of its own:
    cineaffect compare --what encoder --manifest films.csv --records features --output comparisons \\
                       --set model.encoder.units=64 --set-in TCN model.encoder.levels=3

Each leaves <what>.txt, .json, .csv and .png in --output. On data of `cineaffect mediaeval-demo` they show that the
command works: there the answers are built in.
exit codes: 0 all done, 1 an outage (run it again), 2 configuration error or a failed job.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """`cineaffect compare`: returns the exit code."""
    try:
        with as_steps_of_a_run():
            return _main(_parser().parse_args(argv))
    except CineAffectError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


@dataclass(frozen=True)
class _Labels:
    """Films of the splits that are scored, and the mean label of the training films [2]."""

    validation: Sequence[FilmLabels]
    test: Sequence[FilmLabels]
    constant: np.ndarray


def _main(arguments: argparse.Namespace) -> int:
    assert_experiment_directory(arguments.output)
    what = arguments.what
    if what == "ensemble" and arguments.seeds < 2:
        raise ConfigurationError(f"--what ensemble: the mean of {arguments.seeds} run is that run; name more --seeds")
    base = load_section("train", TrainConfig, arguments.config, arguments.overrides)
    data = _data(arguments)
    modalities = data.statistics().modalities
    chosen = variants(what, base, modalities, [name for name in arguments.baseline.split(",") if name])
    own = _own_settings(arguments.own, chosen)
    rows: list[dict[str, Any]] = []
    used: set[str] = set()
    labels: _Labels | None = None
    filters: list[dict[str, SmoothingConfig]] = []
    for name, settings in chosen.items():
        config = load_section("train", TrainConfig, arguments.config, [*arguments.overrides, *settings, *own[name]])
        used |= set(config.model.modalities)
        runs = [_train(data, config, seed, arguments.output) for seed in range(arguments.seeds)]
        labels = labels or _labels(data, config)
        if what == "smoothing":
            validation = data.films(VALIDATION)
            filters = [best_filters(run.curves(validation, RAW), labels.validation, config) for run in runs]
        rows += _rows(what, name, runs, filters, data, labels, config)
    about: dict[str, Any] = {
        "what": what,
        "seeds": arguments.seeds,
        "train": base.model_dump(mode="json"),
        "variants": chosen,
    }
    if filters:
        about["filters"] = [{kind: one.model_dump(mode="json") for kind, one in found.items()} for found in filters]
    _report(rows, data.untrained(sorted(used)), about, _described(filters), arguments)
    return EXIT_OK


def _data(arguments: argparse.Namespace) -> ExperimentData:
    manifest = arguments.manifest
    if arguments.data:
        keys = {"validation_films": arguments.validation_films, "split_seed": arguments.split_seed}
        given = {key: value for key, value in keys.items() if value is not None}
        splits = validate(ReproduceConfig, given, "the command line: reproduce")
        films = list_layout(arguments.data)
        selection, _ = draw_partitions(films, splits.validation_films, splits.split_seed)
        manifest = write_manifest(films, selection, arguments.output)
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


def _train(data: ExperimentData, config: TrainConfig, seed: int, output: str) -> Trained:
    seeded = config.model_copy(update={"seed": config.seed + SEED_STRIDE * seed})
    return train_selecting(storage.join(output, "runs"), f"seed{seed}", data, seeded, predict_test=True)


def _labels(data: ExperimentData, config: TrainConfig) -> _Labels:
    labels = config.labels
    return _Labels(data.labelled(VALIDATION, labels), data.labelled(TEST, labels), data.constant(labels))


def _rows(
    what: str,
    name: str,
    runs: Sequence[Trained],
    filters: Sequence[Mapping[str, SmoothingConfig]],
    data: ExperimentData,
    labels: _Labels,
    config: TrainConfig,
) -> list[dict[str, Any]]:
    """The rows of one variant, per film, mean of films and pooled, of every seed."""
    test, rows = data.films(TEST), []
    for seed, run in enumerate(runs):
        found: dict[str, Mapping[str, np.ndarray]] = {name: run.curves(test)}
        if filters:
            raw = run.curves(test, RAW)
            found = {kind: smooth_curves(raw, one, config.labels) for kind, one in filters[seed].items()}
        rows += _tabulated(seed, found, labels)
    if what == "ensemble":
        curves = [run.curves(test) for run in runs]
        mean = {film.film_id: np.mean([one[film.film_id] for one in curves], axis=0) for film in test}
        best = max(range(len(runs)), key=lambda seed: _validation_score(runs[seed], data, labels, config))
        # Of all seeds together there is one mean and one best run: no spread.
        rows += _tabulated(None, {MEAN: mean, BEST: curves[best]}, labels)
    return rows


def _tabulated(
    seed: int | None, curves: Mapping[str, Mapping[str, np.ndarray]], labels: _Labels
) -> list[dict[str, Any]]:
    return [{"seed": seed, **row} for row in evaluate_curves(curves, labels.test, labels.constant).to_dict()]


def _validation_score(run: Trained, data: ExperimentData, labels: _Labels, config: TrainConfig) -> float:
    curves = {SMOOTHED: run.curves(data.films(VALIDATION))}
    return selection_score(evaluate_curves(curves, labels.validation, labels.constant), config.selection, SMOOTHED)


def _described(filters: Sequence[Mapping[str, SmoothingConfig]]) -> list[str]:
    """A line a seed: which filters its validation films chose."""
    lines = []
    for seed, found in enumerate(filters):
        parts = [
            f"{kind}: order {one.order}, cutoff {one.cutoff_hz:g} Hz"
            if one.method == "butterworth"
            else f"{kind}: {one.weights}, width {one.width_s} s"
            for kind, one in found.items()
            if one.method != "none"
        ]
        lines.append(f"chosen on validation, seed {seed}: {'; '.join(parts)}")
    return lines


def _report(
    rows: Sequence[Mapping[str, Any]],
    untrained: Sequence[str],
    about: Mapping[str, Any],
    notes: Sequence[str],
    arguments: argparse.Namespace,
) -> None:
    output, what = arguments.output, arguments.what
    summaries = write_table(output, what, rows, None, **about, untrained=list(untrained))
    lines = [render(summaries), *notes]
    if untrained:
        lines.append(untrained_note(untrained))
    text = "\n".join(lines)
    storage.write_text(storage.join(output, f"{what}.txt"), text + "\n")
    title = f"{COMPARISONS[what]}\ntest films, {arguments.seeds} seed{'s' if arguments.seeds > 1 else ''}"
    write_experiment_plot(storage.join(output, f"{what}.png"), title, summaries)
    print(f"\n{text}\n\nresults: {storage.join(output, what + '.json')}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cineaffect compare",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--what", required=True, choices=list(COMPARISONS), help="which comparison")
    films = parser.add_mutually_exclusive_group(required=True)
    films.add_argument("--manifest", help="CSV with film_id, path, split (train, validation, test) and labels")
    films.add_argument("--data", help="directory in the layout of MediaEval 2018")
    parser.add_argument("--records", required=True, help="directory of feature records")
    parser.add_argument("--transform", help="directory that prepare made from the split train; without, it is made")
    parser.add_argument("--output", required=True, help="local directory; started again, it goes on there")
    parser.add_argument("--seeds", type=seed_count, default=3, help="trainings of each variant (default: 3)")
    parser.add_argument("--baseline", default="", help="of features: its modalities, comma separated")
    parser.add_argument("--validation-films", type=int, help="with --data: how many of the development films (13)")
    parser.add_argument("--split-seed", type=int, help="with --data: draws them (2018, ours)")
    parser.add_argument("--config", help="YAML file; its sections train and prepare hold")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE", help="train keys")
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


if __name__ == "__main__":
    sys.exit(main())
