"""`cineaffect reproduce`: the paper's five runs on the MediaEval 2018 layout, and its Table 1 next to ours.

development films ──▶ validation films | the rest ──▶ prepare ──▶ train: epoch and filter of each run
                  └─▶ all ──▶ prepare ──▶ train for that many epochs ──▶ export, test curves, run files, table

Steps are cached by their dependencies (`trainer.experiments.cached_steps`): a killed run resumes when it is started
again.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.command_line import add_config_file, add_set, at_least_one, guarded, make_parser
from beam_pipelines.foundation.errors import EXIT_OK
from beam_pipelines.foundation.run_summary import Places, as_steps_of_a_run, print_summary

if TYPE_CHECKING:
    import numpy as np

    from trainer.experiments.data import ExperimentData
    from trainer.experiments.paper_runs import PaperRun

EXAMPLES = """
examples:
  the licensed data, unpacked anywhere below DIR; features are extracted first:
    cineaffect reproduce --data DIR --output reproduction --seeds 3
  data that the project generates (its figures say nothing about the paper's):
    cineaffect mediaeval-demo --output data --records --no-films --no-features
    cineaffect reproduce --data data --records data/records --output reproduction --validation-films 4

what it writes to --output:
  report/index.html            a page: ours per film and pooled, over seeds, beside the paper's Table 1 and the constant
  table1.txt/.json/.csv        the same for a terminal, programs and spreadsheets
  seed<n>/<run>.txt            run files in the task's format; `cineaffect evaluate --run-file` reads them
  seed<n>/<run>-final-<digest>/exports/   the model of the run, for `cineaffect score`
A second run resumes there. The name of a step's directory depends on its settings and data: with others it is made
again beside the old one.

What the paper leaves open is a key in the runs' files, section train or reproduce, marked as ours.
exit codes: 0 all done, 1 an outage (run it again), 2 configuration error or a failed job.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cineaffect reproduce` and returns the exit code."""
    with as_steps_of_a_run():
        return guarded(_main, argv)


def _main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)

    from beam_pipelines.films.mediaeval2018 import list_layout
    from beam_pipelines.foundation.tensorflow_start import start_tensorflow
    from beam_pipelines.report.runs.run_pages import write_run_page
    from trainer.evaluation.bands import crossed_bands
    from trainer.evaluation.curve_files import RIDGE
    from trainer.evaluation.evaluate import evaluate_curves
    from trainer.evaluation.rater_rows import rater_rows
    from trainer.evaluation.run_files import write_run_file
    from trainer.experiments.cached_steps import assert_experiment_directory
    from trainer.experiments.data import TEST
    from trainer.experiments.paper_runs import load_runs, paper_directory
    from trainer.experiments.reproduction import curves_of_runs, prepare_datasets, ridge_curves, whole_run

    assert_experiment_directory(arguments.output)
    given = {"validation_films": arguments.validation_films, "split_seed": arguments.split_seed}
    splits = {key: value for key, value in given.items() if value is not None}
    runs = load_runs(arguments.runs or paper_directory(), arguments.overrides, splits)
    films = list_layout(arguments.data)
    start_tensorflow()
    datasets = prepare_datasets(films, runs, arguments.data, arguments.records, arguments.output, arguments.config)
    labels = runs[0].train.labels
    of_all_films = whole_run(datasets, runs)
    whole = datasets[of_all_films.name][1]
    labelled, constant = whole.labelled(TEST, labels), whole.constant(labels)
    rows: list[dict[str, Any]] = []
    bands: list[dict[str, Any]] = []

    def add_rows(seed: int | None, curves: Mapping[str, Mapping[str, np.ndarray]], directory: str) -> None:
        for name, run in curves.items():
            write_run_file(storage.join(directory, f"{name}.txt"), run, labels.lag_s)
        if labelled:
            known = {name: {film.film_id: run[film.film_id] for film in labelled} for name, run in curves.items()}
            rows.extend({"seed": seed, **row} for row in evaluate_curves(known, labelled, constant).to_dict())
            for name, run in known.items():
                found = crossed_bands(
                    {f.film_id: (run[f.film_id][f.known], f.labels[f.known]) for f in labelled if f.known.any()},
                    labels.targets,
                    (labels.minimum, labels.maximum),
                )
                bands.append({"seed": seed, "predictor": name, "bands": found})

    rows.extend({"seed": None, **row.as_dict()} for row in rater_rows(labelled, labels.targets))
    if of_all_films.train.ridge is not None:
        ridge = ridge_curves(of_all_films, datasets, arguments.output, write_run_page)
        add_rows(None, {RIDGE: ridge}, arguments.output)  # no seed changes it
    for seed in range(arguments.seeds):
        output = storage.join(arguments.output, f"seed{seed}")
        add_rows(seed, curves_of_runs(runs, seed, datasets, output, write_run_page), output)
    if not rows:
        print(f"{arguments.data}: no test film has labels; the run files are in {arguments.output}/seed*/")
        return EXIT_OK
    _report(rows, bands, len(labelled), runs, whole, arguments)
    return EXIT_OK


def _report(
    rows: Sequence[Mapping[str, Any]],
    bands: Sequence[Mapping[str, Any]],
    films: int,
    runs: Sequence[PaperRun],
    data: ExperimentData,
    arguments: argparse.Namespace,
) -> None:
    from beam_pipelines.report.runs.run_pages import write_run_page
    from trainer.evaluation.curve_files import RIDGE
    from trainer.evaluation.run_origin import untrained_note
    from trainer.experiments.paper_runs import TABLE_1
    from trainer.experiments.table import render, write_table

    modalities = {modality for run in runs if not run.reproduce.members for modality in run.train.model.modalities}
    untrained = data.untrained(sorted(modalities))
    settings = {
        run.name: {"reproduce": run.reproduce.model_dump(mode="json"), "train": run.train.model_dump(mode="json")}
        for run in runs
    }
    published = {run.name: TABLE_1[run.name] for run in runs if run.name in TABLE_1}
    about = {"runs": settings, "seeds": arguments.seeds, "untrained": list(untrained), "bands": list(bands)}
    summaries = write_table(arguments.output, "table1", rows, published, **about)
    text = "\n".join([render(summaries, published), "", *_about_bands(bands, films)])
    if untrained:
        text += f"\n{untrained_note(untrained)}"
    storage.write_text(storage.join(arguments.output, "table1.txt"), text + "\n")
    print(f"\n{text}\n")
    print_summary(
        [
            ("page", write_run_page(arguments.output)),
            ("table", storage.join(arguments.output, "table1.txt")),
            *places_of_runs(arguments.output, ridge=any(row["predictor"] == RIDGE for row in rows)),
        ]
    )


def _about_bands(bands: Sequence[Mapping[str, Any]], films: int) -> list[str]:
    """How well bands of the first seed hold, whose test films calibrate each other, for no film is left to do it."""
    from beam_pipelines.contracts.curves.bands import LEVELS, films_needed, lines

    found = [f"{one['predictor']}: {line}" for one in bands if not one["seed"] for line in lines(one["bands"])]
    lacking = [level for level in LEVELS if films - 1 < films_needed(level)]
    found += [f"no {level} % bands: they need {films_needed(level)} other films" for level in lacking]
    return [f"bands around the curves of {films} test films, each calibrated on the others:", *found]


def places_of_runs(output: str, *, ridge: bool = True) -> Places:
    """The places of the run files and models, as patterns; runs have the names of their configuration files."""
    from beam_pipelines.contracts.models.exported_cards import EXPORTS

    return [
        ("run files", storage.join(output, "seed*", "*.txt")),
        ("models", storage.join(output, "seed*", "*-final-*", EXPORTS)),
        *([("ridge regression", storage.join(output, "ridge-final-*", EXPORTS))] if ridge else []),
    ]


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("reproduce", __doc__, EXAMPLES)
    parser.add_argument("--data", required=True, help="directory in the layout of MediaEval 2018")
    parser.add_argument("--output", required=True, help="local directory; a second run resumes there")
    parser.add_argument("--records", default="", help="existing feature records (default: films are extracted)")
    parser.add_argument("--runs", help="directory of run files (default: the paper's run1.yaml … run5.yaml)")
    add_config_file(parser, help="YAML file with the sections extract and prepare, for those steps")
    parser.add_argument("--seeds", type=at_least_one, default=1, help="how often each run is trained (default: 1)")
    parser.add_argument(
        "--validation-films", type=int, help="replaces reproduce.validation_films of all runs (13, as in the paper)"
    )
    parser.add_argument("--split-seed", type=int, help="replaces reproduce.split_seed of all runs (ours)")
    add_set(parser, "--set", "train of every run that trains", "epochs=20")
    return parser
