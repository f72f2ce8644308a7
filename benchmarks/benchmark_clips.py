"""Films for measuring: generated ones, and short clips repeated to a film's length.

Generated films are shots of moving, textured, grainy pictures with cuts, coded as films are coded, and the same in
every run. Texture is noise in octaves (so that all block sizes occur), the camera drifts by fractions of a pixel and
sways, three objects move across, grain is new in every frame, and a shot lasts 2 to 7 s.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from scipy.ndimage import zoom

OCTAVES = range(1, 9)
GRAIN = 2.0
DRIFT_PX = 400


@dataclass(frozen=True)
class ClipRecipe:
    """How a clip is coded; without options with the encoder's own defaults."""

    name: str
    codec: str
    width_px: int
    height_px: int
    rate_hz: Fraction
    options: dict[str, str] = field(default_factory=dict)
    share: float = 1.0
    """Length as a share of the others' (HEVC takes long to encode)."""
    suffix: str = "mp4"


FILM_RATE_HZ = Fraction(24_000, 1001)
X265_QUIET = {"x265-params": "log-level=none"}
GOP_OF_A_SECOND = ClipRecipe(
    "1080p H.264, GOP of 1 s (fixed, 24 fps)", "libx264", 1920, 1080, Fraction(24), {"g": "24", "sc_threshold": "0"}
)
RECIPES = (
    ClipRecipe("1080p H.264, x264 defaults", "libx264", 1920, 1080, FILM_RATE_HZ),
    GOP_OF_A_SECOND,
    ClipRecipe("480p H.264, x264 defaults", "libx264", 854, 480, FILM_RATE_HZ),
    ClipRecipe("1080p HEVC, x265 defaults", "libx265", 1920, 1080, FILM_RATE_HZ, X265_QUIET, share=0.5),
    ClipRecipe("480p MPEG-4, FFmpeg's defaults", "mpeg4", 854, 480, FILM_RATE_HZ, share=0.25),
    ClipRecipe("480p VP8, libvpx defaults", "libvpx", 854, 480, FILM_RATE_HZ, share=0.25, suffix="webm"),
    ClipRecipe("480p VP9, libvpx defaults", "libvpx-vp9", 854, 480, FILM_RATE_HZ, share=0.25, suffix="webm"),
    ClipRecipe("480p AV1, SVT-AV1 defaults", "libsvtav1", 854, 480, FILM_RATE_HZ, share=0.25),
)


def make_clip(recipe: ClipRecipe, folder: Path, seconds: int) -> Path:
    """Encodes a clip, or finds it from an earlier run."""
    seconds = round(seconds * recipe.share)
    stem = "".join(character if character.isalnum() else "_" for character in recipe.name)
    path = folder / f"{stem}_{seconds}s.{recipe.suffix}"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".part.{recipe.suffix}")
    with av.open(str(unfinished), "w") as container:
        stream: Any = container.add_stream(recipe.codec, rate=recipe.rate_hz, options=dict(recipe.options))
        stream.width, stream.height, stream.pix_fmt = recipe.width_px, recipe.height_px, "yuv420p"
        planes = film(recipe.height_px, recipe.width_px, round(seconds * recipe.rate_hz), float(recipe.rate_hz))
        for number, picture in enumerate(planes):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number, 1 / recipe.rate_hz
            container.mux(stream.encode(frame))
            if not number:
                leave_real_time_scheduling()
        container.mux(stream.encode(None))
    leave_real_time_scheduling()
    unfinished.rename(path)
    return path


def leave_real_time_scheduling() -> None:
    """Undoes what SVT-AV1 does to a process of root: it, and all that it starts later, become real-time ones."""
    if not hasattr(os, "sched_setscheduler"):
        return
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):
            if os.sched_getscheduler(int(thread)) != os.SCHED_OTHER:
                os.sched_setscheduler(int(thread), os.SCHED_OTHER, os.sched_param(0))


def repeat_clip(clip: Path, folder: Path, seconds: int) -> Path:
    """The packets of a clip's best picture and sound over and over, until at least `seconds` are full."""
    path = folder / f"{clip.stem}_{seconds}s{clip.suffix}"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".part{clip.suffix}")
    with av.open(str(unfinished), "w") as container:
        with av.open(str(clip)) as source:
            best = [stream for stream in map(source.streams.best, ("video", "audio")) if stream is not None]
            # Opaque: decoded by dav1d, AV1 has no encoder of that name to copy the settings of.
            copies = {stream.index: container.add_stream_from_template(stream, opaque=True) for stream in best}
        end_s, last = Fraction(0), dict.fromkeys(copies, -(1 << 62))
        while end_s < seconds:
            begin_s = end_s
            with av.open(str(clip)) as source:
                for packet in source.demux([source.streams[index] for index in copies]):
                    index = packet.stream.index
                    if not packet.size or packet.pts is None:
                        continue
                    offset = round(begin_s / packet.time_base)
                    packet.dts = (packet.pts if packet.dts is None else packet.dts) + offset
                    packet.pts += offset
                    # A codec's priming would begin before the repetition before it has ended.
                    if packet.dts > last[index]:
                        last[index] = packet.dts
                        end_s = max(end_s, (packet.pts + (packet.duration or 0)) * packet.time_base)
                        packet.stream = copies[index]
                        container.mux(packet)
    unfinished.rename(path)
    return path


def add_sound(film_path: Path) -> Path:
    """The same film with a track of noise beside its picture, AAC at 48 kHz."""
    path = film_path.with_stem(f"{film_path.stem}_sound")
    if path.exists():
        return path
    unfinished, rng = path.with_suffix(".part.mp4"), np.random.default_rng(2)
    with av.open(str(film_path)) as source, av.open(str(unfinished), "w") as container:
        picture = source.streams.video[0]
        copy = container.add_stream_from_template(picture)
        sound: Any = container.add_stream("aac", rate=48_000, layout="stereo")
        sounded = 0
        for packet in source.demux(picture):
            if not packet.size or packet.pts is None:
                continue
            until = float(packet.pts * packet.time_base) * 48_000
            while sounded < until:
                samples = rng.uniform(-0.3, 0.3, (2, 1024)).astype(np.float32)
                frame = av.AudioFrame.from_ndarray(samples, "fltp", "stereo")
                frame.sample_rate, frame.pts, frame.time_base = 48_000, sounded, Fraction(1, 48_000)
                container.mux(sound.encode(frame))
                sounded += 1024
            packet.stream = copy
            container.mux(packet)
        container.mux(sound.encode(None))
    unfinished.rename(path)
    return path


def film(height_px: int, width_px: int, frames: int, rate_hz: float) -> Iterator[np.ndarray]:
    """uint8 [height * 3 / 2, width] each: the planes of YUV 4:2:0 one below the other."""
    rng = np.random.default_rng(1)
    cuts = np.cumsum(rng.uniform(2.0, 7.0, 1 + frames)) * rate_hz
    grain = [rng.normal(0, GRAIN, (height_px + 64, width_px + 64)).astype(np.float32) for _ in range(3)]
    shot, start = None, 0
    for number in range(frames):
        if shot is None or number >= cuts[0]:
            cuts = cuts[cuts > number]
            shot, start = Shot(rng, height_px, width_px), number
        luma, chroma = shot.picture(number - start)
        top, left = rng.integers(0, 64, 2)
        luma = luma + grain[number % 3][top : top + height_px, left : left + width_px]
        whole = [np.clip(luma, 16, 235).astype(np.uint8).ravel(), *(plane.ravel() for plane in chroma)]
        yield np.concatenate(whole).reshape(height_px * 3 // 2, width_px)


class Shot:
    """One take: a textured background that drifts, and three objects."""

    def __init__(self, rng: np.random.Generator, height_px: int, width_px: int):
        self._size = height_px, width_px
        self._back = texture(rng, height_px + DRIFT_PX, width_px + DRIFT_PX) * 170 + 30
        halves = (height_px + DRIFT_PX) // 2, (width_px + DRIFT_PX) // 2
        self._chroma = [(texture(rng, *halves) * 80 + 88).astype(np.uint8) for _ in range(2)]
        self._drift = rng.uniform(-1.5, 1.5, 2) * (rng.random() < 0.7)
        self._phase = rng.uniform(0, 6, 2)
        self._objects = [texture(rng, height_px // 3, width_px // 4) * 160 + 40 for _ in range(3)]
        self._from = rng.uniform(0, 0.6, (3, 2)) * self._size
        self._speed = rng.uniform(-5, 5, (3, 2)) * height_px / 1080

    def picture(self, age: int) -> tuple[np.ndarray, list[np.ndarray]]:
        """Luma, float32 [height, width], and both chroma planes, `age` frames after the cut."""
        height_px, width_px = self._size
        sway = 8 * np.sin(np.array([0.05, 0.03]) * age + self._phase)
        place = np.clip(DRIFT_PX / 2 + self._drift * age + sway, 0, DRIFT_PX - 2)
        (top, left), (down, right) = place.astype(int), place % 1
        part = self._back[top : top + height_px + 1, left : left + width_px + 1]
        part = part[:-1] * (1 - down) + part[1:] * down
        luma = part[:, :-1] * (1 - right) + part[:, 1:] * right
        for image, begin, speed in zip(self._objects, self._from, self._speed, strict=True):
            room = height_px - image.shape[0], width_px - image.shape[1]
            y, x = np.clip(begin + speed * age, 0, room).astype(int)
            luma[y : y + image.shape[0], x : x + image.shape[1]] = image
        rows, columns = slice(top // 2, top // 2 + height_px // 2), slice(left // 2, left // 2 + width_px // 2)
        return luma, [plane[rows, columns] for plane in self._chroma]


def texture(rng: np.random.Generator, height_px: int, width_px: int) -> np.ndarray:
    """float32 [height, width] in [0, 1]: noise at all scales."""
    total = np.zeros((height_px, width_px), np.float32)
    for octave in OCTAVES:
        shape = [max(2, side * 2**octave // 512 + 2) for side in (height_px, width_px)]
        coarse = rng.standard_normal(shape).astype(np.float32)
        fine = zoom(coarse, (height_px / shape[0], width_px / shape[1]), order=1)
        total += fine[:height_px, :width_px] * 0.75**octave
    total -= total.min()
    return total / total.max()
