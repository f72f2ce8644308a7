"""Opening a film and reading its packets and frames in a way that survives damage, with what was lost counted.

Everything here is sequential and holds one packet or frame at a time, so memory does not grow with the film.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.stream import Discard

from beam_pipelines.foundation.errors import FilmError

# A demuxer that fails this often in a row, without one packet in between, is at the end of what can be read.
_MAX_READ_ERRORS_IN_A_ROW = 100

# What looks like a film but is a list of other files or plain text drawn as a picture: never followed, never drawn.
_REFUSED_FORMATS = frozenset({"concat", "hls", "dash", "imf", "tty", "lavfi"})


@dataclass
class DecodeQuality:
    """What reading a film has lost; handed in by the caller and counted up while a reader runs.

    A frame or packet counts in the seconds that it begins in, so nothing is counted in two parts of a film. What begins
    before the film counts in its first part, what begins behind it in its last.

    Of sound these counts are properties of the film: those of its parts add up to those of the whole (`read_errors`
    excepted). Of pictures none is: they say what was decoded for the seconds asked for. A plan passes over more or less
    depending on where a part begins, and a part whose plan meets damage is decoded entirely. So the counts of a film
    that is always cut at the same seconds are always the same, cut otherwise they may be others. Properties of the film
    are the counts of `FilmProbe` and the seconds without a fresh frame (`SampledFrame.fresh`).

    Attributes:
        frames_decoded: intact frames that the decoder gave.
        frames_corrupt: frames that the decoder marked as damaged; they are not used where an intact one exists.
        packet_errors: packets that the decoder refused.
        read_errors: failures of the demuxer to give the next packet; a part counts all those that it met.
        frames_skipped: packets that a decode plan passed over without decoding, since no picture needs them; 0 where
            everything was decoded. The other counts say nothing about these.
        full_decodings: how often everything was decoded, since there was no plan or it was given up.
    """

    frames_decoded: int = 0
    frames_corrupt: int = 0
    packet_errors: int = 0
    read_errors: int = 0
    frames_skipped: int = 0
    full_decodings: int = 0

    @property
    def damaged(self) -> int:
        """Packets and frames that were met and are lost."""
        return self.frames_corrupt + self.packet_errors

    @property
    def met(self) -> int:
        """Packets and frames that were met, the skipped ones included."""
        return self.frames_decoded + self.frames_skipped + self.damaged


@dataclass
class RangeCounts:
    """Counts by timestamp: what begins in [begin, end) into `quality`, the rest into `elsewhere`.

    What has no timestamp counts where it is met.
    """

    quality: DecodeQuality
    begin: float = -math.inf
    end: float = math.inf
    elsewhere: DecodeQuality = field(default_factory=DecodeQuality)

    def at(self, pts: int | None) -> DecodeQuality:
        """The counters for what begins at tick `pts`."""
        return self.quality if pts is None or self.begin <= pts < self.end else self.elsewhere

    @property
    def damaged(self) -> int:
        """What is lost, counted here or elsewhere."""
        return self.quality.damaged + self.elsewhere.damaged


def counts_within(
    quality: DecodeQuality, seconds: range, of_seconds: int, first_pts_s: Fraction, time_base: Fraction
) -> RangeCounts:
    """Counters for some of a film's `of_seconds` seconds, in ticks of a stream."""
    begin, end = (math.ceil((first_pts_s + second) / time_base) for second in (seconds.start, seconds.stop))
    return RangeCounts(quality, begin if seconds.start else -math.inf, end if seconds.stop < of_seconds else math.inf)


@contextmanager
def opened_film(path: str | os.PathLike[str], step: str) -> Iterator[InputContainer]:
    """Opens a local film and closes it at the end of the block.

    Raises:
        FilmError: `empty_file` or `unreadable`, with `step` as its step.
    """
    name = os.fspath(path)
    _check_is_a_file(name, step)
    try:
        # "file:" so that a colon in a name is no protocol; the whitelist so that no film opens a network address;
        # "replace" because titles in a legacy encoding are no reason to refuse a film.
        container = av.open(
            f"file:{name}", "r", container_options={"protocol_whitelist": "file"}, metadata_errors="replace"
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        raise FilmError(step, "unreadable", f"{name}: not a film that FFmpeg can open ({error})") from error
    with container:
        refused = _REFUSED_FORMATS.intersection(container.format.name.split(","))
        if refused:
            raise FilmError(step, "unreadable", f"{name}: its format is '{', '.join(sorted(refused))}', not a film")
        yield container


def _check_is_a_file(name: str, step: str) -> None:
    try:
        status = os.stat(name)
    except (OSError, ValueError) as error:
        raise FilmError(step, "unreadable", f"{name}: {error}") from error
    # A named pipe or a device would be waited for without end.
    if not stat.S_ISREG(status.st_mode):
        raise FilmError(step, "unreadable", f"{name}: not a regular file")
    if status.st_size == 0:
        raise FilmError(step, "empty_file", f"{name}: the file holds no bytes")


def packets(container: InputContainer, stream: Any, quality: DecodeQuality) -> Iterator[Any]:
    """The packets of one stream in file order; a failed read is counted and the next one tried."""
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    failures = 0
    while failures < _MAX_READ_ERRORS_IN_A_ROW:
        try:
            for packet in container.demux(stream):
                failures = 0
                # Empty ones are FFmpeg's end mark, and AVI's "show the last frame again" (which has a timestamp).
                if packet.size > 0 or packet.pts is not None:
                    yield packet
            return
        except av.FFmpegError:
            failures += 1
            quality.read_errors += 1
        except IndexError:
            # PyAV's end-of-file pass stumbles over streams that turned up while reading, as they do in transport
            # streams (PyAV issue 692). All packets have been given by then.
            return


def decoded_frames(stream: Any, items: Iterator[Any], counts: RangeCounts) -> Iterator[Any]:
    """The frames of a stream's packets in the decoder's output order, which is presentation order.

    One decoding thread. A packet that the decoder refuses is counted and left out. Frames marked damaged are counted
    and given out too: the caller decides.
    """
    for packet in items:
        # To a decoder an empty packet means the end of the stream; after it every packet would be refused.
        if packet.size > 0:
            yield from decode_packet(stream, packet, counts)
    yield from decode_packet(stream, None, counts)


def decode_packet(stream: Any, packet: Any | None, counts: RangeCounts) -> list[Any]:
    """The frames that one packet sets free (None: the decoder's rest), counted; an error is counted and gives none."""
    try:
        frames = stream.codec_context.decode(packet)
    except MemoryError:
        # No fault of the packet's: the process is at its limit.
        raise
    except av.FFmpegError:
        counts.at(None if packet is None else packet.pts).packet_errors += 1
        return []
    for frame in frames:
        quality = counts.at(frame.pts)
        if frame.is_corrupt:
            quality.frames_corrupt += 1
        else:
            quality.frames_decoded += 1
    return frames


def prepare_decoder(stream: Any, max_pixels: int | None = None) -> None:
    """Sets a stream to one decoding thread and, for pictures, to refuse frames of more than `max_pixels` pixels."""
    context = stream.codec_context
    context.thread_count = 1
    context.thread_type = "NONE"
    if max_pixels is not None:
        context.options = {"max_pixels": str(max_pixels)}
