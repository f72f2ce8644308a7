"""The trainer on real labels: portrayed emotion in *Forrest Gump*, rated second by second (studyforrest).

    python -m benchmarks.studyforrest                     # all eight folds, five seeds, and the ridge rows
    python -m benchmarks.studyforrest --quick             # one fold, one seed, few epochs: does it run?
    python -m benchmarks.studyforrest --data DIR --output DIR --workers 2

Eight folds: one run of the film is left out, the run before it chooses epoch and cutoff, the other six are trained on,
less 30 seconds on either side of both. Features go in through this project's record writer, labels through the
trainer's reader; then GRU, mixture of experts and Butterworth filter as in `benchmarks/studyforrest.yaml`, which has
models for each target. A run that was killed goes on where it was: each training keeps its checkpoints in the output
folder.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import Field

from beam_pipelines.configuration import Section, validate
from beam_pipelines.errors import EXIT_CONFIGURATION, EXIT_OK, ConfigurationError
from beam_pipelines.smoothing import SmoothingConfig, smooth
from benchmarks.studyforrest_data import RUNS, Fold, TrackConfig, load_fold, read_recording, write_films
from benchmarks.studyforrest_report import Row, figures_of, rows_of, to_csv, to_text, write_plot
from benchmarks.studyforrest_ridge import FEATURE_SETS, chosen_ridge, constant_mean, published_ridge
from trainer.config import TrainConfig
from trainer.metrics import TARGETS, ccc

REPOSITORY = Path(__file__).resolve().parents[1]
CONFIGURATION = REPOSITORY / "benchmarks" / "studyforrest.yaml"
DATA = REPOSITORY.parent / "shared" / "data" / "studyforrest"
QUICK_EPOCHS = 2


class MemberConfig(Section):
    """One of the models that answer for a target. It is trained on both; its answer for the other isn't used.

    Attributes:
        tracks: modality -> its context; the modalities are those of the model.
        train: the trainer's section; `seed` and `model.modalities` are set from elsewhere in the file.
    """

    tracks: dict[str, TrackConfig]
    train: TrainConfig


class StudyForrestConfig(Section):
    """The configuration file.

    Attributes:
        seeds: each trains a model of its own on every fold.
        valence, arousal: what answers for each target: the mean of these models. The first one's filter smooths it.
    """

    seeds: tuple[int, ...]
    valence: tuple[MemberConfig, ...] = Field(min_length=1)
    arousal: tuple[MemberConfig, ...] = Field(min_length=1)

    def of(self, target: str) -> tuple[MemberConfig, ...]:
        """The models of one of `TARGETS`."""
        return {"valence": self.valence, "arousal": self.arousal}[target]


@dataclass(frozen=True)
class FoldCurves:
    """What the models of one target gave on one fold.

    Attributes:
        target: of `TARGETS`.
        test: the run it was tested on.
        single: for each seed, the test run's smoothed curve, float64 [T].
        mean: the smoothed mean of the seeds' curves, float64 [T].
        validation: metric -> figure of the smoothed mean on the validation run.
        chosen: for each seed the epoch, and the cutoff of the mean in Hz.
        cpu_s: user and system time of its process.
    """

    target: str
    test: int
    single: tuple[np.ndarray, ...]
    mean: np.ndarray
    validation: Mapping[str, float]
    chosen: str
    cpu_s: float


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
    for target in TARGETS:
        members = []
        for member in config.of(target):
            model = member.train.model.model_copy(update={"modalities": tuple(member.tracks)})
            members.append(_with_train(member, {"model": model}))
        config = config.model_copy(update={target: tuple(members)})
    return config


def run_fold(config: StudyForrestConfig, data: str, output: str, target: str, test: int) -> FoldCurves:
    """Trains every seed of one target on one fold and predicts its test run; wants a process of its own."""
    import tensorflow as tf

    from trainer.progress import TrainingProgress
    from trainer.train import predict_films, train
    from trainer.windows import stack_films

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    started = time.process_time()
    recording, members, column = read_recording(data), config.of(target), TARGETS.index(target)
    settings, epochs = members[0].train, []
    tested, validated = [[] for _ in config.seeds], [[] for _ in config.seeds]
    for index, member in enumerate(members):
        folder = Path(output) / target / f"fold{test}" / f"model{index}"
        films = write_films(recording, member.tracks, str(folder / "records"))
        fold = load_fold(recording, Fold(test), films, member.tracks, str(folder / "records"), member.train.labels)
        for place, seed in enumerate(config.seeds):
            seeded, run = member.train.model_copy(update={"seed": seed}), str(folder / f"seed{seed}")
            result = train(fold.train, [fold.validation], seeded, run, progress=TrainingProgress(io.StringIO()))
            answer = predict_films(result.model, stack_films([fold.test]), member.train.labels)
            epochs.append(str(result.best_epoch))
            tested[place].append(answer[fold.test.film_id][:, column].astype(np.float64))
            validated[place].append(result.predictions[fold.validation.film_id][:, column].astype(np.float64))
    tested, validated = np.mean(tested, axis=1), np.mean(validated, axis=1)
    true = fold.validation.labels[:, column].astype(np.float64)
    mean, smoothing = np.mean(validated, axis=0), _best_smoothing(np.mean(validated, axis=0), true, settings)
    return FoldCurves(
        target=target,
        test=test,
        single=tuple(
            _smoothed(curve, _best_smoothing(known, true, settings), settings)
            for curve, known in zip(tested, validated, strict=True)
        ),
        mean=_smoothed(np.mean(tested, axis=0), smoothing, settings),
        validation=figures_of(_smoothed(mean, smoothing, settings), true),
        chosen=f"epochs {' '.join(epochs)}, cutoff {smoothing.cutoff_hz:g} Hz",
        cpu_s=time.process_time() - started,
    )


def _best_smoothing(curve: np.ndarray, true: np.ndarray, settings: TrainConfig) -> SmoothingConfig:
    """The configured filter with the cutoff of the highest CCC on a validation curve [T], of this target alone."""
    cutoffs = dict.fromkeys((settings.smoothing.cutoff_hz, *settings.smoothing_cutoffs_hz))
    candidates = [settings.smoothing.model_copy(update={"cutoff_hz": cutoff_hz}) for cutoff_hz in cutoffs]
    return max(candidates, key=lambda candidate: ccc(_smoothed(curve, candidate, settings), true))


def _smoothed(curve: np.ndarray, smoothing: SmoothingConfig, settings: TrainConfig) -> np.ndarray:
    return smooth(curve, smoothing, label_range=(settings.labels.minimum, settings.labels.maximum)).values


def run_folds(
    config: StudyForrestConfig, data: str, output: str, runs: Sequence[int], workers: int
) -> list[FoldCurves]:
    """All folds of both targets, each in a fresh process; one line a fold on standard error."""
    context = multiprocessing.get_context("spawn")
    folds = []
    with ProcessPoolExecutor(workers, mp_context=context, max_tasks_per_child=1) as pool:
        tasks = [pool.submit(run_fold, config, data, output, target, run) for target in TARGETS for run in runs]
        for task in tasks:
            fold = task.result()
            folds.append(fold)
            line = f"{fold.target}, run {fold.test}: {fold.chosen}; validation CCC {fold.validation['ccc']:.3f}"
            print(f"{line}; {fold.cpu_s:.0f} s of CPU", file=sys.stderr, flush=True)
    return folds


def curves_of(folds: Sequence[FoldCurves], pick: Callable[[FoldCurves], np.ndarray]) -> dict[int, np.ndarray]:
    """Test run -> float64 [T, 2], valence and arousal, of a curve [T] of each."""
    by_name = {(fold.target, fold.test): pick(fold) for fold in folds}
    runs = dict.fromkeys(fold.test for fold in folds)
    return {run: np.stack([by_name[target, run] for target in TARGETS], axis=1) for run in runs}


def table_of(config: StudyForrestConfig, data: str, folds: Sequence[FoldCurves]) -> tuple[list[Row], str]:
    """All rows, and the name of the one that is ours."""
    recording, runs = read_recording(data), list(dict.fromkeys(fold.test for fold in folds))
    rows = rows_of("constant mean", [constant_mean(recording, runs)], recording)
    for name in FEATURE_SETS:
        rows += rows_of(f"ridge, {name}", [published_ridge(recording, name, runs)], recording)
    ridges = [chosen_ridge(recording, config.of(target)[0].tracks, runs) for target in TARGETS]
    same = {run: np.stack([ridges[column][run][:, column] for column in range(2)], axis=1) for run in runs}
    rows += rows_of("ridge, our features", [same], recording)
    count = len(config.seeds)
    seeds = [curves_of(folds, lambda fold, index=index: fold.single[index]) for index in range(count)]
    rows += rows_of(f"ours, single seeds ({count})", seeds, recording)
    ours = f"ours, mean of {count}"
    rows += rows_of(ours, [curves_of(folds, lambda fold: fold.mean)], recording)
    return rows, ours


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 for a wrong setting or missing data."""
    options = _parser().parse_args(arguments)
    try:
        config = read_configuration(options.config)
        if options.quick:
            config = _quick(config)
        read_recording(options.data)
        runs = [RUNS[0]] if options.quick else list(RUNS)
        os.makedirs(options.output, exist_ok=True)
        folds = run_folds(config, options.data, options.output, runs, options.workers)
        rows, ours = table_of(config, options.data, folds)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIGURATION
    output = Path(options.output)
    (output / "studyforrest.csv").write_text(to_csv(rows), encoding="utf-8")
    curves = curves_of(folds, lambda fold: fold.mean)
    write_plot(output / "studyforrest.png", rows, ours, curves, read_recording(options.data))
    print(to_text(rows))
    print()
    for target in ("arousal", "valence"):
        each = [fold.validation for fold in folds if fold.target == target]
        figures = [f"{name.upper()} {np.mean([figure[name] for figure in each]):.3f}" for name in each[0]]
        print(f"{ours}, on the validation runs, {target}: {', '.join(figures)}")
    print(f"Training took {sum(fold.cpu_s for fold in folds) / 60:.1f} minutes of CPU. Files: {output}")
    return EXIT_OK


def _quick(config: StudyForrestConfig) -> StudyForrestConfig:
    for target in TARGETS:
        members = tuple(_with_train(member, {"epochs": QUICK_EPOCHS}) for member in config.of(target))
        config = config.model_copy(update={target: members})
    return config.model_copy(update={"seeds": config.seeds[:1]})


def _with_train(member: MemberConfig, update: Mapping[str, Any]) -> MemberConfig:
    return member.model_copy(update={"train": member.train.model_copy(update=update)})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studyforrest",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", default=str(DATA), help="folder of forrest_1hz.csv.gz (default: %(default)s)")
    parser.add_argument("--config", default=str(CONFIGURATION), help="configuration (default: %(default)s)")
    parser.add_argument("--output", default="studyforrest-runs", help="records, checkpoints, CSV and plot")
    parser.add_argument("--workers", type=int, default=1, help="folds at once, one core each")
    parser.add_argument("--quick", action="store_true", help="one fold, one seed, two epochs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
