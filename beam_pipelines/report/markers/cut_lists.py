"""Stretches of a film for programs that cut: a table, a CMX 3600 edit decision list, a concat list for FFmpeg.

FFmpeg's `concat` demuxer begins at the key frame before a stretch. Its option `segment_time_metadata` and the filter
`select=concatdec_select` leave out what lies before: `cineaffect highlights --help` has the command.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from beam_pipelines.foundation.text_tables import csv_text
from beam_pipelines.report.markers.editing_markers import ascii_line
from beam_pipelines.report.markers.file_times import FROM_FIRST_PICTURE, USUAL_START, FileTimes
from beam_pipelines.report.markers.highlights import Highlight
from beam_pipelines.report.markers.timecode import FrameRate

_TITLE_CHARACTERS = 70
COLUMNS = ("start_s", "end_s", "in", "out", "target", "kind", "time_s", "value", "strength")


def to_table(highlights: Sequence[Highlight], rate: FrameRate, times: FileTimes = FROM_FIRST_PICTURE) -> str:
    """The stretches as CSV: seconds as in the curves, and the timecode of the file.

    Args:
        highlights: the stretches, written in this order.
        rate: frame rate of the timeline.
        times: where the film lies on its file's clock.
    """
    rows = []
    for one in highlights:
        event, span = one.event, [rate.timecode(frame) for frame in _source(one, rate, times)]
        figures = (f"{round(event.value, 4) + 0.0:.4f}", f"{one.strength:.4f}")
        rows.append([one.start_s, one.end_s, *span, event.target, event.kind, event.time_s, *figures])
    return csv_text(COLUMNS, rows)


def to_cut_list(
    title: str, clip: str, highlights: Sequence[Highlight], rate: FrameRate, times: FileTimes = FROM_FIRST_PICTURE
) -> str:
    """A CMX 3600 list that puts the stretches one after the other, picture and sound.

    Args:
        title, clip: the film's name, and that of its file: untrusted; characters outside ASCII become `_`.
        highlights: the stretches, in the order of the cut.
        rate: frame rate of the timeline.
        times: where the film lies on its file's clock, and the timecode of the file's start.
    """
    counting = "DROP FRAME" if rate.drop else "NON-DROP FRAME"
    lines = [f"TITLE: {ascii_line(title)[:_TITLE_CHARACTERS]}", f"FCM: {counting}", ""]
    lines += [f"* COMMENT: {times.note}", ""] if times.note else []
    place = rate.frame_of(USUAL_START)
    for number, one in enumerate(highlights, start=1):
        first, last = _source(one, rate, times)
        span = " ".join(rate.timecode(frame) for frame in (first, last, place, place + last - first))
        place += last - first
        lines += [
            f"{number:03d}  AX       AA/V  C        {span}",
            f"* FROM CLIP NAME: {ascii_line(clip)}",
            f"* COMMENT: {one.event.target} {one.event.kind} {one.strength:.2f}",
            "",
        ]
    return "\r\n".join(lines) + "\r\n"


def to_concat(path: str, highlights: Sequence[Highlight], first_picture_s: Fraction) -> str:
    """A list for FFmpeg's `concat` demuxer.

    Args:
        path: the film's file, absolute or relative to the list.
        highlights: the stretches, in the order of the cut.
        first_picture_s: the timestamp of second 0 in the file: the demuxer counts by the file's own timestamps.

    Raises:
        ValueError: if the path has a line break, which the format can't hold.
    """
    if any(sign in path for sign in "\n\r\0"):
        raise ValueError("FFmpeg's list can't name a file with a line break in its name")
    quoted = "'" + path.replace("'", r"'\''") + "'"
    lines = ["ffconcat version 1.0"]
    for one in highlights:
        lines += [f"file {quoted}"]
        lines += [
            f"{what} {float(first_picture_s + at_s):.6f}"
            for what, at_s in (("inpoint", one.start_s), ("outpoint", one.end_s))
        ]
    return "\n".join(lines) + "\n"


def _source(one: Highlight, rate: FrameRate, times: FileTimes) -> tuple[int, int]:
    first = rate.frame_of(times.start_timecode)
    start, end = (first + rate.frame_at(at_s + times.offset_s) for at_s in (one.start_s, one.end_s))
    return start, end
