"""The trainer on real labels: portrayed emotion in *Forrest Gump*, rated second by second (studyforrest).

    python -m benchmarks.studyforrest --workers 2         # all candidates on all eight folds, and the ridge rows
    python -m benchmarks.studyforrest --seeds 1           # with the first seed only
    python -m benchmarks.studyforrest --choose            # what is chosen on the validation runs, and no figure
    python -m benchmarks.studyforrest --quick             # one fold, one seed, few epochs: does it run?

Eight folds: one run of the film is left out, the run before it chooses epoch and cutoff, the other six are trained on,
less 30 seconds on either side of both. Features go in through this project's record writer, labels through the
trainer's reader; then GRU, mixture of experts and Butterworth filter. `benchmarks/studyforrest.yaml` lists the
candidates, each of which is trained on both targets with every seed. A run that was killed goes on where it was.

The answer, fixed before any figure of its seeds was computed: there are eight rules to combine the candidates (equal
weights, the best one, greedy selection, greedy selection in bags; each plain and stretched to its members' width). Each
is judged on blocks of a validation run that it doesn't know, both targets together (`studyforrest_nested`). For each
test run the rule is taken that does best on average over the seven validation runs that are not this test run; it takes
weights and cutoff from the fold's own validation run. For comparison the table has each candidate, each rule, the rule
that does best on the fold's own validation run, and the one that does best over all eight; that one looks at every
run's labels, for a fold's test run is another fold's validation run. `--choose` shows the choices and computes no
figure on a test run.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import Field

from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation.command_line import at_least_one
from beam_pipelines.foundation.configuration import Section, validate
from beam_pipelines.foundation.errors import EXIT_CONFIGURATION, EXIT_OK, ConfigurationError
from benchmarks.studyforrest_data import (
    RUNS,
    Fold,
    Recording,
    TrackConfig,
    load_fold,
    read_recording,
    records_of_fold,
    write_films,
)
from benchmarks.studyforrest_ensemble import RULES, only
from benchmarks.studyforrest_nested import Answer, Curves, FoldCurves, Trained, answer, best_rule, nested_scores
from benchmarks.studyforrest_report import Row, rows_of, to_csv, to_text, write_plot
from benchmarks.studyforrest_ridge import FEATURE_SETS, chosen_ridge, constant_mean, given_ridge
from trainer.experiments.cached_steps import step
from trainer.foundation.config import TrainConfig

REPOSITORY = Path(__file__).resolve().parents[1]
CONFIGURATION = REPOSITORY / "benchmarks" / "studyforrest.yaml"
DATA = REPOSITORY.parent / "shared" / "data" / "studyforrest"
QUICK_EPOCHS = 2
OURS = "ours: rule chosen on the seven other runs' validation"
BY_FOLD = "rule chosen on validation, fold by fold"
SHARED = "one rule for all folds, chosen on validation"


class CandidateConfig(Section):
    """One of the models, trained on both targets.

    Attributes:
        tracks: modality -> its context; the modalities are those of the model.
        train: the trainer's section; `seed` and `model.modalities` are set from elsewhere in the file.
    """

    tracks: dict[str, TrackConfig]
    train: TrainConfig


class StudyForrestConfig(Section):
    """The configuration file.

    Attributes:
        seeds: each trains every candidate on every fold.
        candidates: name -> candidate. The first one's filter and cutoffs are those of all answers.
    """

    seeds: tuple[int, ...] = Field(min_length=1)
    candidates: dict[str, CandidateConfig] = Field(min_length=1)

    @property
    def settings(self) -> TrainConfig:
        """Filter, cutoffs and label range of all answers."""
        return next(iter(self.candidates.values())).train


def read_configuration(path: str | Path) -> StudyForrestConfig:
    """Reads the configuration; the modalities of each model are its tracks.

    Raises:
        ConfigurationError: for a file that is absent or has a wrong key.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: not readable: {error.strerror}") from error
    config = validate(StudyForrestConfig, values, str(path))
    candidates = {}
    for name, candidate in config.candidates.items():
        model = candidate.train.model.model_copy(update={"modalities": tuple(candidate.tracks)})
        candidates[name] = _with_train(candidate, {"model": model})
    return config.model_copy(update={"candidates": candidates})


def directory_of(output: str, name: str) -> str:
    """The directory of a candidate."""
    return os.path.join(output, name.replace(", ", "-"))


def train_candidate(config: StudyForrestConfig, data: str, output: str, name: str, test: int) -> list[str]:
    """Trains one candidate with every seed on one fold, unless that is done; returns the files of curves."""
    recording, candidate, fold = read_recording(data), config.candidates[name], None
    directory = directory_of(output, name)
    files = []
    for seed in config.seeds:
        settings = candidate.train.model_copy(update={"seed": seed})
        tracks = {modality: track.model_dump(mode="json") for modality, track in candidate.tracks.items()}
        dependencies = {"train": settings.model_dump(mode="json"), "tracks": tracks, "data": recording.sha256}
        found = step(os.path.join(directory, f"fold{test}"), f"seed{seed}", {**dependencies, "test": test})
        file = os.path.join(found.directory, "curves.npz")
        if found.result() is None:
            if fold is None:
                records = records_of_fold(directory, Fold(test))
                films = write_films(recording, candidate.tracks, records)
                fold = load_fold(recording, Fold(test), films, candidate.tracks, records, settings.labels)
            started = time.process_time()
            best_epoch, curves = _train(fold, settings, found.directory)
            np.savez(file, validation=curves.validation, test=curves.test)
            found.finish(best_epoch=best_epoch, cpu_s=round(time.process_time() - started, 1))
        files.append(file)
    return files


def _train(fold: Any, settings: TrainConfig, directory: str) -> tuple[int, Curves]:
    import keras

    from trainer.data.windows import stack_films
    from trainer.training.progress import TrainingProgress
    from trainer.training.run import predict_films
    from trainer.training.train import train

    result = train(fold.train, [fold.validation], settings, directory, progress=TrainingProgress(io.StringIO()))
    asked = predict_films(result.model, stack_films([fold.test]), settings.labels)[fold.test.film_id]
    known = result.predictions[fold.validation.film_id]
    keras.utils.clear_session()
    return result.best_epoch, Curves(known.astype(np.float64), asked.astype(np.float64))


def _on_one_thread() -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    # In trainings of ten seconds it takes longer than it saves.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def train_all(config: StudyForrestConfig, data: str, output: str, runs: Sequence[int], workers: int) -> Trained:
    """All candidates on all folds, in processes; one line each on standard error."""
    trained = {}
    # Without max_tasks_per_child, with which the pool of Python 3.11 can come to a standstill.
    spawned = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=spawned, initializer=_on_one_thread)
    with pool:
        tasks = {
            (name, run): pool.submit(train_candidate, config, data, output, name, run)
            for run in runs
            for name in config.candidates
        }
        for (name, run), task in tasks.items():
            for seed, file in zip(config.seeds, task.result(), strict=True):
                with np.load(file) as found:
                    trained[name, run, seed] = Curves(found["validation"], found["test"])
            print(f"run {run}, {name}: trained", file=sys.stderr, flush=True)
    return trained


def table_of(
    config: StudyForrestConfig, recording: Recording, trained: Trained, output: str, runs: Sequence[int]
) -> tuple[list[Row], dict[int, np.ndarray], list[str]]:
    """All rows; test run -> our curves [T, 2]; and what was chosen on each fold's validation run, line by line."""
    rows = rows_of("constant mean", [constant_mean(recording, runs)], recording)
    for name in FEATURE_SETS:
        rows += rows_of(f"ridge, {name}", [given_ridge(recording, name, runs)], recording)
    for name, candidate in config.candidates.items():
        ridge = chosen_ridge(recording, candidate.tracks, directory_of(output, name), runs)
        rows += rows_of(f"ridge, features of {name}", [ridge], recording)
    answers, lines = answers_of(config, recording, trained, runs)
    for predictor, seeds in answers.items():
        rows += rows_of(predictor, [{run: one[run].test for run in runs} for one in seeds], recording)
    return rows, {run: answers[OURS][0][run].test for run in runs}, lines


def answers_of(
    config: StudyForrestConfig, recording: Recording, trained: Trained, runs: Sequence[int]
) -> tuple[dict[str, list[dict[int, Answer]]], list[str]]:
    """Predictor -> for each seed, or once, test run -> its answer; and what was chosen. No test run's label is read."""
    settings, names = config.settings, list(config.candidates)
    folds = {run: FoldCurves.of(trained, recording, names, run, settings) for run in runs}
    scores = {run: nested_scores(fold, settings) for run, fold in folds.items()}
    fixed = {rule.name: rule for rule in (*(only(i, name) for i, name in enumerate(names)), *RULES)}
    answers = {
        name: [{run: answer(rule, fold, settings) for run, fold in folds.items()}] for name, rule in fixed.items()
    }
    shared = best_rule(list(scores.values()))
    answers[SHARED] = answers[shared.name]
    answers[BY_FOLD] = [{run: answers[best_rule([scores[run]]).name][0][run] for run in runs}]
    answers[f"{OURS}, single seeds"] = [
        _answers_of_seed({run: fold.seeds[i] for run, fold in folds.items()}, settings)
        for i in range(len(config.seeds))
    ]
    chosen_rules = {run: best_rule(scores_without(scores, run)).name for run in runs}
    answers[OURS] = [{run: answers[name][0][run] for run, name in chosen_rules.items()}]
    lines = [f"all runs: {shared.name}"]
    for run in runs:
        each = ", ".join(f"{name} {score:.4f}" for name, score in scores[run].items())
        lines.append(f"run {run}: {chosen_rules[run]}; by its own validation run alone {best_rule([scores[run]]).name}")
        lines.append(f"run {run}, nested scores of its validation run: {each}")
        for predictor, seeds in answers.items():
            if len(seeds) == 1:
                chosen = zip(TARGETS, seeds[0][run].chosen, strict=True)
                lines += [f"run {run}, {predictor}, {target}: {text}" for target, text in chosen]
    return answers, lines


def scores_without(scores: Mapping[int, Mapping[str, float]], test: int) -> list[Mapping[str, float]]:
    """The nested scores (test run -> rule -> score) of all folds but the one whose validation run is this test run."""
    return [of_fold for run, of_fold in scores.items() if Fold(run).validation != test]


def _answers_of_seed(folds: Mapping[int, FoldCurves], settings: TrainConfig) -> dict[int, Answer]:
    """Our answer, as if there were this one seed."""
    scores = {run: nested_scores(fold, settings) for run, fold in folds.items()}
    return {run: answer(best_rule(scores_without(scores, run)), fold, settings) for run, fold in folds.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 for a wrong setting or missing data."""
    options = _parser().parse_args(arguments)
    try:
        config = read_configuration(options.config)
        config = config.model_copy(update={"seeds": config.seeds[: 1 if options.quick else options.seeds]})
        if options.quick:
            quick = {name: _with_train(one, {"epochs": QUICK_EPOCHS}) for name, one in config.candidates.items()}
            config = config.model_copy(update={"candidates": quick})
        recording = read_recording(options.data)
        runs = [RUNS[0]] if options.quick else list(RUNS)
        trained = train_all(config, options.data, options.output, runs, options.workers)
        if options.choose:
            print("\n".join(answers_of(config, recording, trained, runs)[1]))
            return EXIT_OK
        rows, curves, chosen = table_of(config, recording, trained, options.output, runs)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIGURATION
    output = Path(options.output)
    (output / "studyforrest.csv").write_text(to_csv(rows), encoding="utf-8")
    (output / "chosen.txt").write_text("\n".join(chosen) + "\n", encoding="utf-8")
    write_plot(output / "studyforrest.png", rows, OURS, curves, recording)
    print(to_text(rows))
    print(f"\n{len(config.seeds)} seeds, {len(runs)} folds, {len(trained)} trainings. Files: {output}")
    return EXIT_OK


def _with_train(candidate: CandidateConfig, update: Mapping[str, Any]) -> CandidateConfig:
    return candidate.model_copy(update={"train": candidate.train.model_copy(update=update)})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studyforrest",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", default=str(DATA), help="folder of forrest_1hz.csv.gz (default: %(default)s)")
    parser.add_argument("--config", default=str(CONFIGURATION), help="configuration (default: %(default)s)")
    parser.add_argument("--output", default="studyforrest-runs", help="records, checkpoints, CSV and plot")
    parser.add_argument("--workers", type=int, default=1, help="trainings at once, one core each")
    parser.add_argument(
        "--seeds", type=at_least_one, default=None, help="how many of the configuration's seeds (default: all)"
    )
    parser.add_argument("--choose", action="store_true", help="print what is chosen on validation runs, and no figure")
    parser.add_argument("--quick", action="store_true", help="one fold, one seed, two epochs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
