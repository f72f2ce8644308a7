"""One picture per second of a film: planned decoding against decoding everything, in film seconds per core second.

    pip install -r benchmarks/requirements.txt
    python -m benchmarks.decoding                      # makes the clips (half an hour), prints the two tables
    python -m benchmarks.decoding --only 'GOP' --pictures no   # rows with that in their names, first table only
    python -m benchmarks.decoding --films a.mp4 b.mkv  # the same for your own films

The first table measures decoding alone, up to the decoder's frame of every second. For the second table each frame is
converted to an RGB picture at full size: by this project with exactly rounded, interpolated chroma, by the others in
their own way (decord always converts, so its column is the same in both).

Each method runs in its own process, on one core, with one thread. The tables have the CPU time (user and system) of
opening, indexing, decoding and converting, without the start of Python: the median of `--repeats` runs in turns. The
ratio is the median of the turns' ratios. Clips are repeated to `--film-s` seconds: a film is far longer still, so that
the costs per film count for less.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.decoding_films import FilmLengths, made_films, phases, real_films

OURS, EVERYTHING, OPENCV, DECORD, FFMPEG = "planned", "PyAV, all", "OpenCV grab", "decord", "ffmpeg fps=1"


def planned_decoding(path: str, convert: bool) -> int:
    """This project: probe, plan, and planned decoding."""
    from beam_pipelines.media.decode import DecodeQuality, RangeCounts, opened_film, prepare_decoder
    from beam_pipelines.media.probe import probe_film
    from beam_pipelines.media.video.decode_plan import plan_of
    from beam_pipelines.media.video.planned_frames import entered, planned_frames
    from beam_pipelines.media.video.sample_frames import sample_frames

    probe = probe_film(path)
    if convert:
        return sum(1 for frame in sample_frames(path, probe) if frame.image.any())
    # What sample_frames does, without making pictures of the frames.
    with ExitStack() as films:

        def opened() -> tuple[Any, Any]:
            container = films.enter_context(opened_film(path, "decode"))
            prepare_decoder(container.streams[probe.video_index])
            return container, container.streams[probe.video_index]

        container, stream = opened()
        plan = plan_of(container, stream, probe, range(probe.seconds))
        if plan is None:
            return everything(path, convert=False)
        entry = entered(container, stream, plan)
        if entry is None:
            container, stream = opened()
        return sum(1 for _ in planned_frames(container, stream, plan, RangeCounts(DecodeQuality()), entry or 0))


def everything(path: str, convert: bool) -> int:
    """PyAV, every frame; converted is the one on the screen at each second."""
    import av

    pictures = 0
    shown: Any = None
    with av.open(path) as container:
        stream: Any = container.streams.video[0]
        stream.codec_context.thread_count, stream.codec_context.thread_type = 1, "NONE"
        for frame in container.decode(stream):
            if shown is not None and (frame.pts - (stream.start_time or 0)) * stream.time_base > pictures:
                pictures += 1
                if convert:
                    shown.to_ndarray(format="rgb24")
            shown = frame
    if shown is not None and convert:
        shown.to_ndarray(format="rgb24")
    return pictures + 1


def opencv_grab(path: str, convert: bool) -> int:
    """OpenCV: grabs every frame, retrieves one a second (in its own BGR)."""
    import cv2

    cv2.setNumThreads(1)
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    rate_hz, number, pictures = capture.get(cv2.CAP_PROP_FPS), 0, 0
    while capture.grab():
        # The last frame before the next second.
        if int((number + 1) / rate_hz + 1e-6) > int(number / rate_hz + 1e-6) or number == 0:
            pictures += 1
            if convert:
                capture.retrieve()
        number += 1
    return pictures


def decord_skip(path: str, convert: bool) -> int:
    """decord: passes over frames without converting them."""
    import decord

    reader = decord.VideoReader(path, num_threads=1)
    rate_hz, position, pictures = reader.get_avg_fps(), 0, 0
    for number in sorted({int(second * rate_hz + 1e-6) for second in range(int(len(reader) / rate_hz) + 1)}):
        if number >= len(reader):
            break
        if number > position:
            reader.skip_frames(number - position)
        reader.next().asnumpy()
        pictures, position = pictures + 1, number + 1
    return pictures


def ffmpeg_filter(path: str, convert: bool) -> int:
    """The `ffmpeg` program with its fps filter; the pictures go nowhere, which is as cheap as it can be."""
    command = [ffmpeg_program() or "ffmpeg", "-v", "error", "-nostdin", "-threads", "1", "-filter_threads", "1"]
    command += ["-progress", "pipe:1", "-i", path, "-an", "-vf", "fps=1:round=up"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-y", os.devnull] if convert else ["-f", "null", "-"]
    progress = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return int(re.findall(r"^frame=(\d+)", progress, re.MULTILINE)[-1])


Films = Callable[[Path, FilmLengths, str], Iterable[tuple[str, list[Path]]]]

METHODS: dict[str, Callable[[str, bool], int]] = {
    OURS: planned_decoding,
    EVERYTHING: everything,
    OPENCV: opencv_grab,
    DECORD: decord_skip,
    FFMPEG: ffmpeg_filter,
}


MODULES = {OPENCV: ("cv2",), DECORD: ("decord",), OURS: ("beam_pipelines.media.video.sample_frames",)}


def ffmpeg_program() -> str | None:
    """The system's ffmpeg, else the one that comes with imageio-ffmpeg."""
    found = shutil.which("ffmpeg")
    if found is None and find_spec("imageio_ffmpeg"):
        from imageio_ffmpeg import get_ffmpeg_exe

        return get_ffmpeg_exe()
    return found


def available() -> list[str]:
    """The methods that are installed; the others are named."""
    needs = {OPENCV: "cv2", DECORD: "decord"}
    names = [name for name in METHODS if name not in needs or find_spec(needs[name])]
    names = [name for name in names if name != FFMPEG or ffmpeg_program()]
    for name in METHODS:
        if name not in names:
            print(f"{name}: not installed, left out", file=sys.stderr)
    return names


def run_one(method: str, path: str, convert: bool) -> None:
    """Measures in this process and prints the CPU seconds."""
    for module in ("av", "numpy", *MODULES.get(method, ())):
        import_module(module)  # before the clock starts
    before = cpu_s()
    pictures = METHODS[method](path, convert)
    print(json.dumps({"cpu_s": cpu_s() - before, "pictures": pictures}))


def cpu_s() -> float:
    """User and system time of this process, its threads and its finished children."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure(method: str, path: Path, core: int, convert: bool) -> float:
    """CPU seconds of one method on one film; infinite where it can't decode it."""
    command = [sys.executable, "-m", "benchmarks.decoding", "--one", method, str(path), "rgb" if convert else "frame"]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | threads,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    result = json.loads(done.stdout.splitlines()[-1]) if not done.returncode else {"pictures": 0}
    return float(result["cpu_s"]) if result["pictures"] >= film_seconds([path]) / 2 else math.inf


def film_seconds(paths: list[Path]) -> float:
    """How long the films last together."""
    from beam_pipelines.media.probe import probe_film

    return float(sum(probe_film(path).duration_s for path in paths))


def print_table(rows: Iterable[tuple[str, list[Path]]], repeats: int, core: int, convert: bool) -> None:
    """Runs the methods in turns and prints film seconds a core second, and ours against the best other."""
    methods = available()
    print("| film | " + " | ".join(methods) + " | planned / best other |")
    print("|---|" + "---|" * (len(methods) + 1))
    for name, paths in rows:
        length_s = film_seconds(paths)
        times: dict[str, list[float]] = {method: [] for method in methods}
        for _ in range(repeats):
            for method in methods:
                times[method].append(sum(measure(method, path, core, convert) for path in paths))
        speed = {method: length_s / statistics.median(taken) for method, taken in times.items()}
        # Turn by turn, since the machine's own speed drifts by more within minutes than the methods differ by.
        ratios = {
            method: statistics.median(theirs / ours for theirs, ours in zip(taken, times[OURS], strict=True))
            for method, taken in times.items()
            if method != OURS
        }
        cells = [f"{speed[method]:.1f}" if speed[method] else "can't" for method in methods]
        print(f"| {name} | {' | '.join(cells)} | {min(ratios.values()):.2f} |", flush=True)


def chosen_films(arguments: argparse.Namespace, *more: Films) -> Iterator[tuple[str, list[Path]]]:
    """A row's name and its films: the ones given by name, else the made ones and those of `more`."""
    if arguments.films:
        yield from ((path.name, [path]) for path in arguments.films)
        return
    lengths = FilmLengths(arguments.seconds, arguments.film_s)
    for films in (made_films, *more):
        yield from films(arguments.clips, lengths, arguments.only)


def versions() -> str:
    """What was measured with, for the line under the table."""
    found = [
        f"{package} {metadata.version(package)}"
        for package in ("av", "opencv-python-headless", "decord")
        if find_spec({"opencv-python-headless": "cv2"}.get(package, package))
    ]
    program = ffmpeg_program()
    if program:
        first = subprocess.run([program, "-version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
        found.append(" ".join(first.split()[:3]))
    return f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, {', '.join(found)}"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decoding", description=__doc__.split("\n")[0])
    parser.add_argument("--films", nargs="*", type=Path, help="films of your own instead of the made ones")
    parser.add_argument("--clips", type=Path, default=Path("benchmark-clips"), help="where made clips are kept")
    parser.add_argument("--seconds", type=int, default=24, help="of made clips, seconds to encode")
    parser.add_argument("--film-s", type=int, default=120, help="length that all clips are repeated to, not recoded")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="", help="rows whose names have this in them")
    parser.add_argument("--pictures", choices=["yes", "no"], default="yes", help="whether the second table is measured")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="the core to run on")
    parser.add_argument("--one", nargs=3, metavar=("METHOD", "FILM", "OUTPUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        method, path, output = arguments.one
        run_one(method, path, output == "rgb")
        return
    print("\nDecoding alone\n")
    print_table(chosen_films(arguments, phases, real_films), arguments.repeats, arguments.core, convert=False)
    if arguments.pictures == "yes":
        print("\nWith an RGB picture a second\n")
        print_table(chosen_films(arguments), arguments.repeats, arguments.core, convert=True)
    print(f"\nFilm seconds a core second, median of {arguments.repeats}. {versions()}")


if __name__ == "__main__":
    main()
