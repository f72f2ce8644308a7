"""The films of `benchmarks/decoding.py`: generated ones, some with other key frames, and real ones at a film's length.

The place of a wanted frame in its GOP decides how much of the GOP must be decoded. With a key frame every 24 frames at
24,000 / 1001 frames per second, the frame on screen at second t is number 24 t - 1 for the first 40 seconds: always
the last of its GOP, the worst place. It moves by one frame every 41.7 s, through the whole GOP in 1,001 s. So a short
clip of such a film says nothing about the film. The clip of `phases` has four GOPs that end early, as GOPs do at cuts,
so that the wanted frames lie at four places spread over the GOP.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from benchmarks.benchmark_clips import FILM_RATE_HZ, GOP_OF_A_SECOND, RECIPES, make_clip, repeat_clip

REAL_CLIPS = Path("../shared/data/clips")
GOP_FRAMES = 24
PLACES = (2, 9, 16, 23)
"""Of the wanted frames in their GOPs, a quarter of the clip each: 11.5 on average, as over a whole film."""


@dataclass(frozen=True)
class FilmLengths:
    """How much of a made film is encoded, and how long it is measured.

    Attributes:
        encoded_s: seconds that are encoded (of HEVC and of the small codecs a share of them).
        film_s: seconds that a film lasts, by repetition of its packets.
    """

    encoded_s: int
    film_s: int

    def film_of(self, clip: Path, folder: Path) -> Path:
        """The clip, repeated without recoding where it is shorter than a film."""
        with av.open(str(clip)) as container:
            is_long = (container.duration or 0) >= self.film_s * av.time_base
        return clip if is_long else repeat_clip(clip, folder, self.film_s)


def made_films(folder: Path, lengths: FilmLengths, only: str = "") -> Iterator[tuple[str, list[Path]]]:
    """Names and films of the recipes."""
    for recipe in RECIPES:
        if only in recipe.name:
            yield recipe.name, [lengths.film_of(make_clip(recipe, folder, lengths.encoded_s), folder)]


def phases(folder: Path, lengths: FilmLengths, only: str = "") -> Iterator[tuple[str, list[Path]]]:
    """A film of 23.976 frames a second with a key frame every 24: as it is in all its length, and its worst stretch."""
    name = "1080p H.264, GOP of 24 frames (23.976 fps)"
    for row, places in ((f"{name}, over a film", PLACES), (f"{name}, worst stretch", (GOP_FRAMES - 1,))):
        if only in row:
            film = lengths.film_of(make_clip(GOP_OF_A_SECOND, folder, lengths.encoded_s), folder)
            yield row, [end_gops_early(film, places, folder)]


def real_films(folder: Path, lengths: FilmLengths, only: str = "") -> Iterator[tuple[str, list[Path]]]:
    """The real clips that are there, at a film's length."""
    clips = (clip for clip in sorted(REAL_CLIPS.glob("*.*")) if only in clip.name)
    yield from ((clip.name, [lengths.film_of(clip, folder)]) for clip in clips)


def end_gops_early(clip: Path, places: tuple[int, ...], folder: Path) -> Path:
    """The clip at 23.976 frames a second, its wanted frames at these places in their GOPs, an equal share of it each.

    Nothing is recoded: at the end of the first GOP of a share packets are left out, so many that what is left has no
    gap and the wanted frames of the GOPs after it come to lie nearest to their place; the rest moves up.
    """
    path = folder / f"{clip.stem}_places_{'_'.join(map(str, places))}.mp4"
    if path.exists():
        return path
    unfinished = path.with_suffix(".part.mp4")
    with av.open(str(clip)) as source, av.open(str(unfinished), "w") as container:
        stream = source.streams.video[0]
        copy: Any = container.add_stream_from_template(stream)
        copy.time_base = 1 / FILM_RATE_HZ
        gops = gops_of(source, stream)
        first = {share * len(gops) // len(places): place for share, place in enumerate(places)}
        done = 0
        for number, gop in enumerate(gops):
            # Wanted are the frames before whole seconds, 24 t - 1.
            kept = frames_to_keep(gop, done, first[number]) if number in first else len(gop)
            for place, (packet, shown_at) in enumerate(gop[:kept]):
                packet.time_base = 1 / FILM_RATE_HZ
                # Two frames of delay, as the clip has it.
                packet.pts, packet.dts, packet.duration = done + shown_at, done + place - 2, 1
                packet.stream = copy
                container.mux(packet)
            done += kept
    unfinished.rename(path)
    return path


def gops_of(container: Any, stream: Any) -> list[list[tuple[Any, int]]]:
    """The packets of a clip of 24 frames a second, GOP by GOP, each with its place in the order of showing."""
    gops: list[list[tuple[Any, int]]] = []
    for packet in container.demux(stream):
        if packet.size:
            number = round(packet.pts * packet.time_base * 24)
            if packet.is_keyframe:
                begin = number
                gops.append([])
            gops[-1].append((packet, number - begin))
    return gops


def frames_to_keep(gop: list[tuple[Any, int]], done: int, place: int) -> int:
    """How many packets to keep of a GOP with `done` frames before it, for wanted frames nearest to `place`."""
    gapless = [count for count in range(1, len(gop) + 1) if max(shown for _, shown in gop[:count]) == count - 1]
    return min(gapless, key=lambda count: abs((-1 - done - count) % GOP_FRAMES - place))


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
