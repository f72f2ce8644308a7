"""What growth costs: the extract job's cost a film-hour for 1 to 64 films, and that of a film that is done already.

    python -m benchmarks.growth                       # 1, 4, 16, 64 films; 1,000 and 2,000 finished ones
    python -m benchmarks.growth --finished 1000 10000

The films are copies of one synthetic clip under other names, with untrained networks: what is measured is how the job
grows, not how fast the networks are. The cost of a run is the processor time (user and system) of the job and all its
workers, since other work on the machine hardly changes that; start-up is the cost of a run over one finished film.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
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

FILM_S = 60
MODALITIES = "[audio,face]"


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, nargs="*", default=[1, 4, 16, 64], help="numbers of films to extract")
    parser.add_argument("--finished", type=int, nargs="*", default=[1000, 2000], help="numbers of finished films")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args(argv)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="cineaffect-growth-") as folder:
        clip = write_film(Path(folder) / "clip.mp4")
        start_up_s = measure_finished(Path(folder) / "start_up", clip, 1, arguments.workers)
        if arguments.films:
            console.print(extraction_table(Path(folder), clip, arguments.films, arguments.workers, start_up_s))
        if arguments.finished:
            console.print(finished_table(Path(folder), clip, arguments.finished, arguments.workers, start_up_s))
    return 0


def extraction_table(folder: Path, clip: Path, counts: Sequence[int], workers: int, start_up_s: float) -> Table:
    """Processor time a film-hour for each number of films."""
    table = Table("films", "film-hours", "core s", "core s a film-hour, start-up excluded", box=None)
    for count in counts:
        films, output = link_films(folder / f"films{count}", clip, count), folder / f"out{count}"
        core_s = run_job(films, output, workers)
        hours = count * FILM_S / 3600
        table.add_row(str(count), f"{hours:.2f}", f"{core_s:.1f}", f"{(core_s - start_up_s) / hours:.0f}")
    return table


def finished_table(folder: Path, clip: Path, counts: Sequence[int], workers: int, start_up_s: float) -> Table:
    """Processor time of second runs in which every film is done, and of one film more."""
    table = Table("finished films", "core s", "core ms a film more", box=None)
    before, before_s = 1, start_up_s
    for count in counts:
        core_s = measure_finished(folder / f"finished{count}", clip, count, workers)
        table.add_row(str(count), f"{core_s:.2f}", f"{1000 * (core_s - before_s) / (count - before):.2f}")
        before, before_s = count, core_s
    return table


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
    from beam_pipelines import records
    from beam_pipelines.compute import start_tensorflow

    start_tensorflow(1)  # it writes the records
    record = records.read_record(str(output / "film00000.mp4.tfrecord"))
    for film in sorted(films.iterdir()):
        header = replace(record.header, film_id=film.name, source_uri=str(film))
        records.write_record(replace(record, header=header), str(output / f"{film.name}.tfrecord"))


def run_job(films: Path, output: Path, workers: int) -> float:
    """Runs the extract job as a process; returns the processor time of it and its children, in seconds."""
    settings = [f"--set=modalities={MODALITIES}", "--set=audio.weights=untrained", "--set=face.weights=untrained"]
    command = [sys.executable, "-m", "beam_pipelines.extract", "--films", str(films), "--output", str(output)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command, f"--workers={workers}", *settings], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def write_film(path: Path) -> Path:
    """A film of `FILM_S` seconds, 320 x 180 at 25 frames a second, with noise as its sound."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        audio = container.add_stream("aac", rate=16_000, layout="mono")
        for number in range(25 * FILM_S):
            picture = np.roll(np.indices((180, 320)).sum(axis=0).astype(np.uint8), number, axis=1)
            frame = av.VideoFrame.from_ndarray(np.repeat(picture[:, :, None], 3, axis=2), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for begin in range(0, 16_000 * FILM_S, 1024):
            samples = rng.uniform(-0.3, 0.3, (1, 1024)).astype(np.float32)
            sound = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
            sound.sample_rate, sound.pts, sound.time_base = 16_000, begin, Fraction(1, 16_000)
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
    return path


if __name__ == "__main__":
    sys.exit(main())
