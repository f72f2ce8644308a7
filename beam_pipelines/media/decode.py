"""Opening a film and reading its packets and frames; damage doesn't stop the reader, which counts what is lost.

All functions read sequentially and hold one packet or frame at a time, so memory does not grow with the film.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.stream import Discard

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media.clock.joined_clock import ClockJump, on_joined_clock

# After so many failures in a row, without a packet in between, the demuxer can read no more.
_MAX_READ_ERRORS_IN_A_ROW = 100

# Three days, in microseconds.
_NO_BOUND_US = 3 * 86_400 * 1_000_000

MPEG_STREAMS = frozenset({"mpegts", "mpeg"})
"""Transport and program streams, by FFmpeg's names. Made for broadcast, they have no header over the whole file: none
says how long it is, which streams come or what a decoder must leave out, and a clock may start anew in the middle."""

# Formats that list other files, or draw plain text as a picture: refused, so that no other file is opened.
_REFUSED_FORMATS = frozenset({"concat", "hls", "dash", "imf", "tty", "lavfi"})


@dataclass
class DecodeQuality:
    """What reading a film has lost. The caller passes it in, and a running reader increases it.

    A frame or packet counts in the second in which it begins, so no two parts of a film count it. What begins before
    the film counts in its first part, what begins after it in its last.

    For sound, the counts are properties of the film: those of its parts add up to those of the whole (except
    `read_errors`). For pictures they are not: they say what was decoded for the requested seconds. A plan skips more or
    less depending on where a part begins, and a part whose plan meets damage is decoded entirely. So a film that is
    always cut at the same seconds always has the same counts; cut elsewhere it may have others. Properties of the film
    are the counts of `FilmProbe` and the seconds without a fresh frame (`SampledFrame.fresh`).

    Attributes:
        frames_decoded: intact frames from the decoder.
        frames_corrupt: frames that the decoder marked as damaged; they are used only if there is no intact one.
        packet_errors: packets that the decoder refused.
        read_errors: failures of the demuxer to read the next packet; a part counts all that it met.
        frames_skipped: packets that a decode plan left out because no picture needs them; 0 if everything was
            decoded. The other counts say nothing about these packets.
        full_decodings: how often everything was decoded, because there was no plan or it failed.
        pixels_clipped: pixels of the seconds' HDR pictures that are brighter than SDR's white; a property of the film.
        frames_from_gpu: frames that a GPU decoded, of those that a plan returned.
        gpu_failures: how often a GPU ended before the film did, so that the processor went on. The other counts say
            nothing about what the GPU had decoded.
    """

    frames_decoded: int = 0
    frames_corrupt: int = 0
    packet_errors: int = 0
    read_errors: int = 0
    frames_skipped: int = 0
    full_decodings: int = 0
    pixels_clipped: int = 0
    frames_from_gpu: int = 0
    gpu_failures: int = 0

    @property
    def damaged(self) -> int:
        """Packets and frames that were read and are lost."""
        return self.frames_corrupt + self.packet_errors

    @property
    def met(self) -> int:
        """Packets and frames that were read, including the skipped ones."""
        return self.frames_decoded + self.frames_skipped + self.damaged


@dataclass
class RangeCounts:
    """Counters by timestamp: what begins in [begin, end) counts in `quality`, the rest in `elsewhere`.

    A packet or frame without a timestamp counts in `quality`.
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
        """Packets and frames that are lost, inside and outside the range."""
        return self.quality.damaged + self.elsewhere.damaged


def counts_within(
    quality: DecodeQuality, seconds: range, of_seconds: int, first_pts_s: Fraction, time_base: Fraction
) -> RangeCounts:
    """Counters for some of a film's `of_seconds` seconds, in ticks of a stream."""
    begin, end = (math.ceil((first_pts_s + second) / time_base) for second in (seconds.start, seconds.stop))
    return RangeCounts(quality, begin if seconds.start else -math.inf, end if seconds.stop < of_seconds else math.inf)


@contextmanager
def opened_film(
    path: str | os.PathLike[str], step: str, search_mb: int = 0, accelerator: HWAccel | None = None
) -> Iterator[InputContainer]:
    """Opens a local film, and closes it at the end of the `with` block.

    Args:
        path: the film.
        step: the step of errors.
        search_mb: how many MB of the file FFmpeg reads, and holds, to find its streams; 0 for its own 5 MB and 7 s.
        accelerator: the hardware that decodes the streams that it takes; None for FFmpeg's own decoders.

    Raises:
        FilmError: `empty_file` or `unreadable`, with `step` as its step.
    """
    name = os.fspath(path)
    _check_is_a_file(name, step)
    try:
        # "file:" so that a colon in a name isn't read as a protocol; the whitelist so that no film opens a network
        # address; "replace" because titles in a legacy encoding are no reason to refuse a film.
        options = _options(search_mb)
        container = av.open(
            f"file:{name}", "r", container_options=options, metadata_errors="replace", hwaccel=accelerator
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        why = f"{name}: not a film that FFmpeg can open ({in_words(error)}){_hint(name)}"
        raise FilmError(step, "unreadable", why) from error
    with container:
        refused = _REFUSED_FORMATS.intersection(container.format.name.split(","))
        if refused:
            raise FilmError(step, "unreadable", f"{name}: its format is '{', '.join(sorted(refused))}', not a film")
        yield container


def _hint(name: str) -> str:
    """What to look at. A file that begins as an MP4 or MOV most often lacks its end, with the index."""
    try:
        with open(name, "rb") as stream:
            begins = stream.read(8)[4:] == b"ftyp"
    except OSError:
        return ""
    return (
        ": an MP4 or MOV without its index, which most have at their end; was it cut off?"
        if begins
        else "; is it a video, and whole?"
    )


def in_words(error: Exception) -> str:
    """What FFmpeg or the system says of an error, without its number and the file, which the caller names."""
    return str(getattr(error, "strerror", None) or error)


def format_of(container: InputContainer) -> str:
    """FFmpeg's first name of a container's format, for example `mov` for MP4 or `matroska` for WebM."""
    return container.format.name.split(",")[0]


def _options(search_mb: int) -> dict[str, str]:
    # A transport stream that numbers its streams anew, as a joined one may, goes on with the streams that it has.
    options = {"protocol_whitelist": "file", "merge_pmt_versions": "1"}
    if not search_mb:
        return options
    # The bytes are the bound. A transport stream's first list of streams need not be its last.
    search = {"probesize": str(search_mb * 1_000_000), "analyzeduration": str(_NO_BOUND_US), "scan_all_pmts": "1"}
    return {**options, **search}


def _check_is_a_file(name: str, step: str) -> None:
    try:
        status = os.stat(name)
    except (OSError, ValueError) as error:
        raise FilmError(step, "unreadable", f"{name}: {in_words(error)}") from error
    # Reading a named pipe or a device might never end.
    if not stat.S_ISREG(status.st_mode):
        raise FilmError(step, "unreadable", f"{name}: not a regular file")
    if status.st_size == 0:
        raise FilmError(step, "empty_file", f"{name}: the file holds no bytes")


def packets(
    container: InputContainer, stream: Any, quality: DecodeQuality, jumps: Sequence[ClockJump] = ()
) -> Iterator[Any]:
    """The packets of a stream, or of a list of streams, in file order. A failed read is counted, and the next is tried.

    Args:
        container: the film; if its clock has jumps, it must stand at the film's beginning.
        stream: a stream or a list.
        quality: counters.
        jumps: jumps of the film's clock, to get the packets of a single stream on the joined clock.
    """
    if jumps:
        return on_joined_clock(_packets(container, [stream], quality), stream, jumps)
    return _packets(container, stream if isinstance(stream, list) else [stream], quality)


def _packets(container: InputContainer, streams: list[Any], quality: DecodeQuality) -> Iterator[Any]:
    wanted = {stream.index for stream in streams}
    for other in container.streams:
        if other.index not in wanted:
            other.discard = Discard.all
    failures = 0
    while failures < _MAX_READ_ERRORS_IN_A_ROW:
        try:
            for packet in container.demux(*streams):
                failures = 0
                # Empty ones are FFmpeg's end mark, and AVI's "show the last frame again" (which has a timestamp).
                if packet.size > 0 or packet.pts is not None:
                    yield packet
            return
        except av.FFmpegError:
            failures += 1
            quality.read_errors += 1
        except IndexError:
            # PyAV's end-of-file pass fails on streams that appeared while reading, as in transport streams (PyAV issue
            # 692). It has returned all packets by then.
            return


def decoded_frames(stream: Any, items: Iterator[Any], counts: RangeCounts) -> Iterator[Any]:
    """The frames of a stream's packets in the decoder's output order, which is presentation order.

    Decoding takes one thread. A packet that the decoder refuses is counted and left out. A frame that is marked as
    damaged is counted and yielded too: the caller decides.
    """
    for packet in items:
        # An empty packet means the end of the stream to a decoder: it would refuse every later packet.
        if packet.size > 0:
            yield from decode_packet(stream, packet, counts)
    yield from decode_packet(stream, None, counts)


def decode_packet(stream: Any, packet: Any | None, counts: RangeCounts) -> list[Any]:
    """The frames that the decoder returns for a packet (None: the rest), counted; after an error, counted too, none."""
    try:
        frames: list[Any] = stream.codec_context.decode(packet)
    except MemoryError:
        # Not the packet's fault: the process has reached its memory limit.
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
    """Gives a stream one decoding thread and, for pictures, makes it refuse frames of more than `max_pixels` pixels."""
    context = stream.codec_context
    context.thread_count = 1
    context.thread_type = "NONE"
    if max_pixels is not None:
        context.options = {"max_pixels": str(max_pixels)}
