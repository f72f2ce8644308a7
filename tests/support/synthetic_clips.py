"""Maker of small films whose truth is known: each frame carries its number in its pixels, the sound is given.

The number is 16 black or white blocks and below them the same bits inverted, so that a misreading (a blend of two
frames, a picture turned wrongly) is found out and not taken for another number.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np

BLOCK_PX = 16
BITS_PER_ROW = 8
WIDTH_PX = BLOCK_PX * BITS_PER_ROW
HEIGHT_PX = BLOCK_PX * 4
TICKS_HZ = 90_000


def numbered_picture(number: int) -> np.ndarray:
    """uint8 [64, 128, 3]: the picture that carries `number` (0 to 65535)."""
    bits = np.array([number >> place & 1 for place in range(16)], dtype=np.uint8).reshape(2, BITS_PER_ROW)
    blocks = np.concatenate([bits, 1 - bits]) * 219 + 18
    gray = blocks.repeat(BLOCK_PX, axis=0).repeat(BLOCK_PX, axis=1)
    return np.repeat(gray[:, :, None], 3, axis=2)


def read_number(image: np.ndarray) -> int:
    """The number that a (decoded) picture carries.

    Raises:
        ValueError: where the picture carries none.
    """
    if image.shape != (HEIGHT_PX, WIDTH_PX, 3):
        raise ValueError(f"not a numbered picture: {image.shape}")
    rows = image.mean(axis=2).reshape(4, BLOCK_PX, BITS_PER_ROW, BLOCK_PX)
    blocks = rows[:, 4:-4, :, 4:-4].mean(axis=(1, 3)) > 127
    if not np.array_equal(blocks[:2], ~blocks[2:]):
        raise ValueError("not a numbered picture: the inverted bits don't agree")
    return int(sum(int(bit) << place for place, bit in enumerate(blocks[:2].ravel())))


@dataclass(frozen=True, eq=False)
class Sound:
    """Sound for a clip: stretches of samples, each `float32 [channels, n]`, with the second at which it starts."""

    stretches: Sequence[tuple[Fraction, np.ndarray]]
    rate_hz: int = 48_000
    layout: str = "mono"
    codec: str = "pcm_s16le"
    sample_format: str | None = None
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """How a clip's pictures are stored; `rotation_deg` is the clockwise turn that a player has to apply.

    `sample_aspect` is the width of a stored pixel divided by its height, if the file is to say so.
    """

    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=lambda: {"preset": "ultrafast", "g": "12", "crf": "18"})
    rotation_deg: int = 0
    mirrored: bool = False
    sample_aspect: Fraction | None = None


B_FRAMES = Picture(options={"preset": "veryfast", "bf": "3", "b-adapt": "0", "g": "24", "crf": "18", "refs": "3"})


def regular_times(count: int, rate_hz: Fraction | int, start_s: Fraction | int = 0) -> list[Fraction]:
    """Timestamps of `count` frames at a constant rate."""
    return [start_s + Fraction(number) / rate_hz for number in range(count)]


def write_clip(
    path: Path,
    times_s: Sequence[Fraction],
    *,
    picture: Picture = Picture(),
    sound: Sound | None = None,
    rate_hz: Fraction | int = 25,
    time_base: Fraction = Fraction(1, TICKS_HZ),
    images: Sequence[np.ndarray] | None = None,
    muxer_options: dict[str, str] | None = None,
) -> Path:
    """Writes a film with one numbered frame at each of the given times; numbers count from 0 in time's order.

    Each frame lasts to the next, the last one 1 / rate. The film is read back: a reader sees as many packets as there
    are frames, save where `muxer_options` ask for an edit list, which may hide some on purpose.

    Raises:
        UnreadableClip: where a reader sees fewer.
    """

    def write(last_s: Fraction | None) -> int:
        with av.open(str(path), "w", options=muxer_options or {}) as container:
            video = _add_video(container, picture, rate_hz, time_base)
            audio: Any = None
            if sound is not None:
                audio = container.add_stream(
                    sound.codec, rate=sound.rate_hz, layout=sound.layout, options=dict(sound.options)
                )
                if sound.sample_format is not None:
                    audio.codec_context.format = sound.sample_format
            _encode_pictures(container, video, times_s, picture, Fraction(rate_hz), images, last_s)
            if sound is not None:
                _encode_sound(container, audio, sound)
        return len(stored_packets(path))

    try:
        found = write(None)
        if found < len(times_s) and "use_editlist" not in (muxer_options or {}):
            # FFmpeg's reader of MP4 takes the time to a key frame's successor in decoding order for the time that it is
            # shown. With B-frames that can be longer, reach beyond the end of the edit list that the muxer wrote, and
            # the reader drops what follows. An edit list that ends later than any frame can reach is read whole.
            longest_s = max(end_s - begin_s for begin_s, end_s in pairwise(times_s))
            found = write(1 / Fraction(rate_hz) + longest_s)
            if found < len(times_s):
                raise UnreadableClip(f"{path.name}: {len(times_s)} frames written, a reader sees {found}")
    finally:
        _leave_real_time_scheduling()
    return path


class UnreadableClip(Exception):
    """A clip that isn't what its maker was asked for: the fault is the maker's, not that of the code under test."""


def _leave_real_time_scheduling() -> None:
    """Undoes what SVT-AV1 does to a process of root: it makes it a real-time one, and so every process started later.

    Two workers with real-time priority would starve everything else on two cores, each other included.
    """
    if not hasattr(os, "sched_setscheduler"):
        return
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):
            if os.sched_getscheduler(int(thread)) != os.SCHED_OTHER:
                os.sched_setscheduler(int(thread), os.SCHED_OTHER, os.sched_param(0))


def stored_packets(path: Path, kind: str = "video") -> list[Any]:
    """The packets of the first stream of a kind (`video`, `audio`), in file order."""
    with av.open(str(path)) as container:
        return [packet for packet in container.demux(**{kind: 0}) if packet.size]


def overwrite_packets(path: Path, packets: Sequence[Any], byte: bytes) -> None:
    """Fills the given packets' places in the file with one byte's value, so that they can't be decoded."""
    content = bytearray(path.read_bytes())
    for packet in packets:
        place = content.find(bytes(packet))
        assert place > 0, "the container does not store this packet as it is"
        content[place : place + packet.size] = byte * packet.size
    path.write_bytes(content)


def _add_video(container: Any, picture: Picture, rate_hz: Fraction | int, time_base: Fraction) -> Any:
    video = container.add_stream(picture.codec, rate=rate_hz, options=dict(picture.options))
    sides = (WIDTH_PX, HEIGHT_PX) if picture.rotation_deg % 180 == 0 else (HEIGHT_PX, WIDTH_PX)
    video.width, video.height = sides
    video.pix_fmt = "yuv420p"
    if picture.sample_aspect is not None:
        video.sample_aspect_ratio = picture.sample_aspect
    video.codec_context.time_base = time_base
    video.codec_context.thread_count = 1
    if picture.rotation_deg or picture.mirrored:
        # FFmpeg's angle is counter-clockwise.
        video.set_display_rotation(-picture.rotation_deg, hflip=picture.mirrored)
    return video


def _encode_pictures(
    container: Any,
    video: Any,
    times_s: Sequence[Fraction],
    picture: Picture,
    rate_hz: Fraction,
    images: Sequence[np.ndarray] | None,
    last_s: Fraction | None,
) -> None:
    """Encodes and muxes all frames; `last_s` is how long the last one lasts, 1 / rate without it."""
    packets: list[Any] = []
    time_base = video.codec_context.time_base
    ticks = [round(time_s / time_base) for time_s in times_s]
    ends = [*ticks[1:], ticks[-1] + round(1 / rate_hz / time_base)]
    for number, (pts, end) in enumerate(zip(ticks, ends, strict=True)):
        image = numbered_picture(number) if images is None else images[number]
        # What a player turns, the camera stored turned the other way.
        stored = image[:, ::-1] if picture.mirrored else image
        stored = np.ascontiguousarray(np.rot90(stored, k=picture.rotation_deg // 90))
        frame = av.VideoFrame.from_ndarray(stored, format="rgb24")
        frame.pts, frame.time_base, frame.duration = pts, time_base, end - pts
        packets += video.encode(frame)
    packets += video.encode(None)
    if last_s is not None:
        max(packets, key=lambda packet: packet.pts).duration = round(last_s / time_base)
    container.mux(packets)


def _encode_sound(container: Any, audio: Any, sound: Sound) -> None:
    for start_s, samples in sound.stretches:
        position = round(start_s * sound.rate_hz)
        for begin in range(0, samples.shape[1], 1024):
            part = samples[:, begin : begin + 1024]
            # Interleaved, for PyAV can't fill eight and more planes.
            interleaved = np.ascontiguousarray(part.T, dtype=np.float32).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(interleaved, "flt", sound.layout)
            frame.sample_rate = sound.rate_hz
            frame.pts, frame.time_base = position + begin, Fraction(1, sound.rate_hz)
            container.mux(audio.encode(frame))
    container.mux(audio.encode(None))
