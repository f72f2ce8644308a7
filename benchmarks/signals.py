"""What the signals cost: core milliseconds for a second of film, decoding and arithmetic apart.

    python -m benchmarks.signals FILM ...

Everything runs in this process on one core. "next frames" is what decoding costs more since the frame after each
picture is decoded too; "film" what is made of all seconds at the end (loudness over windows, change, cuts).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np

from beam_pipelines.extractors.signals.picture_signals import film_of_pictures, second_of_picture
from beam_pipelines.extractors.signals.sound_signals import AFTER_S, BEFORE_S, film_of_sound, second_of_sound
from beam_pipelines.media.audio.channel_windows import channel_windows
from beam_pipelines.media.probe import probe_film
from beam_pipelines.media.video.sample_frames import sample_frames
from beam_pipelines.media.worker.kept_memory import keep_freed_memory

T = TypeVar("T")
TURNS = 3


def main() -> None:
    """Prints a row for each film, the least of three turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", nargs="+", type=Path)
    keep_freed_memory()  # as the job's processes do
    columns = ("pictures", "next frames", "picture_signals", "sound", "sound_signals", "film", "signals in all")
    print(f"| film | lines | {' | '.join(columns)} |\n|---|---|{'---|' * len(columns)}")
    for path in parser.parse_args().films:
        rows = np.min([measured(path) for _ in range(TURNS)], axis=0)
        lines = probe_film(path).height_px
        print(f"| {path.name} | {lines} | {' | '.join(f'{value:.1f}' for value in rows)} |")


def measured(path: Path) -> list[float]:
    """Core milliseconds a film second, in the order of the columns."""
    probe = probe_film(path)
    plain, _ = spent(lambda: [None for _ in sample_frames(path, probe)])
    paired, frames = spent(lambda: list(sample_frames(path, probe, pairs=True)))
    of_pictures, pictures = spent(lambda: rows(second_of_picture(frame, probe.shape) for frame in frames))
    heard, windows = spent(lambda: list(channel_windows(path, probe, before_s=BEFORE_S, after_s=AFTER_S)))
    of_sound, sounds = spent(lambda: rows(map(second_of_sound, windows)))
    present = np.array([window.present for window in windows])
    of_film, _ = spent(lambda: (film_of_pictures(pictures), film_of_sound(sounds, present)))
    times = [plain, paired - plain, of_pictures, heard, of_sound, of_film]
    return [1000 * value / probe.seconds for value in [*times, sum(times[1:])]]


def rows(values: Iterable[np.ndarray]) -> np.ndarray:
    """The seconds as a table."""
    return np.stack([value.astype(np.float32) for value in values])


def spent(work: Callable[[], T]) -> tuple[float, T]:
    """Core seconds, and the result."""
    began_s = time.process_time()
    result = work()
    return time.process_time() - began_s, result


if __name__ == "__main__":
    main()
