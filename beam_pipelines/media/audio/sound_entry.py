"""Where decoding of a film's sound begins: at the same places, however the film is cut into parts.

    film            0              300             600             900 s
    decoders        [-------------->|
                                 [--+-------------->|             each new, fed from 1 s before its stretch
                                                 [--+-------------->|

A decoder that starts in the middle of a film gives other samples than one that starts at the beginning: for one packet
if only neighbouring blocks overlap, for good if its state never fades (noise generators in AAC and AC-3, Opus'
predictors). So every stretch of `ENTRY_EVERY_S` seconds has its own decoder, and a second's samples always come from
the decoder of its stretch. The first stretch starts at the film's first packet, so that the codec's priming is cut as
the container says. If AAC doesn't use its noise generator (most encoders don't), every sample is the same as in one
decoding of the whole film.

Only MP4 and MOV with AAC or PCM have such stretches: there a packet's timestamp places its sound to the sample.
Matroska's milliseconds don't (up to 22 samples of 44.1 kHz), and other codecs were not compared with one decoding of
the whole film. For all of these the whole film is one stretch, and each part is decoded from the film's beginning.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media.decode import (
    MPEG_STREAMS,
    DecodeQuality,
    RangeCounts,
    counts_within,
    decoded_frames,
    opened_film,
    packets,
    prepare_decoder,
)
from beam_pipelines.media.probe import FilmProbe

STEP = "decode"
ENTRY_EVERY_S = 300
"""Seconds between the places at which a new decoder starts (ours)."""

# After so long a new decoder has settled: AAC and Vorbis after one packet, MP3 after the 511 bytes it may look back.
_LEAD_S = 1
# Containers interleave: at the packet where the picture has reached a second, the sound may be that much further.
_INTERLEAVING_S = 2
_ENTERED_CONTAINERS = frozenset({"mov"})


def entry_seconds(probe: FilmProbe, second: int) -> tuple[int, int]:
    """The half-open stretch of seconds that the decoder for `second` serves."""
    is_entered = all(track.codec == "aac" or track.codec.startswith("pcm_") for track in probe.sound.tracks)
    if probe.container not in _ENTERED_CONTAINERS or not is_entered or probe.jumps:
        return 0, probe.seconds
    begin = second - second % ENTRY_EVERY_S
    return begin, min(begin + ENTRY_EVERY_S, probe.seconds)


def begins_with_priming(container: str, codec: str) -> bool:
    """Whether the decoder's first frame of a whole film is no sound of it.

    An AAC packet needs the one before it. Transport and program streams don't say what to leave out; other containers
    do, and FFmpeg follows them.
    """
    return container in MPEG_STREAMS and codec in ("aac", "aac_latm")


@contextmanager
def sound_from(
    path: str | Path, probe: FilmProbe, index: int, entry_s: int, counted: range, quality: DecodeQuality
) -> Iterator[tuple[Iterator[Any], Fraction, RangeCounts]]:
    """The decoded frames of a sound track from a little before second `entry_s` on, their time base and counters.

    Args:
        path: the film.
        probe: what `probe_film` found.
        index: the track's stream in the file.
        entry_s: the begin of a stretch of `entry_seconds`.
        counted: the seconds whose packets and frames are counted.
        quality: the counters, which the iterator increases.

    Raises:
        FilmError: step `decode`, reason `unreadable`.
    """
    if entry_s > 0:
        with _opened_sound(path, probe, index) as (container, stream):
            first_s = probe.first_pts_s + entry_s - _LEAD_S
            items = _entered(container, stream, probe, first_s, quality)
            if items is not None:
                yield _counted(stream, items, probe, counted, quality)
                return
    with _opened_sound(path, probe, index) as (container, stream):
        yield _counted(stream, packets(container, stream, quality, probe.jumps), probe, counted, quality)


@contextmanager
def _opened_sound(path: str | Path, probe: FilmProbe, index: int) -> Iterator[tuple[Any, Any]]:
    with opened_film(path, STEP, probe.sound.search_mb) as container:
        if index >= len(container.streams):
            raise FilmError(STEP, "unreadable", f"{path}: has no stream {index} any more")
        stream: Any = container.streams[index]
        prepare_decoder(stream)
        yield container, stream


def _entered(
    container: Any, stream: Any, probe: FilmProbe, first_s: Fraction, quality: DecodeQuality
) -> Iterator[Any] | None:
    """The packets from the last one that begins no later than `first_s`; None if the jump led behind it."""
    video = container.streams[probe.video_index]
    try:
        container.seek(int((first_s - _INTERLEAVING_S) / video.time_base), stream=video, backward=True)
    except (av.FFmpegError, ValueError, OverflowError):
        return None
    items = packets(container, stream, quality)
    last: Any = None
    for packet in items:
        if packet.pts is None:
            return None
        if packet.pts * stream.time_base > first_s:
            return None if last is None else chain([last, packet], items)
        last = packet
    # The sound ends before `first_s`.
    return iter(() if last is None else (last,))


def _counted(
    stream: Any, items: Iterator[Any], probe: FilmProbe, counted: range, quality: DecodeQuality
) -> tuple[Iterator[Any], Fraction, RangeCounts]:
    counts = counts_within(quality, counted, probe.seconds, probe.first_pts_s, stream.time_base)
    return decoded_frames(stream, items, counts), stream.time_base, counts
