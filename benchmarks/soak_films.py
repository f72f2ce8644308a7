"""The soak's films: seconds long and as small as a stamp, each of its own content; some are long, some are broken."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import numpy as np

from tests.support.synthetic_clips import Sound, numbered_picture, regular_times, write_clip

RATE_HZ = 8_000
LONG_S = 310
"""Longer than the shortest segment, so that such a film is extracted in parts."""


def write_films(folder: Path, count: int, draws: random.Random) -> list[str]:
    """Writes films, one of a hundred long and three of a hundred broken, at least one of each kind.

    Returns:
        The names of the broken ones: empty, cut off, no film at all.
    """
    folder.mkdir()
    names = [f"film{number:04d}.mp4" for number in range(count)]
    of_each = -(-count // 100)
    chosen = draws.sample(names, 4 * of_each)
    long, broken = set(chosen[:of_each]), chosen[of_each:]
    for number, name in enumerate(names):
        _write_film(folder / name, number, LONG_S if name in long else draws.randint(1, 3))
    for number, name in enumerate(broken):
        path = folder / name
        content = path.read_bytes()
        path.write_bytes((b"", content[: len(content) // 3], b"this is no film\n" * 100)[number % 3])
    return sorted(broken)


def _write_film(path: Path, number: int, seconds: int) -> None:
    rate_hz = 1 if seconds == LONG_S else 4
    times = np.arange(RATE_HZ * seconds) / RATE_HZ
    samples = 0.4 * np.sin(2 * np.pi * (200 + 5 * number) * times) * (0.5 + 0.5 * np.sin(2 * np.pi * times / 7))
    images = [numbered_picture((number * 131 + frame) % 65536) for frame in range(rate_hz * seconds)]
    sound = Sound([(Fraction(0), samples.astype(np.float32)[None])], RATE_HZ)
    write_clip(path, regular_times(len(images), rate_hz), sound=sound, rate_hz=rate_hz, images=images)
