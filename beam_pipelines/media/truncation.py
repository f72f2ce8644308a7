"""Whether a film ends earlier than its file says: the only sign of a Matroska file that was cut off.

Ends are compared, on the file's own clock, because pictures may begin long after the file does. The file's statement is
the first of these that exists:

- Matroska's tag DURATION of the video stream. FFmpeg writes the stream's end into it, mkvmerge its length. If FFmpeg
  wrote the file, tags with a language (`DURATION-eng`) are left over from an earlier file, often a longer one;
- begin and duration of the video stream in the header (MP4), or its number of pictures (AVI);
- the duration of the whole file, which another stream may fill.

Transport and program streams have no such header: FFmpeg estimates their duration from the content of the file.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer

from beam_pipelines.contracts.film_warnings import TRUNCATED_BEYOND_S
from beam_pipelines.media.decode import MPEG_STREAMS, format_of, opened_film

# A longer film isn't cut off: the count in its header is a placeholder.
_LONGEST_S = 24 * 3600
_TAG = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")


def missing_s(name: str, container: InputContainer, video: Any, first_pts_s: Fraction, duration_s: Fraction) -> float:
    """Seconds by which the pictures end earlier than the file says, at least 0.

    Args:
        name: the film's path.
        container: the opened film; it may have been read to its end.
        video: its video stream.
        first_pts_s: the first timestamp.
        duration_s: from the first timestamp to the end of the last frame.

    Raises:
        FilmError: step `probe`, reason `unreadable`.
    """
    kind, end_s = format_of(container), first_pts_s + duration_s
    if kind in MPEG_STREAMS:
        return 0.0
    by_ffmpeg = _written_by_ffmpeg(container)
    tagged_s = _tagged_s(video.metadata, by_ffmpeg)
    if tagged_s is not None:
        return _positive(tagged_s - (end_s if by_ffmpeg else duration_s))
    start_s = Fraction(container.start_time or 0, av.time_base)
    begin_s = first_pts_s if video.start_time is None else video.start_time * video.time_base
    # Without its index, which lies at the end, FFmpeg guesses an AVI's duration from its size; the count stays.
    if kind == "avi" and 0 < video.frames * video.time_base < _LONGEST_S:
        return _positive(begin_s + video.frames * video.time_base - end_s)
    if _has_own_duration(container, video):
        return _positive(begin_s + video.duration * video.time_base - end_s)
    if container.duration is None:
        return 0.0
    # In Matroska FFmpeg counts the file's duration from timestamp 0, not from the file's first packet.
    from_zero = kind == "matroska" and by_ffmpeg
    file_end_s = Fraction(container.duration, av.time_base) + (0 if from_zero else start_s)
    missing = file_end_s - end_s
    if missing <= TRUNCATED_BEYOND_S or len(container.streams) == 1:
        return _positive(missing)
    return _positive(min(missing, file_end_s - _read_end_s(name)))


def _positive(missing: Fraction) -> float:
    return max(0.0, float(missing))


def _written_by_ffmpeg(container: InputContainer) -> bool:
    tags = {key.lower(): value for key, value in container.metadata.items()}
    return tags.get("encoder", "").startswith("Lavf")


def _has_own_duration(container: InputContainer, video: Any) -> bool:
    """Whether the header has a duration of the stream: FFmpeg gives a stream without one that of the file."""
    if video.duration is None:
        return False
    of_file = Fraction(container.duration or 0, av.time_base)
    return bool(abs(video.duration * video.time_base - of_file) > video.time_base + Fraction(1, av.time_base))


def _tagged_s(tags: dict[str, str], by_ffmpeg: bool) -> Fraction | None:
    # mkvmerge adds a language: DURATION-eng.
    names = sorted(key for key in tags if key == "DURATION" or (key.startswith("DURATION-") and not by_ffmpeg))
    return duration_tag_s(tags[names[0]]) if names else None


def duration_tag_s(value: str) -> Fraction | None:
    """The seconds of Matroska's tag DURATION, 00:00:00.000000000; None if the value is none."""
    found = _TAG.match(value)
    if found is None:
        return None
    hours, minutes, seconds = found.groups()
    return 3600 * int(hours) + 60 * int(minutes) + Fraction(seconds)


def _read_end_s(name: str) -> Fraction:
    """The end of the last packet of any stream that can be read, on the file's clock."""
    end_s = Fraction(0)
    with opened_film(name, "probe") as container:
        try:
            for packet in container.demux():
                if packet.pts is not None and packet.size:
                    end_s = max(end_s, (packet.pts + (packet.duration or 0)) * packet.time_base)
        except (av.FFmpegError, IndexError):
            # Packets behind a broken place don't count as readable.
            pass
    return end_s
