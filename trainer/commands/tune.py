"""`cineaffect tune`: Optuna over the paper's search space, validation by film, resumable, with several workers."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.configuration import load_section, validate
from beam_pipelines.foundation.errors import EXIT_CONFIGURATION, EXIT_OK, CineAffectError, ConfigurationError
from beam_pipelines.foundation.output_directory import assert_output_directory
from beam_pipelines.foundation.run_summary import Places, next_steps_of_job, print_summary
from beam_pipelines.report.runs.run_pages import write_run_page
from trainer.data.dataset import TrainingFilm, data_digest
from trainer.foundation.config import TrainConfig
from trainer.tuning.config import TuneConfig, suggest
from trainer.tuning.folds import Fold, load_fold, plan_folds

if TYPE_CHECKING:
    import optuna

EXAMPLES = """
examples:
  validation by the manifest's splits, two workers on one study:
    cineaffect tune --manifest films.csv --records features --transform transform --output study --workers 2
  a smaller space, five folds by film (their statistics are fitted anew in --output):
    cineaffect tune --manifest films.csv --records features --output study --set folds=5 --set space.encoders='[gru]'
  what was best, trained as it is:
    cineaffect train --config study/best.yaml --manifest films.csv --records features --transform transform --output run

The section train of --config gives what is not searched (epochs, batch_size, labels, modalities, …), its section
prepare how the statistics of folds are fitted.
what it leaves in --output: report/index.html to look at, trials.csv, best.yaml, study.json, study.png, study.db and a
folder for each trial.
Killed, it goes on when it is started again: a trial under way is marked and repeated from its last checkpoint.
exit codes: 0 all done, 1 an outage (run it again), 2 configuration error, also where a worker has failed.
"""

Splits = tuple[list[TrainingFilm], list[TrainingFilm]]


@dataclass(frozen=True, eq=False)
class Search:
    """What the trials of one process share: data are loaded once.

    Attributes:
        output: the study's directory.
        base: the `train` section to which a trial's draws are added.
        config: the `tune` section.
        splits: training and validation films, one pair a fold.
    """

    output: str
    base: TrainConfig
    config: TuneConfig
    splits: tuple[Splits, ...]

    def trial_config(self, drawn: Mapping[str, Any]) -> TrainConfig:
        """The `train` section of a trial."""
        base = self.base.model_dump(mode="json")
        values = {**base, **drawn, "model": {**base["model"], **drawn["model"]}}
        return validate(TrainConfig, values, "a trial of the study")

    def run_trial(self, study: optuna.Study, trial: optuna.Trial) -> float:
        """Trains on every fold; the mean of the folds' best validation figures.

        Raises:
            optuna.TrialPruned: where the trial falls behind.
            DivergenceError: where training leaves the finite numbers.
        """
        import keras

        from trainer.training.train import train

        config = self.trial_config(suggest(trial, self.config.space, self.base.model.modalities))
        folder = os.path.join(self.output, "trials", trial.user_attrs["directory"])
        values = []
        for number, (films_train, films_validation) in enumerate(self.splits):
            keras.backend.clear_session()
            follow = self._follow(trial, number * config.epochs)
            with open(os.devnull, "w") as nowhere:
                from trainer.training.progress import TrainingProgress

                result = train(
                    films_train,
                    films_validation,
                    config,
                    os.path.join(folder, f"fold{number}"),
                    progress=TrainingProgress(nowhere),
                    on_epoch=follow,
                )
            chosen = next(entry for entry in result.history if entry["epoch"] == result.best_epoch)
            values.append(_figure(chosen["score"]))
        return sum(values) / len(values)

    def _follow(self, trial: optuna.Trial, first_step: int) -> Callable[[Mapping[str, Any]], None]:
        import optuna

        def epoch_done(entry: Mapping[str, Any]) -> None:
            trial.report(_figure(entry["score"]), first_step + entry["epoch"])
            if trial.should_prune():
                raise optuna.TrialPruned

        return epoch_done


def _figure(score: float | None) -> float:
    # The correlation of a constant prediction is undefined, and no better than the worst there is.
    return -1.0 if score is None else score


def direction_of(selection: str) -> Literal["minimize", "maximize"]:
    """Whether the selected figure is an error (`minimize`) or a correlation (`maximize`)."""
    return "minimize" if selection == "mse" else "maximize"


def work(search: Search, study: optuna.Study, told: Callable[[str], None]) -> None:
    """Runs trials until the study has as many as are wanted; other processes may do the same beside it."""
    import optuna

    from trainer.training.train import DivergenceError
    from trainer.tuning.study import FOLDER, WHY, make_pruner, next_trial

    study.pruner = make_pruner(search.config)
    while (trial := next_trial(study, search.config, search.output)) is not None:
        try:
            value = search.run_trial(study, trial)
        except optuna.TrialPruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            told(f"trial {trial.number}: pruned")
        except DivergenceError as error:
            trial.set_user_attr(WHY, str(error))
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            told(f"trial {trial.number}: {error}")
        else:
            study.tell(trial, value)
            told(f"trial {trial.number}: validation {search.base.selection} {value:.4f}, best {study.best_value:.4f}")
        folder = os.path.join(search.output, FOLDER, trial.user_attrs["directory"])
        # A trial that has ended needs its checkpoints no more, and they are most of its size.
        for number in range(len(search.splits)):
            shutil.rmtree(os.path.join(folder, f"fold{number}", "checkpoints"), ignore_errors=True)


def main(argv: Sequence[str] | None = None) -> int:
    """`cineaffect tune`: searches, writes the results; returns the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        return _main(_parser().parse_args(given), given)
    except CineAffectError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _main(arguments: argparse.Namespace, argv: list[str]) -> int:
    if storage.is_remote(arguments.output):
        raise ConfigurationError(f"--output {arguments.output}: a study lies in a local directory (SQLite)")
    base = load_section("train", TrainConfig, arguments.config, arguments.train_overrides)
    config = load_section("tune", TuneConfig, arguments.config, arguments.overrides)
    if arguments.workers < 1:
        raise ConfigurationError("--workers: at least 1")
    assert_output_directory(arguments.output)

    import optuna

    from trainer.tuning.study import claim_study, only_study, open_study, retry_killed, write_results
    from trainer.tuning.study_plot import write_plot

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if arguments.worker:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        search = _load(arguments, base, config, plan_folds(arguments, config, make=False))
        work(search, open_study(arguments.output, direction_of(base.selection)), _tell)
        return EXIT_OK
    with only_study(arguments.output) as lock:
        search = _load(arguments, base, config, plan_folds(arguments, config, make=True))
        study = open_study(arguments.output, direction_of(base.selection))
        claim_study(study, _identity(search), arguments.output)
        again = retry_killed(study)
        if again:
            _tell(f"{again} trials of a killed run are repeated")
        # Each worker reads from a pipe that closes when this process ends, however it ends: see `_end_with_parent`.
        others = [
            subprocess.Popen(
                [sys.executable, "-m", "trainer.commands.tune", *argv, "--worker"],
                pass_fds=(lock,),
                stdin=subprocess.PIPE,
            )
            for _ in range(arguments.workers - 1)
        ]
        work(search, study, _tell)
        failed = sum(process.wait() != 0 for process in others)
        done = [t for t in study.get_trials(deepcopy=False) if t.state == optuna.trial.TrialState.COMPLETE]
        best = None
        if done:
            fixed = optuna.trial.FixedTrial(study.best_params)
            best = search.trial_config(suggest(fixed, config.space, base.model.modalities))
        write_results(study, arguments.output, base.selection, best)
        write_plot(study, arguments.output, base.selection)
    return _report(arguments.output, study, base.selection, failed)


def _end_with_parent() -> None:
    # Not by way of sys.stdin, whose lock a reading thread would hold when a worker that is done shuts down.
    os.read(0, 1)
    # The study's lock, which a worker holds too, must be free when somebody starts a killed study again.
    os._exit(1)


def _report(output: str, study: optuna.Study, selection: str, failed_workers: int) -> int:
    best = os.path.join(output, "best.yaml")
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


def _load(arguments: argparse.Namespace, base: TrainConfig, config: TuneConfig, folds: Sequence[Fold]) -> Search:
    splits = tuple(load_fold(fold, arguments.records, base) for fold in folds)
    return Search(arguments.output, base, config, splits)


def _identity(search: Search) -> dict[str, Any]:
    # More trials go on with the same study; so does another pruner, which changes no trial's figure.
    return {
        "train": search.base.model_dump(mode="json"),
        "tune": search.config.model_dump(mode="json", exclude={"trials", "pruner", "warmup_epochs"}),
        "data": [[data_digest(train), data_digest(validation)] for train, validation in search.splits],
    }


def _tell(line: str) -> None:
    from rich.console import Console

    Console(file=sys.stderr, highlight=False, soft_wrap=True, emoji=False).print(line, markup=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cineaffect tune",
        description="Searches the paper's space for the best model by its validation films.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--manifest", required=True, help="CSV with the columns film_id, path, split and labels")
    parser.add_argument("--records", required=True, help="directory of feature records, from extract")
    parser.add_argument("--transform", help="directory of the transform graph; needed unless tune.folds is set")
    parser.add_argument("--output", required=True, help="local directory of the study; started again, it goes on there")
    parser.add_argument("--config", help="YAML file with the sections tune and train; without one the defaults hold")
    for option, section, place in (("--set", "tune", "overrides"), ("--set-train", "train", "train_overrides")):
        what = f"overrides one key of the section {section}; may be repeated"
        parser.add_argument(option, action="append", default=[], metavar="KEY=VALUE", dest=place, help=what)
    parser.add_argument("--workers", type=int, default=1, help="processes on one study (default: 1)")
    parser.add_argument("--train-splits", default="train", help="films to learn from (default: train)")
    parser.add_argument("--validation-splits", default="validation", help="films that judge (default: validation)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
