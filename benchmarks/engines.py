"""Extraction by TensorFlow and by ONNX Runtime, and what both signals add to it: core ms a film second, stage by stage.

    python -m benchmarks.engines FILM ...
    python -m benchmarks.engines --detector mine.yaml FILM ...   # another face detector beside MTCNN, no other arms
    python -m benchmarks.engines --starts --turns 1 FILM     # what a worker process takes to start, and its memory

The arms take turns, each in a process of its own with one thread (`benchmarks.job_parts stages`). Medians are
printed, and in brackets the least and the largest. Networks are untrained: they compute as much.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence

ARMS = {
    "TensorFlow": ["--engine", "tensorflow"],
    "ONNX Runtime": ["--engine", "onnxruntime"],
    "ONNX Runtime, with signals": ["--engine", "onnxruntime", "--signals"],
}

STARTED = """if True:
    import os, sys, time
    import apache_beam
    from apache_beam.runners.worker import sdk_worker_main
    beam_s, beam_kib = sum(os.times()[:2]), open("/proc/self/status").read().split("VmRSS:")[1].split()[0]
    import numpy as np
    from beam_pipelines.extraction import one_film
    from beam_pipelines.transforms import extract_films
    from benchmarks.job_parts import settings
    from beam_pipelines.extractors.configured_networks import Networks
    imported_s = sum(os.times()[:2])
    networks = Networks(settings(sys.argv[1]))
    networks.network("audio"), networks.network("image"), networks.network("face"), networks.detector
    built_s = sum(os.times()[:2])
    for name, row in {"image": (299, 299, 3), "audio": (15360,), "face": (160, 160, 3)}.items():
        rows = np.zeros((networks.batch_size(name), *row), np.float32 if name == "audio" else np.uint8)
        networks.network(name)(rows)
    networks.detector(np.zeros((8, 360, 480, 3), np.uint8))
    held, peak = (open("/proc/self/status").read().split(name)[1].split()[0] for name in ("VmRSS:", "VmHWM:"))
    tell = [beam_s, imported_s - beam_s, built_s - imported_s, *(int(kib) / 1024 for kib in (beam_kib, held, peak))]
    print(*tell, "tensorflow" in sys.modules)
"""


def stages(films: Sequence[str], options: Sequence[str]) -> dict[str, float]:
    """Core ms a film second of each stage."""
    command = [sys.executable, "-m", "benchmarks.job_parts", "stages", *options, *films]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    return {stage: 1000 * seconds / found["film_s"] for stage, seconds in found["cpu_s"].items()}


def shown(values: Sequence[float]) -> str:
    """Median, least and largest; empty for a stage that an arm doesn't have."""
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})" if values else ""


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", nargs="+")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--detector", help="configuration with another face detector (extract.face.detector)")
    parser.add_argument("--starts", action="store_true", help="starts and memory of a worker process, nothing else")
    given = parser.parse_args()
    if given.starts:
        return starts(given.turns)
    arms = {"MTCNN": [], given.detector: ["--detector", given.detector]} if given.detector else ARMS
    times: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for turn in range(given.turns):
        for arm, options in arms.items():
            found = stages(given.films, options)
            for stage, value in {**found, "all": sum(found.values())}.items():
                times[stage][arm].append(value)
        print(f"turn {turn + 1} is done", file=sys.stderr, flush=True)
    first, second, *others = arms
    print(f"| stage | {' | '.join(arms)} | {second} / {first} |\n|---|{'---|' * (len(arms) + 1)}")
    for stage, values in times.items():
        ratios = [b / a for a, b in zip(values[first], values[second], strict=True)]
        ratio = f"{statistics.median(ratios):.2f}" if ratios else ""
        print(f"| {stage} | {' | '.join(shown(values[arm]) for arm in arms)} | {ratio} |")
    for third in others:
        added = [(b - a) / a for a, b in zip(times["all"][second], times["all"][third], strict=True)]
        turns = ", ".join(f"{100 * each:.1f}" for each in added)
        print(f"\nThe signals add {100 * statistics.median(added):.1f} % (in single turns {turns}).")
    return None


def starts(turns: int) -> None:
    """Prints core seconds and MiB of a worker process's start."""
    print("| engine | Beam, core s | modules | networks | Beam, MiB | held with three modalities | peak | TensorFlow |")
    print("|---|---|---|---|---|---|---|---|")
    for engine in ("tensorflow", "onnxruntime"):
        command = [sys.executable, "-c", STARTED, engine]
        rows = [
            subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() for _ in range(turns)
        ]
        medians = [statistics.median(map(float, column)) for column in list(zip(*rows, strict=True))[:6]]
        cells = [f"{value:.2f}" for value in medians[:3]] + [f"{value:.0f}" for value in medians[3:]]
        print(f"| {engine} | {' | '.join(cells)} | {rows[0][-1]} |")


if __name__ == "__main__":
    main()
