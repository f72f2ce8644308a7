"""The cost of growth: the extract job's cost per film-hour for 1 to 64 films, and that of a finished film.

    python -m benchmarks.growth                                   # 1, 4, 16, 64 films; 1,000 and 10,000 finished ones
    python -m benchmarks.growth --films --finished 100 1000       # a quick look at finished films only
    python -m benchmarks.growth --films 1 4 --finished --film-seconds 10

The films are copies of one synthetic clip under other names, with untrained networks (sound and faces): this measures
how the job grows, not how fast the networks are. The cost of a run is the processor time (user and system) of the job
and all its processes, since other work on the machine hardly changes it. The cost of one run over a film of 2 s, which
is mostly start-up, is subtracted from the cost of films.

The cost of a finished film is a slope: the difference of the second runs over more and over fewer films, divided by the
difference of their numbers, so that start-up cancels. The command exits with 1 if it is more than 5 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.cpu_time import run_measured

START_UP_S = 2
MODALITIES = "[audio,face]"
MOST_MS_A_FINISHED_FILM = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints both tables; 1 where a finished film costs too much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, nargs="*", default=[1, 4, 16, 64], help="numbers of films to extract")
    parser.add_argument("--finished", type=int, nargs="*", default=[1000, 10_000], help="numbers of finished films")
    parser.add_argument("--film-seconds", type=int, default=60, help="length of a film")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args(argv)
    console, slope_ms = Console(), 0.0
    with tempfile.TemporaryDirectory(prefix="cineaffect-growth-") as name:
        folder = Path(name)
        if arguments.films:
            console.print(extraction_table(folder, arguments.film_seconds, arguments.films, arguments.workers))
        if arguments.finished:
            clip = write_film(folder / "finished.mp4", arguments.film_seconds)
            table, slope_ms = finished_table(folder, clip, sorted(arguments.finished), arguments.workers)
            console.print(table)
    return int(slope_ms > MOST_MS_A_FINISHED_FILM)


def extraction_table(folder: Path, film_s: int, counts: Sequence[int], workers: int) -> Table:
    """Processor time a film-hour for each number of films."""
    short, clip = write_film(folder / "short.mp4", START_UP_S), write_film(folder / "clip.mp4", film_s)
    start_up_s = run_job(link_films(folder / "start_up", short, 1), folder / "start_up_out", workers)
    table = Table("films", "film-hours", "core s", "core s a film-hour, start-up excluded", box=None)
    for count in counts:
        films, output = link_films(folder / f"films{count}", clip, count), folder / f"out{count}"
        core_s = run_job(films, output, workers)
        hours = count * film_s / 3600
        marginal_s = (core_s - start_up_s) / (hours - START_UP_S / 3600)
        table.add_row(str(count), f"{hours:.2f}", f"{core_s:.1f}", f"{marginal_s:.0f}")
    return table


def finished_table(folder: Path, clip: Path, counts: Sequence[int], workers: int) -> tuple[Table, float]:
    """Processor time of second runs in which every film is done, and of one film more; the last slope in ms."""
    table = Table("finished films", "core s", "core ms for each film beyond the row above", box=None)
    before, before_s, slope_ms = 0, 0.0, 0.0
    for count in counts:
        core_s = measure_finished(folder / f"finished{count}", clip, count, workers)
        if before:
            slope_ms = 1000 * (core_s - before_s) / (count - before)
        table.add_row(str(count), f"{core_s:.2f}", f"{slope_ms:.2f}" if before else "")
        before, before_s = count, core_s
    return table, slope_ms


def measure_finished(folder: Path, clip: Path, count: int, workers: int) -> float:
    """Processor time of a run over films that are all done."""
    films, output = link_films(folder / "films", clip, count), folder / "out"
    one = link_films(folder / "one", clip, 1)
    run_job(one, output, workers)
    copy_record(output, films)
    core_s = run_job(films, output, workers)
    manifest = json.loads((output / "run_manifest.json").read_text())
    if manifest["films"] != {"in": count, "done": 0, "skipped": count, "failed": 0}:
        raise SystemExit(f"not all films were done before: {manifest['films']}")
    return core_s


def link_films(folder: Path, clip: Path, count: int) -> Path:
    """A folder of `count` films, all links to one file."""
    folder.mkdir(parents=True)
    for number in range(count):
        os.link(clip, folder / f"film{number:05d}.mp4")
    return folder


def copy_record(output: Path, films: Path) -> None:
    """Gives every film the record of the first one, as if it had been extracted."""
    from beam_pipelines.contracts.records import records

    record = records.read_record(str(output / "film00000.mp4.tfrecord"))
    for film in sorted(films.iterdir()):
        header = replace(record.header, film_id=film.name, source_uri=str(film))
        records.write_record(replace(record, header=header), str(output / f"{film.name}.tfrecord"))


def run_job(films: Path, output: Path, workers: int) -> float:
    """Runs the extract job as a process; returns the processor time of it and its descendants, in seconds."""
    settings = [f"--set=modalities={MODALITIES}", "--set=audio.weights=untrained", "--set=face.weights=untrained"]
    command = [sys.executable, "-m", "beam_pipelines.extract", "--films", str(films), "--output", str(output)]
    return run_measured([*command, f"--workers={workers}", *settings]).cpu_s


def write_film(path: Path, film_s: int) -> Path:
    """A film of `film_s` seconds, 320 x 180 at 25 frames a second, with noise as its sound."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        audio = container.add_stream("aac", rate=16_000, layout="mono")
        for number in range(25 * film_s):
            picture = np.roll(np.indices((180, 320)).sum(axis=0).astype(np.uint8), number, axis=1)
            frame = av.VideoFrame.from_ndarray(np.repeat(picture[:, :, None], 3, axis=2), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for begin in range(0, 16_000 * film_s, 1024):
            samples = rng.uniform(-0.3, 0.3, (1, 1024)).astype(np.float32)
            sound = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
            sound.sample_rate, sound.pts, sound.time_base = 16_000, begin, Fraction(1, 16_000)
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
    return path


if __name__ == "__main__":
    sys.exit(main())
