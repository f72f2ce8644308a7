"""From what is known of a film's file to the times that its page and markers show."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av

from beam_pipelines.contracts.records.file_clock import FileClock
from beam_pipelines.media.clock.file_clock import file_start_s, start_timecode
from beam_pipelines.media.decode import opened_film
from beam_pipelines.report.markers.file_times import USUAL_START, FileTimes
from beam_pipelines.report.markers.timecode import FrameRate

STEP = "clock"
_TOLD_FROM_S = Fraction(1, 2)
"""A smaller offset is no news to a reader: no time on the page shows it."""


def clock_of_header(path: str) -> tuple[FileClock, int]:
    """A film's clock, and the timestamp of its first picture, from its header: for records that hold no clock.

    Raises:
        FilmError: if FFmpeg can't open the file.
    """
    with opened_film(path, STEP) as container:
        video: Any = container.streams.best("video")
        if video is None or video.start_time is None:
            return FileClock(), 0
        first_s = video.start_time * video.time_base
        start_us = round(file_start_s(container, first_s) * av.time_base)
        return FileClock(start_us, start_timecode(container, video)), round(first_s * av.time_base)


def file_times(
    clock: FileClock, first_picture_us: int, rate: FrameRate, asked_timecode: str = ""
) -> tuple[FileTimes, FrameRate, list[str]]:
    """The times of a film's file, the rate at which its timecode counts, and sentences for the reader of its page.

    Args:
        clock: the file's clock.
        first_picture_us: timestamp of second 0.
        rate: the frame rate of the markers.
        asked_timecode: the start timecode that a user asks for, instead of the film's own.
    """
    offset_s, notes, note = Fraction(max(0, first_picture_us - clock.start_us), av.time_base), [], ""
    timecode = asked_timecode or clock.timecode
    if timecode and not rate.has(timecode):
        notes.append(f"The EDL begins at {USUAL_START}: {float(rate.rate_hz):.5g} frames a second have no {timecode}.")
        timecode = ""
    if timecode and not asked_timecode:
        rate = rate.counting_as(timecode)
    if offset_s >= _TOLD_FROM_S:
        notes.append(
            f"The pictures begin {float(offset_s):.2f} s after the file. Times here and in the marker files count from "
            "the file's start, as players do; time_s in the curves counts from the first picture."
        )
    if clock.jumps_us:
        first_s = float(offset_s) + clock.jumps_us[0][0] / av.time_base
        note = (
            f"times are on the joined clock; from {first_s:.0f} s on, where the file's own timestamps jump, a player "
            "may show others"
        )
        notes.append(note[0].upper() + note[1:] + ".")
    return FileTimes(offset_s, timecode or USUAL_START, note), rate, notes
