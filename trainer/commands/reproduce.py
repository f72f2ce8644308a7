"""`cineaffect reproduce`: the paper's five runs on the MediaEval 2018 layout, and its Table 1 beside ours.

development films ──▶ validation films | the rest ──▶ prepare ──▶ train: epoch and filter of each run
                  └─▶ all ──▶ prepare ──▶ train for that many epochs ──▶ export, test curves, run files, table

Each step is made once for what it depends on (`trainer.experiments.cached_steps`): killed, it goes on when
started again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from beam_pipelines.films.mediaeval2018 import LayoutFilm, list_layout
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import EXIT_OK, CineAffectError, ConfigurationError
from beam_pipelines.foundation.run_summary import Places, as_steps_of_a_run, print_summary
from beam_pipelines.report.runs.run_pages import write_run_page
from trainer.evaluation.evaluate import evaluate_curves
from trainer.evaluation.run_files import write_run_file
from trainer.evaluation.run_origin import untrained_note
from trainer.experiments.cached_steps import assert_experiment_directory, run_job
from trainer.experiments.data import TEST, ExperimentData, draw_partitions, prepare_transform, write_manifest
from trainer.experiments.paper_runs import TABLE_1, PaperRun, load_runs, paper_directory
from trainer.experiments.plot import write_experiment_plot
from trainer.experiments.table import render, write_table
from trainer.experiments.training import read_curves, train_final, train_selecting

SEED_STRIDE = 1000
"""Between the seeds of one run, so that they meet no other run's."""
EXAMPLES = """
examples:
  the licensed data, unpacked anywhere below DIR; features are extracted first:
    cineaffect reproduce --data DIR --output reproduction --seeds 3
  data that the project makes itself (its figures say nothing of the paper's):
    cineaffect mediaeval-demo --output data --records --no-films --no-features
    cineaffect reproduce --data data --records data/records --output reproduction --validation-films 4

what it leaves in --output:
  report/index.html            a page: ours per film and pooled, over seeds, beside the paper's Table 1 and the constant
  table1.txt/.json/.csv/.png   the same for a terminal, programs, spreadsheets, and as a picture
  seed<n>/<run>.txt            run files in the task's format; `cineaffect evaluate --run-file` reads them
  seed<n>/<run>-final-<digest>/exports/   the model of the run, for `cineaffect score`
Started again it goes on there. What a step depends on is in the name of its directory: with other settings or data it
is made anew beside the old one.

What the paper leaves open is a key of the runs' files, section train or reproduce, and called ours there.
exit codes: 0 all done, 1 an outage (run it again), 2 configuration error or a failed job.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """`cineaffect reproduce`: returns the exit code."""
    try:
        with as_steps_of_a_run():
            return _main(_parser().parse_args(argv))
    except CineAffectError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _main(arguments: argparse.Namespace) -> int:
    assert_experiment_directory(arguments.output)
    given = {"validation_films": arguments.validation_films, "split_seed": arguments.split_seed}
    splits = {key: value for key, value in given.items() if value is not None}
    runs = load_runs(arguments.runs or paper_directory(), arguments.overrides, splits)
    films = list_layout(arguments.data)
    datasets = _prepare(films, runs, arguments)
    labels = runs[0].train.labels
    whole = _whole(datasets, runs)
    labelled, constant = whole.labelled(TEST, labels), whole.constant(labels)
    rows: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        output = storage.join(arguments.output, f"seed{seed}")
        curves = _curves_of_runs(runs, seed, datasets, output)
        for name, run in curves.items():
            write_run_file(storage.join(output, f"{name}.txt"), run)
        if labelled:
            known = {name: {film.film_id: run[film.film_id] for film in labelled} for name, run in curves.items()}
            rows += [{"seed": seed, **row} for row in evaluate_curves(known, labelled, constant).to_dict()]
    if not rows:
        print(f"{arguments.data}: no test film has labels; the run files are in {arguments.output}/seed*/")
        return EXIT_OK
    _report(rows, runs, whole, arguments)
    return EXIT_OK


Datasets = Mapping[str, tuple[ExperimentData, ExperimentData]]
"""Run -> data of its selection and of its final training."""


def _prepare(films: Sequence[LayoutFilm], runs: Sequence[PaperRun], arguments: argparse.Namespace) -> Datasets:
    """Manifests, features and transforms of every run that trains; runs with the same films share them."""
    output, config = arguments.output, arguments.config
    manifests = {}
    for run in runs:
        if not run.reproduce.members:
            keys = run.reproduce
            partitions = draw_partitions(films, keys.validation_films, keys.split_seed, keys.film_share)
            manifests[run.name] = tuple(write_manifest(films, partition, output) for partition in partitions)
    records = arguments.records
    if not records:
        lacking = [film.film_id for film in films if not film.path]
        if lacking:
            raise ConfigurationError(
                f"{arguments.data}: no MEDIAEVAL18_*.mp4 of {', '.join(lacking)} to extract features from; add them, "
                f"or make records of the organisers' features (`cineaffect import-features --mediaeval2018 "
                f"{arguments.data} --output RECORDS`) or others, and name them: --records RECORDS"
            )
        records = storage.join(output, "features")
        further = ["--config", config] if config else []
        run_job("extract", "--films", next(iter(manifests.values()))[1], "--output", records, *further)

    def dataset(manifest: str) -> ExperimentData:
        return ExperimentData(manifest, records, prepare_transform(manifest, records, output, config))

    return {name: (dataset(selection), dataset(final)) for name, (selection, final) in manifests.items()}


def _whole(datasets: Datasets, runs: Sequence[PaperRun]) -> ExperimentData:
    """The final data of a run that learns from all films, if there is one: its training labels give the constant."""
    shares = {run.name: run.reproduce.film_share for run in runs if run.name in datasets}
    return datasets[max(shares, key=lambda name: shares[name])][1]


def _curves_of_runs(
    runs: Sequence[PaperRun], seed: int, datasets: Datasets, output: str
) -> dict[str, dict[str, np.ndarray]]:
    """Run -> film id -> smoothed curve of the test films, float64 [T, 2]; those with members are means."""
    curves: dict[str, dict[str, np.ndarray]] = {}
    for run in runs:
        if run.reproduce.members:
            members = [curves[name] for name in run.reproduce.members]
            curves[run.name] = {film_id: np.mean([one[film_id] for one in members], axis=0) for film_id in members[0]}
            continue
        selection, final = datasets[run.name]
        config = run.train.model_copy(update={"seed": run.train.seed + SEED_STRIDE * seed})
        selected = train_selecting(output, f"{run.name}-selection", selection, config, predict_test=False)
        rank = min(run.reproduce.epoch_rank, len(selected.epochs_by_score))
        chosen = {"epochs": selected.epochs_by_score[rank - 1], "smoothing": selected.smoothing}
        directory = train_final(output, f"{run.name}-final", final, config.model_copy(update=chosen), write_run_page)
        curves[run.name] = read_curves(directory, final.films(TEST))
    return curves


def _report(
    rows: Sequence[Mapping[str, Any]], runs: Sequence[PaperRun], data: ExperimentData, arguments: argparse.Namespace
) -> None:
    modalities = {modality for run in runs if not run.reproduce.members for modality in run.train.model.modalities}
    untrained = data.untrained(sorted(modalities))
    settings = {
        run.name: {"reproduce": run.reproduce.model_dump(mode="json"), "train": run.train.model_dump(mode="json")}
        for run in runs
    }
    published = {run.name: TABLE_1[run.name] for run in runs if run.name in TABLE_1}
    about = {"runs": settings, "seeds": arguments.seeds, "untrained": list(untrained)}
    summaries = write_table(arguments.output, "table1", rows, published, **about)
    text = render(summaries, published)
    if untrained:
        text += f"\n{untrained_note(untrained)}"
    storage.write_text(storage.join(arguments.output, "table1.txt"), text + "\n")
    title = f"Test films, {arguments.seeds} seed{'s' if arguments.seeds > 1 else ''}"
    write_experiment_plot(storage.join(arguments.output, "table1.png"), title, summaries, published)
    print(f"\n{text}\n")
    print_summary(
        [
            ("page", write_run_page(arguments.output)),
            ("table", storage.join(arguments.output, "table1.txt")),
            *places_of_runs(arguments.output),
        ]
    )


def places_of_runs(output: str) -> Places:
    """Where the run files and models lie, as patterns; runs are called as their configurations are."""
    return [
        ("run files", storage.join(output, "seed*", "*.txt")),
        ("models", storage.join(output, "seed*", "*-final-*", "exports")),
    ]


def seed_count(text: str) -> int:
    """The value of `--seeds`."""
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return count


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cineaffect reproduce",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--data", required=True, help="directory in the layout of MediaEval 2018")
    parser.add_argument("--output", required=True, help="local directory; started again, it goes on there")
    parser.add_argument("--records", default="", help="feature records that lie ready; without, films are extracted")
    parser.add_argument("--runs", help="directory of run files (default: the paper's run1.yaml … run5.yaml)")
    parser.add_argument("--config", help="YAML file whose sections extract and prepare hold for those steps")
    parser.add_argument("--seeds", type=seed_count, default=1, help="how often each run is trained (default: 1)")
    parser.add_argument(
        "--validation-films", type=int, help="replaces reproduce.validation_films of all runs (13, as in the paper)"
    )
    parser.add_argument("--split-seed", type=int, help="replaces reproduce.split_seed of all runs (ours)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="KEY=VALUE",
        help="overrides one key of the section train of every run that trains; may be repeated",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
