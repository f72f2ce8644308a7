"""What does a model find in labels of other seconds? Asked after `network_or_ridge` had failed a sanity check.

    python -m benchmarks.shifted_labels              # 20 core minutes; goes on where it was, then prints the tables
    python -m benchmarks.shifted_labels --report     # the tables alone

The protocol's null shifts the labels under curves that are finished. But a model that learns shifted labels is trained
anew for each shift, and what it gives varies with that: here arms b and d are, at 23 shifts, on all eight folds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import signal

from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation.errors import EXIT_CONFIGURATION, EXIT_OK, ConfigurationError
from beam_pipelines.foundation.text_tables import aligned
from benchmarks.network_or_ridge import ARMS, CONFIGURATION, Arm, read_curves, run_arms, settings_of, step_of
from benchmarks.studyforrest_data import DATA, RUNS, Fold, Recording, read_recording, running_mean
from trainer.evaluation.metrics import pcc

SHIFTS_S = (*range(-330, -119, 30), *range(120, 541, 30))
"""At least 120 s from the true labels in the shortest run too, which has 674 s; to later seconds, and negative ones to
earlier: 540 s to later and 330 s to earlier meet in runs of 870 s."""
SHIFTED = ("b", "d")
TIME_DEGREE = 3
SLOW_HALF_S = 60

Found = Mapping[str, np.ndarray]
"""What predicted -> PCC, float64 [shifts, runs, targets]."""


def shifted_arm(name: str, shift_s: int) -> Arm:
    """An arm of the experiment whose training and validation labels are shifted by so many seconds, circularly."""
    return replace(ARMS[name], name=f"{name} shifted {shift_s}", disturbed=f"shifted {shift_s}")


def curves_of(name: str, shift_s: int, test: int, recording: Recording, output: str) -> np.ndarray:
    """The smoothed curve of a test run by a model of shifted labels, float64 [T, 2].

    Raises:
        ConfigurationError: if it wasn't trained yet.
    """
    arm = shifted_arm(name, shift_s)
    found = read_curves(step_of(arm, settings_of(arm, 1, [], str(CONFIGURATION)), recording, output, test))
    if found is None:
        raise ConfigurationError(f"{output}: no curves of arm {arm.name}, run {test}; leave out --report")
    return found.smoothed


def time_alone(recording: Recording, shift_s: int, test: int) -> np.ndarray:
    """What seconds since the run's beginning say of a test run, learned like an arm: a cubic; float64 [T, 2]."""
    fold, seconds, labels, known = Fold(test), [], [], Fold(test).training_seconds(recording)
    for run in fold.train:
        rows = recording.run == run
        kept = np.roll(known[rows], shift_s)
        seconds.append(_powers(int(rows.sum()))[kept])
        labels.append(np.roll(recording.labels[rows], shift_s, axis=0)[kept])
    weights, *_ = np.linalg.lstsq(np.concatenate(seconds), np.concatenate(labels), rcond=None)
    return np.asarray(_powers(int((recording.run == test).sum())) @ weights)


def _powers(seconds: int) -> np.ndarray:
    return np.vander(np.arange(seconds) / 1000.0, TIME_DEGREE + 1)


def _fast(series: np.ndarray) -> np.ndarray:
    """A series [T] without what is slower than two minutes: its running mean."""
    return np.asarray(series - running_mean(series[:, None], SLOW_HALF_S)[:, 0])


TREATMENTS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "": np.asarray,
    "without linear trends": signal.detrend,
    "without what is slower than 2 min": _fast,
}
"""What is done to curve and labels of a run before they are correlated."""


def figures(recording: Recording, output: str, shifts_s: Sequence[int], runs: Sequence[int] = RUNS) -> dict[str, Found]:
    """Treatment -> the PCC with the true labels of each arm and of time alone."""
    found = {
        how: {name: np.zeros((len(shifts_s), len(runs), len(TARGETS))) for name in (*SHIFTED, "time")}
        for how in TREATMENTS
    }
    for row, shift_s in enumerate(shifts_s):
        for place, run in enumerate(runs):
            true = recording.labels[recording.run == run]
            curves = {name: curves_of(name, shift_s, run, recording, output) for name in SHIFTED}
            for name, curve in {**curves, "time": time_alone(recording, shift_s, run)}.items():
                for column in range(len(TARGETS)):
                    for how, treated in TREATMENTS.items():
                        pair = treated(curve[:, column]), treated(true[:, column])
                        found[how][name][row, place, column] = pcc(*pair)
    return found


def report(found: Mapping[str, Found], shifts_s: Sequence[int], runs: Sequence[int] = RUNS) -> str:
    """Tables: every shift's mean over the runs, their distribution, and every run's mean over the shifts."""
    series = [(name, column) for name in found[""] for column in range(len(TARGETS))]
    heads = [f"{name}, {TARGETS[column]}" for name, column in series]
    means = {how: [each[name].mean(axis=1)[:, column] for name, column in series] for how, each in found.items()}
    rows = [["shift, s", *heads]]
    rows += [[f"{s:+d}", *(f"{one[row]:+.3f}" for one in means[""])] for row, s in enumerate(shifts_s)]
    for how, columns in means.items():
        rows.append([f"mean {how}".strip(), *(f"{one.mean():+.3f}" for one in columns)])
        rows.append([f"sd {how}".strip(), *(f"{one.std(ddof=1):.3f}" for one in columns)])
    by_run = [["run", *heads]]
    for place, run in enumerate(runs):
        cells = [found[""][name][:, place, column] for name, column in series]
        by_run.append([str(run), *(f"{one.mean():+.2f} ± {one.std(ddof=1):.2f}" for one in cells)])
    first = "after the fact: PCC with the true labels of models that learned shifted ones, mean over the runs"
    return "\n".join([first, *aligned(rows), "", "each run: mean and deviation over the shifts", *aligned(by_run)])


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 for missing data or curves."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.shifted_labels",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", default=str(DATA), help="folder of forrest_1hz.csv.gz (default: %(default)s)")
    parser.add_argument("--output", default="network-or-ridge-runs", help="where every result is kept")
    parser.add_argument("--report", action="store_true", help="train nothing")
    options = parser.parse_args(arguments)
    try:
        recording = read_recording(options.data)
        if not options.report:
            arms = [shifted_arm(name, shift_s) for shift_s in SHIFTS_S for name in SHIFTED]
            options = argparse.Namespace(
                **vars(options), config=str(CONFIGURATION), overrides=[], seeds=1, sanity_seeds=1, stop_at=None
            )
            run_arms(arms, options, recording, list(RUNS))
        text = report(figures(recording, options.output, SHIFTS_S), SHIFTS_S)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIGURATION
    Path(options.output, "shifted_labels.txt").write_text(text + "\n", encoding="utf-8")
    print(text)
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
