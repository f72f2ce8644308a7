"""The films of `benchmarks/decoding.py`: made ones, the same with key frames elsewhere, real ones at a film's length.

Where a wanted frame lies in its GOP decides how much of the GOP has to be decoded. With a key frame every 24 frames at
24,000 / 1001 frames a second, the frame on the screen at second t is number 24 t - 1 for the first 40 seconds: always
the last of its GOP, the worst place. It moves by one frame every 41.7 s, through the whole GOP in 1,001 s. So a short
clip of such a film says nothing about the film. The films of `phases` are the same short clip with a first GOP that
ends early, so that the wanted frames lie at four places spread evenly over the GOP.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from benchmarks.benchmark_clips import FILM_RATE_HZ, GOP_OF_A_SECOND, RECIPES, make_clip, repeat_clip

REAL_CLIPS = Path("../shared/data/clips")
GOP_FRAMES = 24
PLACES = (3, 9, 15, 21)
"""Wanted places in the GOP; the films have the nearest ones that a GOP can be ended for."""


def made_films(folder: Path, seconds: int, only: str = "") -> Iterator[tuple[str, list[Path]]]:
    """Names and films of the recipes; those that take long to encode are short and repeated without recoding."""
    for recipe in RECIPES:
        if only in recipe.name:
            clip = make_clip(recipe, folder, seconds)
            yield recipe.name, [clip if recipe.share == 1 else repeat_clip(clip, folder, seconds)]


def phases(folder: Path, seconds: int, only: str = "") -> Iterator[tuple[str, list[Path]]]:
    """A film of 23.976 frames a second with a key frame every 24: four clips for its mean, and its worst stretch."""
    name = "1080p H.264, GOP of 24 frames (23.976 fps)"
    rows = {f"{name}, over a film": PLACES, f"{name}, worst stretch": (GOP_FRAMES - 1,)}
    for row, places in rows.items():
        if only in row:
            clip = make_clip(GOP_OF_A_SECOND, folder, seconds)
            # With a first GOP of n frames the wanted ones lie at place 23 - n, and at 23 where it is whole.
            lengths = [GOP_FRAMES - 1 - place or GOP_FRAMES for place in places]
            yield row, [end_first_gop_early(clip, length, folder, seconds // 2) for length in lengths]


def real_films(folder: Path, seconds: int, only: str = "") -> Iterator[tuple[str, list[Path]]]:
    """The real clips that are there, each repeated to `seconds` without recoding where it is shorter."""
    for clip in sorted(REAL_CLIPS.glob("*.*")):
        if only not in clip.name:
            continue
        with av.open(str(clip)) as container:
            is_long = (container.duration or 0) >= seconds * av.time_base
        yield clip.name, [clip if is_long else repeat_clip(clip, folder, seconds)]


def end_first_gop_early(clip: Path, frames: int, folder: Path, seconds: int) -> Path:
    """The clip at 23.976 frames a second, of its first GOP only about `frames` frames; whole GOPs for `seconds`.

    Nothing is recoded: packets at the end of the first GOP are left out, as many as leave a gapless start, and the rest
    moves up.
    """
    path = folder / f"{clip.stem}_{frames}_of_first_gop_{seconds}s.mp4"
    if path.exists():
        return path
    unfinished = path.with_suffix(".part.mp4")
    with av.open(str(clip)) as source, av.open(str(unfinished), "w") as container:
        stream = source.streams.video[0]
        packets = [packet for packet in source.demux(stream) if packet.size]
        numbers = [frame_number(packet) for packet in packets]
        kept = first_frames(numbers[:GOP_FRAMES], frames)
        copy: Any = container.add_stream_from_template(stream)
        copy.time_base = 1 / FILM_RATE_HZ
        for place, (packet, number) in enumerate(zip(packets, numbers, strict=True)):
            earlier = 0 if place < kept else GOP_FRAMES - kept
            if packet.is_keyframe and number - earlier >= seconds * FILM_RATE_HZ:
                break
            if kept <= place < GOP_FRAMES:
                continue
            # Two frames of delay, as the clip has it: x264 decodes up to two frames ahead.
            packet.time_base = 1 / FILM_RATE_HZ
            packet.pts, packet.dts, packet.duration = number - earlier, place - earlier - 2, 1
            packet.stream = copy
            container.mux(packet)
    unfinished.rename(path)
    return path


def frame_number(packet: Any) -> int:
    """Place of a packet's frame in presentation order, in a clip of 24 frames a second that begins at 0."""
    return round(packet.pts * packet.time_base * 24)


def first_frames(numbers: list[int], frames: int) -> int:
    """The number of packets, nearest to `frames`, after which the frames so far have no gap."""
    gapless = [count for count in range(1, len(numbers) + 1) if max(numbers[:count]) == count - 1]
    return min(gapless, key=lambda count: abs(count - frames))


def places_in_gop(path: Path, rate_hz: Fraction) -> list[int]:
    """For each second of a clip of constant rate, how many frames after its key frame the frame on the screen is."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    times = sorted(packet.pts for packet in packets)
    first, time_base = times[0], packets[0].time_base
    keys = [times.index(packet.pts) for packet in packets if packet.is_keyframe]
    seconds = int((times[-1] - first) * time_base) + 1
    wanted = [int(second * rate_hz) for second in range(seconds)]
    return [number - max(key for key in keys if key <= number) for number in wanted]
