"""The extract job end to end against its limit and against a plain script, in film seconds per second.

    pip install -r benchmarks/requirements.txt
    python -m benchmarks.job                              # real clips if they exist, else generated films
    python -m benchmarks.job --films a.mp4 b.mkv          # your own films
    python -m benchmarks.job --seconds 30 --plain-seconds 5 --repeats 1    # a quick look

- job: `cineaffect extract` with two workers, image, audio and face. It runs twice, over the films twice and once (under
  different names); the difference is the films' cost without the start of Beam, TensorFlow and the networks.
- limit: two processes on the same cores, half of the films each. They run only the networks and the detector on ready
  batches, as many as the job's, and planned decoding of pictures and sound, without converting frames to pictures.
- plain: OpenCV reads every frame, `model.predict` takes one picture, one sound or one face at a time, the package
  `mtcnn` a picture at full size, TensorFlow with all its threads; the first `--plain-seconds` of each film.

All networks are untrained (they compute as much). The three take turns. Both clocks are printed: processor time (user
and system, of all processes) is valid on a busy machine too, wall time only on a quiet one. The command exits with 1 if
the job has less than 0.9 of the limit or less than 4 times the plain script, by the clock chosen with `--clock`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.benchmark_clips import RECIPES, add_sound, make_clip, repeat_clip
from benchmarks.cpu_time import Spent, run_measured
from benchmarks.job_parts import STARTED

REAL_CLIPS = Path("../shared/data/clips")
WORKERS = 2
LEAST_OF_LIMIT, LEAST_OF_PLAIN = 0.9, 4.0
NETWORK_THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints both tables; 1 where an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", nargs="+", type=Path, help="films of your own instead")
    parser.add_argument("--seconds", type=int, default=120, help="length of the films that are made or repeated")
    parser.add_argument("--plain-seconds", type=int, default=20, help="so much of each film for the plain script")
    parser.add_argument("--repeats", type=int, default=3, help="turns; the medians count")
    parser.add_argument("--clips", type=Path, default=Path("benchmark-clips"), help="where made films are kept")
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu", help="decides about the exit code")
    given = parser.parse_args(argv)
    films = given.films or default_films(given.clips, given.seconds)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:WORKERS])
    # A film second of processor and of wall time, for each turn.
    turns: dict[str, list[Spent]] = {"job": [], "limit": [], "plain": []}
    parts: list[dict[str, Any]] = []
    for turn in range(given.repeats):
        turns["job"].append(job(films))
        of_limit = limit(films)
        parts.append(of_limit)
        turns["limit"].append(Spent(sum(of_limit["cpu_s"].values()), of_limit["wall_s"]))
        turns["plain"].append(plain(films, given.plain_seconds))
        print(f"turn {turn + 1}: {turns}", file=sys.stderr, flush=True)
    print_speeds(turns)
    print_stages(measured("stages", films), parts)
    ratios = [ratio(turns, other, given.clock) for other in ("limit", "plain")]
    return int(ratios[0] < LEAST_OF_LIMIT or ratios[1] < LEAST_OF_PLAIN)


def default_films(folder: Path, seconds: int) -> list[Path]:
    """The real clips, repeated to films of some length; where there are none, made films with noise as their sound."""
    clips = sorted(REAL_CLIPS.glob("*")) if REAL_CLIPS.is_dir() else []
    if clips:
        print(f"films: {len(clips)} real clips of {REAL_CLIPS}, each repeated to at least {seconds} s")
        return [repeat_clip(clip, folder / "repeated", seconds) for clip in clips]
    print(f"films: 2 made ones of 1080 and 480 lines, {seconds} s each, without faces (no {REAL_CLIPS} here)")
    return [add_sound(make_clip(recipe, folder, seconds)) for recipe in (RECIPES[0], RECIPES[2])]


def film_seconds(films: Sequence[Path]) -> float:
    """How long the films last together."""
    from beam_pipelines.media.probe import probe_film

    return sum(float(probe_film(film).duration_s) for film in films)


def job(films: Sequence[Path]) -> Spent:
    """What a film second costs the job."""
    twice, once = (_run_job(films, copies) for copies in (2, 1))
    cost, length_s = twice - once, film_seconds(films)
    return Spent(cost.cpu_s / length_s, cost.wall_s / length_s)


def _run_job(films: Sequence[Path], copies: int) -> Spent:
    with tempfile.TemporaryDirectory(prefix="cineaffect-job-") as folder:
        source = Path(folder, "films")
        source.mkdir()
        for number in range(copies):
            for film in films:
                Path(source, f"{number}-{film.name}").symlink_to(film.resolve())
        command = [sys.executable, "-m", "beam_pipelines.extract", "--films", str(source)]
        command += ["--output", str(Path(folder, "out")), f"--workers={WORKERS}"]
        command += [f"--set={modality}.weights=untrained" for modality in ("image", "audio", "face")]
        return run_measured(command, NETWORK_THREADS)


def limit(films: Sequence[Path]) -> dict[str, Any]:
    """The limit's seconds for a film second: processor time by stage, and wall time of both processes together."""
    halves = _halves(films)
    with tempfile.TemporaryDirectory(prefix="cineaffect-limit-") as folder:
        processes = [_start("limit", half, "--together", folder) for half in halves]
        while len(list(Path(folder).glob(f"{STARTED}*"))) < len(processes):
            if any(process.poll() for process in processes):
                for process in processes:
                    process.kill()  # the others would wait for it
                raise SystemExit("benchmarks.job_parts limit failed")
            time.sleep(0.1)
        began_s = time.perf_counter()
        Path(folder, "go").touch()
        found = [_words(process) for process in processes]
        wall_s = time.perf_counter() - began_s
    length_s = sum(words["film_s"] for words in found)
    cpu_s = sum((Counter(words["cpu_s"]) for words in found), Counter())
    return {"cpu_s": {stage: spent_s / length_s for stage, spent_s in cpu_s.items()}, "wall_s": wall_s / length_s}


def _halves(films: Sequence[Path]) -> list[list[Path]]:
    """The films in two heaps of about the same size."""
    heaps: list[list[Path]] = [[] for _ in range(min(WORKERS, len(films)))]
    for film in sorted(films, key=lambda film: -film.stat().st_size):
        min(heaps, key=lambda heap: sum(each.stat().st_size for each in heap)).append(film)
    return heaps


def plain(films: Sequence[Path], seconds: int) -> Spent:
    """What a film second costs the plain script."""
    words = _words(_start("plain", films, "--seconds", str(seconds), threads={}))
    return Spent(sum(words["cpu_s"].values()) / words["film_s"], words["wall_s"] / words["film_s"])


def measured(what: str, films: Sequence[Path]) -> dict[str, float]:
    """Processor time of each stage for a film second."""
    words = _words(_start(what, films))
    return {stage: spent_s / words["film_s"] for stage, spent_s in words["cpu_s"].items()}


def _start(what: str, films: Sequence[Path], *options: str, threads: Any = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.job_parts", what, *map(str, films), *options]
    environment = os.environ | (NETWORK_THREADS if threads is None else threads)
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def _words(process: subprocess.Popen[str]) -> dict[str, Any]:
    answer, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, process.args))}: exit code {process.returncode}")  # type: ignore[arg-type]
    words: dict[str, Any] = json.loads(answer.splitlines()[-1])
    return words


def ratio(turns: dict[str, list[Spent]], other: str, clock: str) -> float:
    """How many times as fast as the other the job is: the median of the turns."""
    name = f"{clock}_s"
    pairs = zip(turns[other], turns["job"], strict=True)
    return statistics.median(getattr(theirs, name) / getattr(ours, name) for theirs, ours in pairs)


def print_speeds(turns: dict[str, list[Spent]]) -> None:
    """Film seconds a second, and the two ratios."""
    print("\n| | film seconds a core second | film seconds a second on 2 cores |")
    print("|---|---|---|")
    for name, spent in turns.items():
        cpu_s, wall_s = (statistics.median(getattr(each, clock) for each in spent) for clock in ("cpu_s", "wall_s"))
        print(f"| {name} | {1 / cpu_s:.2f} | {1 / wall_s:.2f} |")
    for other in ("limit", "plain"):
        cells = " | ".join(f"{ratio(turns, other, clock):.2f}" for clock in ("cpu", "wall"))
        print(f"| job / {other} | {cells} |")


def print_stages(of_job: dict[str, float], of_limit: Sequence[dict[str, Any]]) -> None:
    """Milliseconds of a core for a film second, in the job and in the limit."""
    in_limit = {
        stage: statistics.median(turn["cpu_s"].get(stage, 0.0) for turn in of_limit) for stage in of_limit[0]["cpu_s"]
    }
    print("\n| stage | job, core ms a film second | share | limit |")
    print("|---|---|---|---|")
    whole_s = sum(of_job.values())
    for stage, spent_s in sorted(of_job.items(), key=lambda item: -item[1]):
        alone = f"{1000 * in_limit[stage]:.1f}" if stage in in_limit else ""
        print(f"| {stage} | {1000 * spent_s:.1f} | {spent_s / whole_s:.0%} | {alone} |")
    print(f"| all | {1000 * whole_s:.1f} | 100% | {1000 * sum(in_limit.values()):.1f} |")


if __name__ == "__main__":
    sys.exit(main())
