"""What `cineaffect look` costs beside decoding: core milliseconds for a second of film.

    python -m benchmarks.look FILM ...

Each film is repeated to two lengths. The difference of two looks is the cost of the seconds between; what they have in
common is the start (Beam, TensorFlow, the page). "decoding" is what the film's planned pictures and its sound cost
alone, in one process that does nothing with them. The three take turns. Core time of all processes counts, so that the
numbers hold on a busy machine, if not exactly.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from beam_pipelines.media.decode import DecodeQuality, RangeCounts, decoded_frames, opened_film, packets
from beam_pipelines.media.probe import probe_film
from beam_pipelines.media.video.sample_frames import sample_frames
from benchmarks.benchmark_clips import repeat_clip
from benchmarks.cpu_time import run_measured

LIMIT_MS = 25.0
FILM_S = 7200
COLUMNS = ("decoding", "look", "beside decoding", "start, s", f"beside decoding, with the start, of {FILM_S // 3600} h")


def main() -> int:
    """Prints a row a film, the medians of the turns; 1 if a film is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", nargs="+", type=Path)
    parser.add_argument("--seconds", nargs=2, type=int, default=(660, 1860), help="the two lengths")
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    print(f"| film | lines | {' | '.join(COLUMNS)} |\n|---|---|{'---|' * len(COLUMNS)}")
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for film in given.films:
            lengths = [repeat_clip(film, Path(folder), seconds) for seconds in given.seconds]
            turns = [measured(lengths[0], lengths[1], Path(folder)) for _ in range(given.turns)]
            values = [statistics.median(column) for column in zip(*turns, strict=True)]
            print(f"| {film.name} | {probe_film(film).height_px} | {' | '.join(f'{value:.1f}' for value in values)} |")
            worst = max(worst, values[-1])
    return int(worst > LIMIT_MS)


def measured(short: Path, long: Path, folder: Path) -> list[float]:
    """The columns, in their order."""
    seconds, more = (probe_film(film).seconds for film in (short, long))
    decoding_ms = 1000 * decoding_s(long) / more
    with tempfile.TemporaryDirectory(dir=folder) as output:
        costs_s = [look_s(film, Path(output) / film.stem) for film in (short, long)]
    look_ms = 1000 * (costs_s[1] - costs_s[0]) / (more - seconds)
    start_s = costs_s[0] - look_ms * seconds / 1000
    beside_ms = look_ms - decoding_ms
    return [decoding_ms, look_ms, beside_ms, start_s, beside_ms + 1000 * start_s / FILM_S]


def look_s(film: Path, output: Path) -> float:
    """Core seconds of a look at a film that nobody has looked at."""
    command = [sys.executable, "-m", "beam_pipelines.cli", "look", str(film), "--output", str(output)]
    return run_measured(command, {"DISPLAY": "", "WAYLAND_DISPLAY": ""}).cpu_s


def decoding_s(film: Path) -> float:
    """Core seconds of decoding a film's planned pictures and its sound."""
    began_s = time.process_time()
    probe = probe_film(film)
    for _ in sample_frames(film, probe):
        pass
    for track in probe.sound.tracks:
        with opened_film(film, "decode") as container:
            stream, quality = container.streams[track.index], DecodeQuality()
            for _ in decoded_frames(stream, packets(container, stream, quality), RangeCounts(quality)):
                pass
    return time.process_time() - began_s


if __name__ == "__main__":
    sys.exit(main())
