"""All cues of a subtitle file or track, with FFmpeg's readers; their text is as the file has it."""

from __future__ import annotations

import io
import re
from collections import deque
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.subtitles.subtitle import AssSubtitle

from beam_pipelines.media.decode import DecodeQuality, in_words, opened_film, packets
from beam_pipelines.media.probe import FilmProbe
from beam_pipelines.media.text.cues import Cue
from beam_pipelines.media.text.encoding import decode_text
from beam_pipelines.media.text.subtitle_tracks import STEP

MOST_BYTES = 8_000_000
"""The largest subtitles that are read (ours): a film of three hours has 200 kB, with effects in ASS perhaps 5 MB."""

MOST_CUES = 100_000
"""The most cues that are read (ours): five a second in a film of five hours."""

_STAMP = r"[ \t]*-?(?:-?\d{1,4}:)?-?\d{1,2}:-?\d{1,2}(?:[.,:]-?\d{1,3})?[ \t]*"
_TIMING = re.compile(rf"^({_STAMP})--?>({_STAMP})(?![\d:])", re.MULTILINE)
_ARROW_LINE = re.compile(r"^.*-->.*$", re.MULTILINE)
# Times that can't be read or lie before the file's start become this one, which lies in no film.
_NEVER_MS = 99 * 3_600_000
# FFmpeg's readers of these take bytes that aren't UTF-8 for damage.
_PLAIN_TEXT = frozenset({"srt", "subrip", "webvtt", "ass", "ssa", "text"})


class UnreadableSubtitles(Exception):
    """Subtitles can't be read; the text says why."""


def cues_of_file(text: str) -> list[Cue]:
    """All cues of a SubRip, WebVTT or ASS file's text, told apart by their content; times count from the file's start.

    A cue whose end can't be used ends at its start. One whose time can't be read, or is negative, is at 99 hours.

    Raises:
        UnreadableSubtitles: if it holds no cue, or too many.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "[Script Info]" in text or "[Events]" in text:
        form = "ass"
    else:
        form = "webvtt" if text.lstrip().startswith("WEBVTT") else "srt"
        point = "," if form == "srt" else "."
        text = _TIMING.sub(lambda found: _in_full(found, point), text)
        text = _ARROW_LINE.sub(lambda line: _as_never(line, point), text)
    try:
        with av.open(io.BytesIO(text.encode("utf-8", "replace")), "r", format=form) as container:
            stream = container.streams.subtitles[0]
            found = _Cues()
            for packet in container.demux(stream):
                if packet.size:
                    found.add(packet, _dialogue(stream.codec_context, packet), Fraction(0))
    except (av.FFmpegError, IndexError) as error:
        raise UnreadableSubtitles(f"no subtitles in {form} ({in_words(error)})") from error
    if not found.cues:
        raise UnreadableSubtitles("it holds no cue")
    return found.cues


def cues_of_track(
    path: str | Path, probe: FilmProbe, index: int, encoding: str | None
) -> tuple[list[Cue], dict[str, Any]]:
    """All cues of a track of a film's file, on the film's clock.

    Args:
        path: the film's file.
        probe: its probe.
        index: the track's stream.
        encoding: the encoding of cues that aren't UTF-8; None to guess.

    Returns:
        The cues, and if there are any: `damaged` cues that no decoder takes, and the `encoding` of cues that aren't
        UTF-8, with the number of their bytes beyond ASCII (`not_ascii`) if it is a guess.

    Raises:
        UnreadableSubtitles: if it holds too much.
        FilmError: step `text`, reason `unreadable`.
    """
    found, about, damaged, not_ascii = _Cues(), dict[str, Any](), 0, 0
    with opened_film(path, STEP) as container:
        stream, clock = container.streams[index], _JoinedClock(probe)
        streams: list[Any] = [stream, *([container.streams[probe.video_index]] if probe.jumps else [])]
        for packet in packets(container, streams, DecodeQuality()):
            if packet.stream.index != index:
                clock.see(packet)
                continue
            if packet.pts is None or not packet.size:
                continue
            try:
                text = _dialogue(stream.codec_context, packet)
            except av.FFmpegError:
                plain, encoded, is_guess = decode_text(bytes(packet), encoding)
                if encoded == "utf-8" or stream.codec_context.name not in _PLAIN_TEXT:
                    damaged += 1
                    continue
                about["encoding"] = encoded
                not_ascii += is_guess * sum(byte > 127 for byte in bytes(packet))
                text = _dialogue(stream.codec_context, av.Packet(plain.encode("utf-8", "replace")))
            found.add(packet, text, clock.late_s(packet.pts * packet.time_base))
    counts = {"damaged": damaged, "not_ascii": not_ascii}
    return found.cues, {**about, **{name: count for name, count in counts.items() if count}}


class _Cues:
    """Cues so far, within the limits."""

    def __init__(self) -> None:
        self.cues: list[Cue] = []
        self._bytes = 0

    def add(self, packet: Any, text: str, late_s: Fraction) -> None:
        """Adds a packet's cue, `late_s` earlier than it says; gaps, which have no text, are left out."""
        if not text.strip():
            return
        self._bytes += packet.size
        if len(self.cues) == MOST_CUES or self._bytes > MOST_BYTES:
            raise UnreadableSubtitles(f"more than {MOST_CUES} cues, or {MOST_BYTES // 1_000_000} MB")
        start_s = packet.pts * packet.time_base - late_s
        end_s = start_s + max(packet.duration or 0, 0) * packet.time_base
        self.cues.append(Cue(round(start_s * 1_000_000), round(end_s * 1_000_000), text))


class _JoinedClock:
    """How late the times of subtitles are, on the clock that a film's jumps leave.

    A packet of subtitles lies in the file beside the pictures that are shown with it. So it is on the clock, of those
    before and behind the next jump, that brings it nearer to the last picture.
    """

    def __init__(self, probe: FilmProbe):
        self._first_s, self._taken_s, self._pictures = probe.first_pts_s, Fraction(0), 0
        self._steps = deque(
            (jump.first_packets[probe.video_index], jump.step_s)
            for jump in probe.jumps
            if probe.video_index in jump.first_packets
        )
        self._last_s = probe.first_pts_s

    def see(self, picture: Any) -> None:
        """Takes the next packet of pictures."""
        while self._steps and self._steps[0][0] <= self._pictures:
            self._taken_s += self._steps.popleft()[1]
        self._pictures += 1
        if picture.dts is not None:
            self._last_s = picture.dts * picture.time_base - self._taken_s

    def late_s(self, time_s: Fraction) -> Fraction:
        """By how much a time on the container's clock is later than on the film's."""
        choices = [self._taken_s, *(self._taken_s + step_s for _, step_s in list(self._steps)[:1])]
        return self._first_s + min(choices, key=lambda taken_s: abs(time_s - taken_s - self._last_s))


def _dialogue(context: Any, packet: Any) -> str:
    """The text of a packet, in ASS whatever the codec."""
    if context is None:
        return _payloads(bytes(packet))
    shown: Iterable[Any] = context.decode2(packet) or ()
    return "\n".join(one.dialogue.decode("utf-8", "replace") for one in shown if isinstance(one, AssSubtitle))


def _payloads(content: bytes) -> str:
    """The text of WebVTT's boxes in MP4 (ISO 14496-30): a `vttc` for each cue, with a `payl` in it."""
    texts, place = [], 0
    while place + 8 <= len(content):
        size, kind = int.from_bytes(content[place : place + 4], "big"), content[place + 4 : place + 8]
        if kind == b"payl":
            texts.append(content[place + 8 : place + size].decode("utf-8", "replace"))
        # A cue's own boxes follow its head.
        place += 8 if kind == b"vttc" else max(size, 8)
    return "\n".join(texts)


def _in_full(found: re.Match[str], point: str) -> str:
    """A line of times in the one form that FFmpeg reads."""
    start_ms, end_ms = _milliseconds(found[1]), _milliseconds(found[2])
    if start_ms < 0 >= end_ms:
        start_ms = end_ms = _NEVER_MS
    # FFmpeg would take the time to the next cue for an end before its start, which nobody would be told.
    start_ms = max(0, start_ms)
    return f"{_stamp(start_ms, point)} --> {_stamp(max(start_ms, end_ms), point)} "


def _as_never(line: re.Match[str], point: str) -> str:
    """The line, if it has times in full; else times that lie in no film."""
    stamp = r"\d\d+:\d\d:\d\d[.,]\d\d\d"
    is_full = re.match(f"{stamp} --> {stamp} ", line[0])
    return line[0] if is_full else f"{_stamp(_NEVER_MS, point)} --> {_stamp(_NEVER_MS, point)} "


def _milliseconds(stamp: str) -> int:
    digits = re.findall(r"\d+", stamp)
    fraction = digits.pop() if re.search(r"[.,]", stamp) or len(digits) == 4 else "0"
    hours, minutes, seconds = (*(0,) * (3 - len(digits)), *map(int, digits))
    whole_ms = 1000 * (3600 * hours + 60 * minutes + seconds) + int(fraction.ljust(3, "0"))
    return -whole_ms if "-" in stamp else whole_ms


def _stamp(time_ms: int, point: str) -> str:
    seconds, milliseconds = divmod(time_ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{milliseconds:03}"
