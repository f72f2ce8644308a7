"""The cost of scoring: against sliding windows and arithmetic, by part, by the number of films, and with a stride.

    python -m benchmarks.scoring                              # everything except the stride, some 30 minutes on 2 cores
    python -m benchmarks.scoring --only speed parts
    python -m benchmarks.scoring --only growth --films 100 1000 10000
    python -m benchmarks.scoring --only why
    python -m benchmarks.scoring --only stride --model demo/run/exports --records demo/features \\
        --manifest demo/films.csv --splits test

The network is the paper's with drawn weights (GRU, 128 units, 60 s windows; 2,048 + 128 + 1,024 values a second); its
films are random numbers. Speeds are of two processes at once with one thread each, as the job runs on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints what was asked for; 1 where a bound of ours is exceeded."""
    arguments = _parser().parse_args(argv)
    if arguments.measure:
        print(json.dumps(_measured(arguments)))
        return 0
    with tempfile.TemporaryDirectory(prefix="cineaffect-scoring-") as folder:
        sections: dict[str, Callable[[], bool]] = {
            "speed": lambda: speed_table(folder, arguments),
            "parts": lambda: parts_table(folder, arguments),
            "growth": lambda: growth_table(folder, arguments),
            "stride": lambda: stride_table(arguments),
            "why": lambda: why_table(folder, arguments),
        }
        chosen = arguments.only or ["speed", "parts", "growth"]
        for members in (1, arguments.members) if "speed" in chosen else (1,):
            run_alone("export", "--folder", folder, "--members", str(members))
        held = [sections[name]() for name in sections if name in chosen]
    return int(not all(held))


def speed_table(folder: str, arguments: argparse.Namespace) -> bool:
    """Film-hours a second on two cores; whether sliding windows take at least five times as long."""
    film_s = ["--film-s", str(arguments.film_s), "--repeats", str(arguments.repeats)]
    several = f"model{arguments.members}"
    cases = [
        ("one model, a film a call", ["predict", "--name", "model1", *film_s]),
        ("one model, clips of 60 s one a call", ["clips", "--name", "model1", "--batch", "1", *film_s]),
        ("one model, clips of 60 s together", ["clips", "--name", "model1", "--batch", "34", *film_s]),
        (f"{arguments.members} models, a film a call", ["predict", "--name", several, *film_s]),
        ("`model.predict` on sliding windows, one model", ["windows", "--repeats", str(arguments.repeats)]),
        ("arithmetic alone (projections and recurrences at the peak of a matrix product)", ["floor"]),
    ]
    print("| | film-hours a second on 2 cores | times `model.predict` |\n|---|---|---|")
    speeds = {name: sum(each["hours_a_second"] for each in run_beside(2, *case, "--folder", folder))
              for name, case in cases}  # fmt: skip
    windows = speeds[cases[4][0]]
    for name, speed in speeds.items():
        print(f"| {name} | {speed:.3f} | {speed / windows:.1f} |")
    print()
    return speeds[cases[0][0]] >= 5 * windows


def parts_table(folder: str, arguments: argparse.Namespace) -> bool:
    """Core milliseconds a film of each step, for a long film and for clips."""
    print(
        "| film | reading | inference | unlike the training films | smoothing and bands | writing CSV and done marker "
        "| writing the table's part | plot |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for seconds, films in ((60, 64), (arguments.film_s, 3)):
        parts = run_alone("parts", "--name", "model1", "--folder", folder, "--film-s", str(seconds),
                          "--repeats", str(films))  # fmt: skip
        print(f"| {seconds} s | " + " | ".join(f"{value:.2f} ms" for value in parts.values()) + " |")
    print()
    return True


def growth_table(folder: str, arguments: argparse.Namespace) -> bool:
    """What a film costs, and peak memory, as films grow in number; whether the cost stays as it is.

    A neighbour on the machine can make the same run take 1.7 times the core time. So the cost is counted in products of
    matrices that the run itself takes between its films; numbers of films are measured in turns, few films more often.
    """

    def products(count: int) -> tuple[float, dict[str, Any]]:
        run = run_alone("growth", "--name", "model1", "--folder", folder, "--repeats", str(count))
        return run["core_s"] / run["product_s"], run

    turns = arguments.repeats
    start_up = statistics.median(products(1)[0] for _ in range(turns))
    print("| films of 60 s | products of matrices a film, start-up excluded | core ms a film | peak memory, MiB |")
    print("|---|---|---|---|")
    costs = []
    for count in arguments.films:
        runs = [products(count) for _ in range(turns if count <= 1000 else 1)]
        cost = statistics.median((taken - start_up) / (count - 1) for taken, _ in runs)
        core_ms = statistics.median((taken - start_up) * run["product_s"] / (count - 1) * 1000 for taken, run in runs)
        costs.append(cost)
        print(f"| {count:,} | {cost:.2f} | {core_ms:.1f} | {max(run['peak_mib'] for _, run in runs):.0f} |", flush=True)
    print(f"\nThe last costs {costs[-1] / costs[0]:.2f} times the first a film.\n")
    return costs[-1] <= 1.2 * costs[0]


def stride_table(arguments: argparse.Namespace) -> bool:
    """PCC against labels and core seconds of a trained model for several strides."""
    rows = run_alone("stride", "--model", arguments.model, "--records", arguments.records, "--manifest",
                     arguments.manifest, "--splits", arguments.splits, "--strides",
                     *map(str, arguments.strides))  # fmt: skip
    print("| stride, s | PCC valence | PCC arousal | PCC with stride 1, valence | arousal | core s |")
    print("|---|---|---|---|---|---|")
    for stride, row in rows.items():
        print(f"| {stride} | " + " | ".join(f"{value:.4f}" for value in row[:4]) + f" | {row[4]:.2f} |")
    print()
    return True


def why_table(folder: str, arguments: argparse.Namespace) -> bool:
    """Core seconds of curves, and of curves with what explains them; whether shares cost at most thrice as much."""
    print("| | curves, core s | with the shares of modalities | with columns too |\n|---|---|---|---|")
    dear = []
    for what, name, seconds, films in (
        ("network of three modalities, one film", "model1", arguments.film_s, 1),
        ("the same, 34 clips of 60 s together", "model1", 60, 34),
        ("`builtin:signals`, one film", "builtin:signals", arguments.film_s, 1),
    ):
        options = ["--name", name, "--folder", folder, "--film-s", str(seconds), "--batch", str(films)]
        plain, *more = run_alone("why", *options, "--repeats", str(arguments.repeats))["core_s"]
        cells = [f"{cost:.3f} ({cost / plain:.2f} times)" for cost in more] + ["no columns"] * (2 - len(more))
        print(f"| {what} | {plain:.3f} | " + " | ".join(cells) + " |", flush=True)
        dear.append(more[0] > 3 * plain)
    print()
    return not dear[0]


def run_alone(what: str, *options: str) -> dict[str, Any]:
    """A measurement in a process of its own."""
    return run_beside(1, what, *options)[0]


def run_beside(processes: int, what: str, *options: str) -> list[dict[str, Any]]:
    """The same measurement in several processes at once."""
    command = [sys.executable, "-m", "benchmarks.scoring", "--measure", what, *options]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    environment = os.environ | threads
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(processes)]
    answers = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit(f"{' '.join(command)}: failed")
    return [json.loads(answer.splitlines()[-1]) for answer in answers]


def _measured(arguments: argparse.Namespace) -> dict[str, Any]:
    from beam_pipelines.foundation.tensorflow_start import start_tensorflow

    start_tensorflow(1)
    from benchmarks.scoring_measures import MEASURES

    return MEASURES[arguments.measure](arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=("speed", "parts", "growth", "stride", "why"))
    parser.add_argument("--film-s", type=int, default=5400, help="length of the long film")
    parser.add_argument("--members", type=int, default=5, help="models of the ensemble")
    parser.add_argument("--repeats", type=int, default=5, help="of which the median counts")
    parser.add_argument("--films", type=int, nargs="+", default=[100, 1000, 10_000], help="numbers of clips")
    parser.add_argument("--model", default="demo/run/exports", help="for the stride: a trained model")
    parser.add_argument("--records", default="demo/features")
    parser.add_argument("--manifest", default="demo/films.csv")
    parser.add_argument("--splits", default="test")
    parser.add_argument("--strides", type=int, nargs="+", default=[1, 2, 3, 5, 10, 15], help="the first is 1")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--folder", default="", help=argparse.SUPPRESS)
    parser.add_argument("--name", default="", help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, default=1, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
