"""Small pictures along a film's time, side by side in one JPEG (a sprite), for the strip under its curves."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import Any

import av
import numpy as np
from av.container import InputContainer

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media.clock.clock_jumps import find_jumps
from beam_pipelines.media.clock.joined_clock import ClockJump
from beam_pipelines.media.decode import DecodeQuality, RangeCounts, decode_packet, opened_film, packets
from beam_pipelines.media.video.orientation import orientation_of
from beam_pipelines.media.video.picture_choice import choose_picture
from beam_pipelines.report.page_folder import read_data

STEP = "thumbnails"
FORMAT = 1
"""Raise it when new code makes other thumbnails of the same film."""
MOST_THUMBNAILS = 48
HEIGHT_PX = 64
_MOST_WIDTH_PX = 160
_MOST_PACKETS = 3000
"""So many packets without a key frame are held in memory; behind them the picture before stays."""
_JPEG_QUALITY = 5
"""FFmpeg's scale: 2 is best, 31 worst."""


@dataclass(frozen=True)
class Sprite:
    """Thumbnails of one film.

    Attributes:
        jpeg: the picture, `count` thumbnails from left to right.
        count: the number of thumbnails.
        width_px, height_px: size of one thumbnail.
        step_s: thumbnail n shows the film at n * step_s.
        of: what it was made from, so that a later page keeps it; empty if that is unknown.
    """

    jpeg: bytes
    count: int
    width_px: int
    height_px: int
    step_s: float
    of: str = ""


def frame_rate_of(path: str, stream: int | None = None) -> Fraction | None:
    """The average frame rate in the header of a film's video stream, or None.

    Args:
        path: a local film.
        stream: the index of the stream that its record names; None to choose it as extraction does.

    Raises:
        FilmError: if FFmpeg can't open the file, or it has no video stream.
    """
    with opened_film(path, STEP) as container:
        rate = _picture_stream(path, container, stream).average_rate
        return Fraction(rate) if rate else None


def kept_sprite(output: str, key: str, of: str, path: str, video: str) -> Sprite | None:
    """The thumbnails of a film in an earlier page, if they are still right; None if there are none.

    Args:
        output: the page's folder.
        key: the name of the film's files in the page.
        of: what they must have been made from (`Sprite.of`).
        path: the film, which must not have changed since.
        video: its address for the page, which must be the same as in the earlier one.
    """
    picture = storage.join(output, "thumbs", f"{key}.jpg")
    made, source = storage.stat(picture), storage.stat(path)
    if not of or made is None or source is None or source.modified_s > made.modified_s:
        return None
    try:
        data = read_data(output, f"film-{key}")
        about = data["sprite"]
        if (about["of"], data["video"]) != (of, video):
            return None
        size = (about["count"], about["width"], about["height"], about["step"])
        return Sprite(storage.read_bytes(picture), *size, of)
    except (FileNotFoundError, ValueError, LookupError, TypeError):  # of another version, or half removed
        return None


def make_sprite(path: str, seconds: int, stream: int | None = None, joined: bool = False) -> Sprite:
    """Pictures of a film at equal distances; a place that can't be decoded repeats the picture before it.

    Args:
        path: a local film.
        seconds: T of the film.
        stream: the index of the stream that its record names; None to choose it as extraction does.
        joined: whether the film's clock has jumps, so that it must be read from its beginning.

    Raises:
        FilmError: if FFmpeg can't open the file, or it has no video stream, or no frame can be decoded.
    """
    count = min(MOST_THUMBNAILS, max(1, seconds))
    step_s = seconds / count
    with opened_film(path, STEP) as container:
        video = _picture_stream(path, container, stream)
        video.thread_type = "AUTO"
        first = video.start_time or 0
        ticks = [first + round(place * step_s / video.time_base) for place in range(count)]
        if joined:
            pictures = _in_order(container, video, find_jumps(path, video.index), ticks)
        else:
            pictures = [_picture_at(container, video, tick) for tick in ticks]
    first = next((picture for picture in pictures if picture is not None), None)
    if first is None:
        raise FilmError(STEP, "no_frames", f"{path}: no frame can be decoded")
    # A place without a picture shows the one before it; sizes may change within a damaged film.
    shown = [first]
    for picture in pictures:
        shown.append(picture if picture is not None and picture.shape == first.shape else shown[-1])
    sprite = np.concatenate(shown[1:], axis=1)
    return Sprite(_jpeg(sprite), count, first.shape[1], first.shape[0], step_s)


def _picture_stream(path: str, container: InputContainer, stream: int | None) -> Any:
    named: Any = container.streams[stream] if stream is not None and stream < len(container.streams) else None
    if named is not None and named.type == "video" and named.codec_context is not None:
        return named
    return choose_picture(path, container, STEP)


def _in_order(
    container: InputContainer, video: Any, jumps: Sequence[ClockJump], ticks: Sequence[int]
) -> list[np.ndarray | None]:
    """The pictures at ascending ticks of the joined clock: each group of packets in which one lies is decoded."""
    pictures: list[np.ndarray | None] = []
    group: list[Any] = []
    for packet in chain(packets(container, video, DecodeQuality(), jumps), [None]):
        if packet is not None and not (packet.is_keyframe and packet.pts is not None and group):
            group += [packet] if len(group) < _MOST_PACKETS else []
            continue
        until = len(ticks) if packet is None else bisect_left(ticks, packet.pts)
        if until > len(pictures):
            frames = sorted(_decoded(video, group), key=lambda frame: frame.pts)
            for tick in ticks[len(pictures) : until]:
                place = bisect_right(frames, tick, key=lambda frame: frame.pts)
                frame = frames[max(place - 1, 0)] if frames else None
                pictures.append(None if frame is None else _scaled(frame, video.sample_aspect_ratio))
        group = [packet]
    return pictures


def _decoded(video: Any, group: Sequence[Any]) -> list[Any]:
    counts = RangeCounts(DecodeQuality())
    frames = [frame for packet in [*group, None] for frame in decode_packet(video, packet, counts)]
    video.codec_context.flush_buffers()
    return [frame for frame in frames if frame.pts is not None]


def _picture_at(container: InputContainer, video: Any, target: int) -> np.ndarray | None:
    """The frame on screen at a tick, scaled; uint8 [HEIGHT_PX, width, 3], or None."""
    found = None
    try:
        container.seek(target, stream=video, backward=True)
        for frame in container.decode(video):
            if frame.pts is not None and frame.pts > target and found is not None:
                break
            found = frame
            if frame.pts is None or frame.pts >= target:
                break
    except av.FFmpegError:
        # The film is damaged here: the last frame before the damage is the nearest.
        if found is None:
            return None
    return None if found is None else _scaled(found, video.sample_aspect_ratio)


def _scaled(frame: Any, sample_aspect: Fraction | None) -> np.ndarray:
    orientation = orientation_of(frame)
    aspect = frame.width / frame.height * float(sample_aspect or 1)
    if orientation.swaps_sides:
        aspect = 1 / aspect
    width_px = int(min(max(16, round(HEIGHT_PX * aspect)), _MOST_WIDTH_PX))
    sides_px = (HEIGHT_PX, width_px) if orientation.swaps_sides else (width_px, HEIGHT_PX)
    small = frame.reformat(width=sides_px[0], height=sides_px[1], format="rgb24", threads=1)
    return orientation.apply(small.to_ndarray())


def _jpeg(image: np.ndarray) -> bytes:
    encoder: Any = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height = image.shape[1], image.shape[0]
    encoder.pix_fmt, encoder.time_base = "yuvj420p", Fraction(1, 1)
    encoder.thread_count = 1
    encoder.qmin = encoder.qmax = _JPEG_QUALITY
    frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuvj420p", threads=1)
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
