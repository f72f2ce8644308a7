"""Peaks and turning points as markers for editing programs.

to_edl   CMX 3600 edit decision list: each marker is an event of one frame, with the comment line that DaVinci Resolve
         itself writes (Timelines > Export > Timeline Markers to EDL) and imports; a frame holds one marker, so events
         on one frame are joined:
         001  001      V     C        01:00:12:00 01:00:12:01 01:00:12:00 01:00:12:01
          valence 0.62 |C:ResolveColorBlue |M:valence peak |D:1
to_csv   the columns of Premiere's marker list; for marker panels of Premiere, and for spreadsheets
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Sequence

from beam_pipelines.report.markers.events import Event, in_order
from beam_pipelines.report.markers.file_times import FROM_FIRST_PICTURE, FileTimes
from beam_pipelines.report.markers.reasons import because
from beam_pipelines.report.markers.timecode import FrameRate

EDL_MAX_EVENTS = 999
"""CMX 3600 numbers its events with three digits."""

_TITLE_CHARACTERS = 70
_RESOLVE_COLOURS = {
    ("valence", "extreme"): "Blue",
    ("valence", "turn"): "Sky",
    ("arousal", "extreme"): "Red",
    ("arousal", "turn"): "Sand",
}
CSV_COLUMNS = ("Marker Name", "Description", "In", "Out", "Duration", "Marker Type")


def to_edl(title: str, events: Sequence[Event], rate: FrameRate, times: FileTimes = FROM_FIRST_PICTURE) -> str:
    """A CMX 3600 list of markers; of more than 999 markers the 999 most prominent remain.

    Args:
        title: name of the film: untrusted; characters outside ASCII and control characters become `_`.
        events: the events, in any order.
        rate: frame rate of the timeline.
        times: where the film lies on its file's clock, and the timecode of the file's start.
    """
    by_frame: dict[int, list[Event]] = {}
    first = rate.frame_of(times.start_timecode)
    for event in in_order(events):
        by_frame.setdefault(first + rate.frame_at(event.time_s + times.offset_s), []).append(event)
    heaviest = sorted(by_frame, key=lambda frame: (-max(event.prominence for event in by_frame[frame]), frame))
    counting = "DROP FRAME" if rate.drop else "NON-DROP FRAME"
    lines = [f"TITLE: {ascii_line(title)[:_TITLE_CHARACTERS]}", f"FCM: {counting}"]
    lines += [f"* COMMENT: {times.note}", ""] if times.note else [""]
    for number, frame in enumerate(sorted(heaviest[:EDL_MAX_EVENTS]), start=1):
        span = f"{rate.timecode(frame)} {rate.timecode(frame + 1)}"
        lines += [f"{number:03d}  001      V     C        {span} {span}", f" {_comment(by_frame[frame])}", ""]
    return "\r\n".join(lines) + "\r\n"


def to_csv(events: Sequence[Event], rate: FrameRate, times: FileTimes = FROM_FIRST_PICTURE) -> str:
    """Markers as CSV with the columns of Premiere's marker list, one row per event; times count from the file's start.

    Args:
        events: the events, written in this order.
        rate: frame rate of the timeline.
        times: where the film lies on its file's clock.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(CSV_COLUMNS)
    for event in events:
        place = rate.timecode(rate.frame_at(event.time_s + times.offset_s))
        writer.writerow([marker_name(event), describe(event), place, place, rate.timecode(0), "Comment"])
    return text.getvalue()


def marker_name(event: Event) -> str:
    """A marker's short name: `valence peak`."""
    return f"{event.target} {event.kind}"


def describe(event: Event) -> str:
    """A marker's note: the value, how far it stands out, and why, if the curve is explained."""
    what = "step of" if event.is_turning_point else "stands out by"
    value = round(event.value, 2) + 0.0  # never -0.0
    why = f" ({because(event)})" if event.reasons else ""
    return f"{event.target} {value:+.2f}, {what} {event.prominence:.2f}{why}"


def _comment(events: Sequence[Event]) -> str:
    weightiest = max(events, key=lambda event: event.prominence)
    colour = _RESOLVE_COLOURS[weightiest.target, "turn" if weightiest.is_turning_point else "extreme"]
    # The note comes first: Resolve reads text after a bar as a tag.
    note, name = ascii_line("; ".join(map(describe, events))), ", ".join(map(marker_name, events))
    return f"{note} |C:ResolveColor{colour} |M:{name} |D:1"


def ascii_line(text: str) -> str:
    """A text as one line that every editing program reads: other characters than ASCII's become `_`."""
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    return "".join(character if " " <= character <= "~" and character != "|" else "_" for character in plain)
