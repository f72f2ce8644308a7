"""Does the temporal network add to a linear model under identical treatment? `network_or_ridge.md` is the protocol.

    python -m benchmarks.network_or_ridge --arms a b                   # ridge regression: minutes
    python -m benchmarks.network_or_ridge --arms c d e g --seeds 10    # networks: two core hours, each result is kept
    python -m benchmarks.network_or_ridge --arms sanity
    python -m benchmarks.network_or_ridge --report                     # what is there, without a training

Each fit and each training is a step with a file of curves in --output: a run that was killed goes on where it was, and
--stop-at ends it before the next training. Figures are computed by --report alone.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.foundation.command_line import at_least_one
from beam_pipelines.foundation.configuration import load_section
from beam_pipelines.foundation.errors import EXIT_CONFIGURATION, EXIT_OK, ConfigurationError
from beam_pipelines.normalisation.config import PrepareConfig
from benchmarks.network_or_ridge_report import DRAWS, SANITY, report_of
from benchmarks.studyforrest_data import (
    COLUMNS,
    DATA,
    MARGIN_S,
    RUNS,
    Fold,
    FoldFilms,
    Recording,
    TrackConfig,
    load_fold,
    read_recording,
    write_films,
)
from trainer.data.dataset import TrainingFilm
from trainer.evaluation.evaluate import choose_smoothing, smooth_curves
from trainer.experiments.cached_steps import Step, step
from trainer.experiments.ridge import RIDGE_KEYS
from trainer.foundation.config import TrainConfig

CONFIGURATION = Path(__file__).with_suffix(".yaml")
TRACKS = {
    "low": TrackConfig(means_half_s=(3, 10, 30, 60, 120), deviations_half_s=(5, 15, 45)),
    "phash": TrackConfig(means_half_s=(3, 10, 30), components=32),
}
"""Picture and sound with running means and deviations, and 32 components of the perceptual hash."""
PREPARED = PrepareConfig()
"""How features are normalised; the tracks say how many components they keep."""
SHIFT_S = 300


@dataclass(frozen=True)
class Arm:
    """One model of the experiment.

    Attributes:
        name: as the protocol names it.
        model: `ridge` or `network`.
        settings: `key=value` of the section train.
        disturbed: what is done to the fold before: labels `shifted` by 300 s, or by others (`shifted 120`), or
            features `reversed`; empty for nothing.
    """

    name: str
    model: str
    settings: tuple[str, ...] = ()
    disturbed: str = ""


ARMS = {
    arm.name: arm
    for arm in (
        Arm("a", "ridge", ("ridge.means_s=[]", "ridge.mean_so_far=false")),
        Arm("b", "ridge"),
        Arm("c", "network", ("model.window_s=1",)),
        Arm("d", "network"),
        Arm("e", "network", ("model.gates=false", "model.experts=1", "model.dummy_expert=false")),
        Arm("g", "network", ("model.lookahead_s=10",)),
        Arm("b shifted", "ridge", disturbed="shifted"),
        Arm("b reversed", "ridge", disturbed="reversed"),
        Arm("d shifted", "network", disturbed="shifted"),
        Arm("d reversed", "network", disturbed="reversed"),
    )
}
MEAN_OF = {"f": ("b", "d")}
"""An arm that is the mean of two others, seed by seed."""


@dataclass(frozen=True, eq=False)
class Curves:
    """An arm on one fold, float64 [T, 2] each: raw on the validation run, raw and smoothed on the test run."""

    validation: np.ndarray
    raw: np.ndarray
    smoothed: np.ndarray


def disturb(fold: FoldFilms, how: str) -> FoldFilms:
    """The fold with the labels of training and validation films shifted, or with the features of all films reversed."""
    what, _, seconds = how.partition(" ")
    shift_s = int(seconds or SHIFT_S)

    def shifted(film: TrainingFilm) -> TrainingFilm:
        labels, known = np.roll(film.labels, shift_s, axis=0), np.roll(film.known, shift_s)
        return replace(film, labels=labels, known=known, label_rows=labels[known])

    def turned(film: TrainingFilm) -> TrainingFilm:
        features = {name: np.ascontiguousarray(values[::-1]) for name, values in film.features.items()}
        present = {name: np.ascontiguousarray(values[::-1]) for name, values in film.present.items()}
        return replace(film, features=features, present=present)

    if what == "shifted":
        return FoldFilms(tuple(map(shifted, fold.train)), shifted(fold.validation), fold.test)
    if what == "reversed":
        return FoldFilms(tuple(map(turned, fold.train)), turned(fold.validation), turned(fold.test))
    return fold


def step_of(arm: Arm, config: TrainConfig, recording: Recording, output: str, test: int) -> Step:
    """The step of an arm on one fold, with the seed of its configuration."""
    dependencies = {
        "train": config.model_dump(mode="json", include=RIDGE_KEYS if arm.model == "ridge" else None),
        "disturbed": arm.disturbed,
        "data": recording.sha256,
        "tracks": {name: [COLUMNS[name], track.model_dump(mode="json")] for name, track in TRACKS.items()},
        "prepare": PREPARED.model_dump(mode="json"),
        "test": test,
        "margin_s": MARGIN_S,
    }
    name = f"{arm.name.replace(' ', '-')}-seed{config.seed}"
    return step(os.path.join(output, f"fold{test}"), name, dependencies)


def fit(arm: Arm, config: TrainConfig, fold: FoldFilms, found: Step) -> None:
    """Fits or trains an arm on a fold, and keeps its curves and what its validation run chose."""
    started, whole = time.process_time(), disturb(fold, arm.disturbed)
    raw, test, chosen = (_fit_ridge if arm.model == "ridge" else _train)(config, whole, found.directory)
    smoothing = choose_smoothing({whole.validation.film_id: raw}, [whole.validation], config)
    smoothed = smooth_curves({"test": test}, smoothing, config.labels)["test"]
    os.makedirs(found.directory, exist_ok=True)
    np.savez(os.path.join(found.directory, "curves.npz"), validation=raw, raw=test, smoothed=smoothed)
    cpu_s = round(time.process_time() - started, 1)
    found.finish(chosen=chosen, smoothing=smoothing.model_dump(mode="json"), cpu_s=cpu_s)


def _fit_ridge(config: TrainConfig, fold: FoldFilms, _: str) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    from trainer.ridge.fit import fit_ridge

    fitted = fit_ridge(fold.train, [fold.validation], config)
    return fitted.predictions[fold.validation.film_id], fitted.model.predict(fold.test), dict(fitted.penalty)


def _train(config: TrainConfig, fold: FoldFilms, directory: str) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    import keras

    from trainer.data.windows import stack_films
    from trainer.training.progress import TrainingProgress
    from trainer.training.run import predict_films
    from trainer.training.train import train

    result = train(fold.train, [fold.validation], config, directory, progress=TrainingProgress(io.StringIO()))
    test = predict_films(result.model, stack_films([fold.test]), config.labels)[fold.test.film_id]
    validation = result.predictions[fold.validation.film_id]
    keras.utils.clear_session()
    return validation, test, {"epoch": result.best_epoch}


def read_curves(found: Step) -> Curves | None:
    """The curves of a finished step; None if it isn't finished."""
    if found.result() is None:
        return None
    with np.load(os.path.join(found.directory, "curves.npz")) as file:
        return Curves(*(file[name].astype(np.float64) for name in ("validation", "raw", "smoothed")))


def settings_of(arm: Arm, seed: int, overrides: Sequence[str], path: str) -> TrainConfig:
    """The train section of an arm; ridge regression has no seed."""
    settings = (*arm.settings, *overrides, f"seed={seed if arm.model == 'network' else 0}")
    return load_section("train", TrainConfig, path, settings)


def run_arms(arms: Sequence[Arm], options: argparse.Namespace, recording: Recording, runs: Sequence[int]) -> bool:
    """Fits what isn't there, fold after fold; False if the time to stop came first."""
    for test in runs:
        fold: FoldFilms | None = None
        for arm in arms:
            trainings = options.sanity_seeds if arm.disturbed else options.seeds
            for seed in range(1, 1 + (trainings if arm.model == "network" else 1)):
                config = settings_of(arm, seed, options.overrides, options.config)
                found = step_of(arm, config, recording, options.output, test)
                if found.result() is not None:
                    continue
                if options.stop_at and datetime.now().strftime("%H:%M") >= options.stop_at:
                    return False
                if fold is None:
                    records = os.path.join(options.output, f"fold{test}", "records")
                    films = write_films(recording, TRACKS, records)
                    fold = load_fold(recording, Fold(test), films, TRACKS, records, config.labels, PREPARED.clip)
                fit(arm, config, fold, found)
                print(f"run {test}, arm {arm.name}, seed {seed}: kept", file=sys.stderr, flush=True)
    return True


def collect(
    options: argparse.Namespace, recording: Recording, runs: Sequence[int]
) -> dict[str, list[dict[int, Curves]]]:
    """Arm -> for each seed that is there on all runs, test run -> curves; arms without any are left out."""
    found: dict[str, list[dict[int, Curves]]] = {}
    for name, arm in ARMS.items():
        for seed in range(1, 1 + (options.seeds if arm.model == "network" else 1)):
            try:
                config = settings_of(arm, seed, options.overrides, options.config)
            except ConfigurationError:
                break  # an arm that needs a key which this version doesn't have
            curves = {run: read_curves(step_of(arm, config, recording, options.output, run)) for run in runs}
            if None not in curves.values():
                found.setdefault(name, []).append({run: one for run, one in curves.items() if one is not None})
    for name, parts in MEAN_OF.items():
        if all(part in found for part in parts):
            linear, networks = (found[part] for part in parts)
            found[name] = [_mean_of(linear[0], one, options, recording) for one in networks]
    return found


def _mean_of(
    one: Mapping[int, Curves], other: Mapping[int, Curves], options: argparse.Namespace, recording: Recording
) -> dict[int, Curves]:
    """The mean of two arms' raw curves, with the filter that each fold's validation run chooses for it."""
    config = settings_of(ARMS["d"], 1, options.overrides, options.config)
    found = {}
    for run, curves in one.items():
        validation, raw = ((getattr(curves, k) + getattr(other[run], k)) / 2 for k in ("validation", "raw"))
        labels = recording.labels[recording.run == Fold(run).validation]
        film = _Labelled("validation", labels, np.ones(len(labels), bool))
        smoothing: SmoothingConfig = choose_smoothing({"validation": validation}, [film], config)
        found[run] = Curves(validation, raw, smooth_curves({"test": raw}, smoothing, config.labels)["test"])
    return found


@dataclass(frozen=True, eq=False)
class _Labelled:
    film_id: str
    labels: np.ndarray
    known: np.ndarray


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 for a wrong setting or missing data."""
    options = _parser().parse_args(arguments)
    names = [name for given in options.arms for name in (SANITY if given == "sanity" else (given,))]
    runs = options.runs or list(RUNS)
    try:
        recording = read_recording(options.data)
        if names and not run_arms([ARMS[name] for name in names], options, recording, runs):
            print("stopped; the same command goes on", file=sys.stderr)
        if options.report:
            smoothed = {
                name: [{run: one.smoothed for run, one in seed.items()} for seed in seeds]
                for name, seeds in collect(options, recording, runs).items()
            }
            text = report_of(smoothed, {run: recording.labels[recording.run == run] for run in runs}, options.draws)
            Path(options.output, "network_or_ridge.txt").write_text(text + "\n", encoding="utf-8")
            print(text)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIGURATION
    return EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.network_or_ridge",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", default=str(DATA), help="folder of forrest_1hz.csv.gz (default: %(default)s)")
    parser.add_argument("--config", default=str(CONFIGURATION), help="section train of all arms (default: %(default)s)")
    parser.add_argument("--output", default="network-or-ridge-runs", help="where every result is kept")
    parser.add_argument("--arms", nargs="+", default=[], choices=[*ARMS, "sanity"], help="what to fit; f needs none")
    parser.add_argument("--seeds", type=at_least_one, default=10, help="trainings of each network (default: 10)")
    parser.add_argument(
        "--sanity-seeds", type=at_least_one, default=1, help="trainings of each sanity arm (default: the protocol's 1)"
    )
    parser.add_argument("--runs", type=int, nargs="+", choices=RUNS, help="only these test runs (default: all)")
    parser.add_argument("--stop-at", metavar="HH:MM", help="begin no training from this time on")
    parser.add_argument("--report", action="store_true", help="print the tables of what is there")
    parser.add_argument("--draws", type=at_least_one, default=DRAWS, help="of intervals, nulls (default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], dest="overrides", help="key=value of the section train")
    return parser


if __name__ == "__main__":
    sys.exit(main())
