"""Whether a film ends earlier than its container says: the only sign of a Matroska file that was cut off.

The container's statement is the first of these that exists: the duration of the video stream in its header (MP4, AVI),
its tag DURATION (Matroska as FFmpeg and mkvmerge write it), and the duration of the whole file, which another stream
may fill. Transport streams have no such header: FFmpeg estimates their duration from the content of the file.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer

from beam_pipelines.contracts.film_warnings import TRUNCATED_BEYOND_S as TRUNCATED_BEYOND_S
from beam_pipelines.media.decode import opened_film

_TAG = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")


def missing_s(name: str, container: InputContainer, video: Any, first_pts_s: Fraction, duration_s: Fraction) -> float:
    """Seconds by which the pictures end earlier than the container says, at least 0.

    Args:
        name: the film's path.
        container: the opened film; it may have been read to its end.
        video: its video stream.
        first_pts_s: the first timestamp.
        duration_s: from the first timestamp to the end of the last frame.

    Raises:
        FilmError: step `probe`, reason `unreadable`.
    """
    if video.duration is not None:
        return _positive(video.duration * video.time_base - duration_s)
    tagged_end_s = _tagged_end_s(video.metadata)
    if tagged_end_s is not None:
        return _positive(tagged_end_s - first_pts_s - duration_s)
    if container.duration is None:
        return 0.0
    missing = Fraction(container.duration, av.time_base) - duration_s
    if missing <= TRUNCATED_BEYOND_S or len(container.streams) == 1:
        return _positive(missing)
    return _positive(min(missing, Fraction(container.duration, av.time_base) - _read_s(name)))


def _positive(missing: Fraction) -> float:
    return max(0.0, float(missing))


def _tagged_end_s(tags: dict[str, str]) -> Fraction | None:
    # mkvmerge adds a language: DURATION-eng.
    values = [value for key, value in tags.items() if key == "DURATION" or key.startswith("DURATION-")]
    found = _TAG.match(values[0]) if values else None
    if found is None:
        return None
    hours, minutes, seconds = found.groups()
    return 3600 * int(hours) + 60 * int(minutes) + Fraction(seconds)


def _read_s(name: str) -> Fraction:
    """How many seconds of the file can be read: from the first timestamp of any stream to the last packet's end."""
    begin_s, end_s = [], []
    with opened_film(name, "probe") as container:
        try:
            for packet in container.demux():
                if packet.pts is not None and packet.size:
                    begin_s.append(packet.pts * packet.time_base)
                    end_s.append((packet.pts + (packet.duration or 0)) * packet.time_base)
                    begin_s, end_s = [min(begin_s)], [max(end_s)]
        except (av.FFmpegError, IndexError):
            # Packets behind a broken place don't count as readable.
            pass
    return end_s[0] - begin_s[0] if end_s else Fraction(0)
