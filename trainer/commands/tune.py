"""`cineaffect tune`: Optuna over the paper's search space, validation by film, resumable, with several workers."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from beam_pipelines.foundation.command_line import add_configuration, add_set, guarded, make_parser
from beam_pipelines.foundation.errors import EXIT_CONFIGURATION, EXIT_FAILED, EXIT_OK, ConfigurationError

if TYPE_CHECKING:
    import optuna

    from beam_pipelines.foundation.run_summary import Places
    from trainer.tuning.search import Search

EXAMPLES = """
examples:
  validation by the manifest's splits, two workers on one study:
    cineaffect tune --manifest films.csv --records features --transform transform --output study --workers 2
  a smaller space, five folds by film (their statistics are computed in --output):
    cineaffect tune --manifest films.csv --records features --output study --set folds=5 --set space.encoders='[gru]'
  the best configuration, trained:
    cineaffect train --config study/best.yaml --manifest films.csv --records features --transform transform --output run

The section train of --config has the settings that are not searched (epochs, batch_size, labels, modalities, …), its
section prepare those of the folds' statistics.
what it writes to --output: report/index.html to look at, trials.csv, best.yaml, study.json, study.db and a folder for
each trial.
If it is killed, start it again: it marks the interrupted trial and repeats it from its last checkpoint.
exit codes: 0 all done, 1 an outage (run it again), 2 configuration error, also where a worker has failed.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cineaffect tune`: searches, writes the results and returns the exit code."""
    return guarded(_main, argv)


def _main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)

    from beam_pipelines.foundation import storage
    from beam_pipelines.foundation.configuration import load_section
    from beam_pipelines.foundation.output_directory import assert_output_directory
    from beam_pipelines.foundation.tensorflow_start import start_tensorflow
    from trainer.foundation.config import TrainConfig
    from trainer.tuning.config import TuneConfig, suggest
    from trainer.tuning.folds import load_fold, plan_folds, with_lags
    from trainer.tuning.search import CHOSEN, Search, direction_of, work

    if storage.is_remote(arguments.output):
        raise ConfigurationError(f"--output {arguments.output}: a study lies in a local directory (SQLite)")
    base = load_section("train", TrainConfig, arguments.config, arguments.train_overrides)
    config = load_section("tune", TuneConfig, arguments.config, arguments.overrides)
    if arguments.workers < 1:
        raise ConfigurationError("--workers: at least 1")
    assert_output_directory(arguments.output)
    start_tensorflow()

    import optuna

    from trainer.tuning.study import claim_study, only_study, open_study, retry_killed, write_results

    def load(*, make: bool) -> Search:
        folds = plan_folds(arguments, config, make=make)
        splits = tuple(load_fold(fold, arguments.records, base) for fold in folds)
        return Search(arguments.output, base, config, splits, with_lags(folds, splits, base.labels, config.space.lag_s))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if arguments.worker:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        search = load(make=False)
        work(search, open_study(arguments.output, direction_of(base.selection)), _tell)
        return EXIT_OK
    with only_study(arguments.output):
        search = load(make=True)
        study = open_study(arguments.output, direction_of(base.selection))
        claim_study(study, search.identity(), arguments.output)
        again = retry_killed(study)
        if again:
            _tell(f"{again} trials of a killed run are repeated")
        # Each worker reads from a pipe that closes when this process ends, however it ends: see `_end_with_parent`.
        others = [
            subprocess.Popen([sys.executable, "-m", "trainer.commands.tune", *argv, "--worker"], stdin=subprocess.PIPE)
            for _ in range(arguments.workers - 1)
        ]
        work(search, study, _tell)
        failed = sum(process.wait() != 0 for process in others)
        done = [t for t in study.get_trials(deepcopy=False) if t.state == optuna.trial.TrialState.COMPLETE]
        best = None
        if done:
            fixed = optuna.trial.FixedTrial(study.best_params)
            drawn = suggest(fixed, config.space, base.model.modalities)
            best = search.trial_config(drawn, study.best_trial.user_attrs.get(CHOSEN))
        write_results(study, arguments.output, base.selection, best)
    return _report(arguments.output, study, base.selection, failed)


def _end_with_parent() -> None:
    # Not through sys.stdin: a reading thread would hold its lock when a finished worker shuts down.
    os.read(0, 1)
    # No worker may still run when somebody starts a killed study again.
    os._exit(EXIT_FAILED)


def _report(output: str, study: optuna.Study, selection: str, failed_workers: int) -> int:
    from beam_pipelines.contracts.runs import BEST_CONFIG
    from beam_pipelines.foundation.run_summary import next_steps_of_job, print_summary
    from beam_pipelines.report.runs.run_pages import write_run_page

    best = os.path.join(output, BEST_CONFIG)
    places = [("page", write_run_page(output)), ("all trials", os.path.join(output, "trials.csv"))]
    next_steps: Places = ()
    if os.path.exists(best):
        print(f"best: trial {study.best_trial.number}, validation {selection} {study.best_value:.4f}")
        places.insert(0, ("its configuration", best))
        next_steps = next_steps_of_job("tune", best)
    print_summary(places, next_steps)
    if failed_workers:
        print(f"error: {failed_workers} workers failed; see above", file=sys.stderr)
        return EXIT_CONFIGURATION
    return EXIT_OK


def _tell(line: str) -> None:
    from rich.console import Console

    Console(file=sys.stderr, highlight=False, soft_wrap=True, emoji=False).print(line, markup=False)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("tune", "Searches the paper's space for the best model by its validation films.", EXAMPLES)
    parser.add_argument("--manifest", required=True, help="CSV with the columns film_id, path, split and labels")
    parser.add_argument("--records", required=True, help="directory of feature records, from extract")
    parser.add_argument("--transform", help="directory of the transform graph; needed unless tune.folds is set")
    parser.add_argument("--output", required=True, help="local directory of the study; a second run resumes there")
    file = "YAML file with the sections tune and train (default: all keys have their defaults)"
    add_configuration(parser, "tune", "trials=20", file)
    add_set(parser, "--set-train", "train", "epochs=20", "train_overrides")
    parser.add_argument("--workers", type=int, default=1, help="processes on one study (default: 1)")
    parser.add_argument("--train-splits", default="train", help="films to learn from (default: train)")
    parser.add_argument("--validation-splits", default="validation", help="films that validate (default: validation)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
