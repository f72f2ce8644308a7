"""Which sound tracks a film's file has, and which of them can be decoded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from av.container import InputContainer

from beam_pipelines.media.audio.downmix import named_layout
from beam_pipelines.media.audio.sound_choice import SoundTrack
from beam_pipelines.media.decode import (
    MPEG_STREAMS,
    DecodeQuality,
    RangeCounts,
    decode_packet,
    format_of,
    opened_film,
    packets,
    prepare_decoder,
)
from beam_pipelines.media.truncation import duration_tag_s

STEP = "probe"
_FFMPEGS_OWN_MB, _FIRST_SEARCH_MB, _FURTHER = 5, 20, 4
# Decoders refuse a packet here and there; a track whose first packets are all refused is no sound.
_PACKETS_TRIED = 25
_TRIED_WITHIN_S = 60


def sound_tracks(path: str, container: InputContainer, video: Any, max_search_mb: int) -> tuple[list[SoundTrack], int]:
    """The sound tracks of a film, and how many MB of its file had to be searched for them (0: FFmpeg's own 5).

    A transport or program stream that shows no sound, or one of unknown rate, is opened again and searched further.

    Args:
        path: the film.
        container: the same, opened.
        video: its picture's stream.
        max_search_mb: how far it is searched.

    Raises:
        FilmError: step `probe`, reason `unreadable`.
    """
    found, searched_mb, search_mb = _tracks(container, video.index), 0, 0
    is_searched = format_of(container) in MPEG_STREAMS and max_search_mb > _FFMPEGS_OWN_MB
    while is_searched and search_mb < max_search_mb and not (found and all(track.rate_hz for track in found)):
        search_mb = min(max(_FIRST_SEARCH_MB, search_mb * _FURTHER), max_search_mb)
        with opened_film(path, STEP, search_mb) as again:
            further = _tracks(again, video.index)
        if further != found:
            found, searched_mb = further, search_mb
    tried = [track.index for track in found if track.decodable]
    if len(tried) > 1:
        refused = _refused(path, tried, searched_mb)
        found = [replace(track, decodable=track.decodable and track.index not in refused) for track in found]
    return found, searched_mb


def _tracks(container: InputContainer, video_index: int) -> list[SoundTrack]:
    # Two streams are in one programme if the best picture beside them is the same.
    programme = container.streams.best("video", related=container.streams[video_index])
    return [
        _track(stream, container.streams.best("video", related=stream) is programme)
        for stream in container.streams.audio
    ]


def _track(stream: Any, same_programme: bool) -> SoundTrack:
    context, tags = stream.codec_context, stream.metadata
    channels = [] if context is None else list(context.layout.channels)
    named = channels[0].name if len(channels) == 1 else ""
    return SoundTrack(
        index=stream.index,
        codec=context.name if context is not None else "",
        rate_hz=context.sample_rate if context is not None else 0,
        channels=len(channels),
        layout=named_layout(context.layout).name if channels else "",
        language="" if stream.language in (None, "und") else stream.language,
        title=tags.get("title", ""),
        channel="" if named == "NONE" else named,
        disposition=int(stream.disposition),
        length_s=_length_s(stream),
        decodable=context is not None,
        same_programme=same_programme,
    )


def _length_s(stream: Any) -> float:
    """A stream's length from its header or Matroska's tag; 0 without either."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return float(duration_tag_s(stream.metadata.get("DURATION", "")) or 0)


def _refused(path: str, indices: list[int], search_mb: int) -> set[int]:
    """Of some sound tracks those whose first packets no decoder takes."""
    attempts, refused = dict.fromkeys(indices, 0), set()
    with opened_film(path, STEP, search_mb) as container:
        streams = [container.streams[index] for index in indices]
        for stream in streams:
            prepare_decoder(stream)
        until_s = None
        for packet in packets(container, streams, DecodeQuality()):
            stream = packet.stream
            if packet.pts is not None:
                time_s = packet.pts * packet.time_base
                until_s = time_s + _TRIED_WITHIN_S if until_s is None else until_s
                if time_s > until_s:
                    break
            if stream.index not in attempts or not packet.size:
                continue
            counts = RangeCounts(DecodeQuality())
            given = decode_packet(stream, packet, counts)
            attempts[stream.index] += counts.quality.packet_errors
            if attempts[stream.index] == _PACKETS_TRIED:
                refused.add(stream.index)
            if given or stream.index in refused:
                del attempts[stream.index]
            if not attempts:
                break
    return refused
