"""Which of a film's video streams is its picture: FFmpeg's best one of those that move."""

from __future__ import annotations

from typing import Any

from av.container import InputContainer
from av.stream import Disposition

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media.decode import DecodeQuality, opened_film, packets

# FFmpeg treats covers and thumbnails as video streams, but they are no films.
_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails
# A stream beside one that moves is a still if its pictures are further apart than this, on average (ours).
_STILL_BEYOND_S = 10


def choose_picture(path: str, container: InputContainer, step: str) -> Any:
    """The video stream that is the film.

    Attached pictures and thumbnails never are. Stills (by their flag, or fewer than one picture in 10 s) aren't beside
    a stream that moves; a film that is nothing but a slide show stays one. Of what is left, FFmpeg's best.

    Args:
        path: the film.
        container: the same, opened; nothing is read from it.
        step: the step of errors.

    Raises:
        FilmError: `no_video_stream`, or `unreadable` if there is no decoder.
    """
    videos: list[Any] = [stream for stream in container.streams.video if not stream.disposition & _PICTURES]
    if not videos:
        detail = f"{path}: none of its {len(container.streams)} streams is a film's picture (a cover is none)"
        raise FilmError(step, "no_video_stream", detail)
    decodable = [stream for stream in videos if stream.codec_context is not None]
    if not decodable:
        raise FilmError(step, "unreadable", f"{path}: no decoder for video stream {videos[0].index}")
    if len(decodable) > 1:
        moving = [stream for stream in decodable if not stream.disposition & Disposition.still_image] or decodable
        intervals = _intervals(path, moving, step)
        longest_s = max(length_s for _, length_s in intervals)
        decodable = [
            stream for stream, (count, _) in zip(moving, intervals, strict=True) if count * _STILL_BEYOND_S >= longest_s
        ] or moving
    best = container.streams.best("video")
    return next((stream for stream in decodable if stream is best), None) or max(decodable, key=_rank)


def _rank(stream: Any) -> tuple[bool, int, int]:
    """FFmpeg's order, as far as headers give it, for when its best stream is a still."""
    context = stream.codec_context
    return bool(stream.disposition & Disposition.default), context.width * context.height, -stream.index


def _intervals(path: str, streams: list[Any], step: str) -> list[tuple[int, float]]:
    """How many intervals between pictures each stream has, and the seconds that they take together.

    MP4's header knows; of other files all packets are read.
    """
    if all(stream.frames and stream.duration for stream in streams):
        return [(stream.frames - 1, float(stream.duration * stream.time_base)) for stream in streams]
    times: dict[int, list[Any]] = {stream.index: [-1, None, None] for stream in streams}
    with opened_film(path, step) as container:
        chosen = [container.streams[index] for index in times]
        for packet in packets(container, chosen, DecodeQuality()):
            if packet.pts is None or packet.stream.index not in times:
                continue
            entry, time_s = times[packet.stream.index], packet.pts * packet.time_base
            entry[0] += 1
            entry[1] = time_s if entry[1] is None else min(entry[1], time_s)
            entry[2] = time_s if entry[2] is None else max(entry[2], time_s)
    return [
        (max(count, 0), 0.0 if first_s is None else float(last_s - first_s))
        for count, first_s, last_s in times.values()
    ]
