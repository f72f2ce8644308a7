"""Which subtitle tracks a film's file has."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from av.codec.codec import Properties
from av.stream import Disposition

from beam_pipelines.media.decode import DecodeQuality, format_of, opened_film, packets
from beam_pipelines.media.text.subtitle_choice import COMMENTARY, FOR_DEAF, FORCED, Subtitles, purpose_in

STEP = "text"
WEBVTT_IN_MP4 = "wvtt"
_LOOKED_AT_PACKETS = 500
_FLAGS = (
    (Disposition.forced, FORCED),
    (Disposition.comment, COMMENTARY),
    (Disposition.hearing_impaired | Disposition.captions, FOR_DEAF),
)


def subtitle_tracks(path: str | Path) -> list[Subtitles]:
    """The subtitle tracks of a film, in the file's order; those that hold no text as well.

    Raises:
        FilmError: step `text`, reason `unreadable`.
    """
    with opened_film(path, STEP) as container:
        found = [_track(stream) for stream in container.streams.subtitles]
        data = [stream.index for stream in container.streams.data] if format_of(container) == "mov" else []
    return sorted([*found, *(one for index in data for one in _webvtt(path, index))], key=lambda one: int(one.where))


def _webvtt(path: str | Path, index: int) -> list[Subtitles]:
    """The data stream of an MP4 file, if it is WebVTT: FFmpeg reads its boxes and doesn't know what they are."""
    with opened_film(path, STEP) as container:
        stream = container.streams[index]
        # WebVTT has samples from its beginning on; looking on for those of another track would read the whole film.
        first = islice(packets(container, list(container.streams), DecodeQuality()), _LOOKED_AT_PACKETS)
        kinds = (bytes(packet)[4:8] for packet in first if packet.stream_index == index and packet.size >= 8)
        is_webvtt = next(kinds, b"") in (b"vttc", b"vtte")
        return [replace(_track(stream), form=WEBVTT_IN_MP4, is_text=True)] if is_webvtt else []


def _track(stream: Any) -> Subtitles:
    context, tags = stream.codec_context, stream.metadata
    title = str(tags.get("title", ""))
    is_text = context is not None and bool(Properties(context.codec.properties) & Properties.TEXT_SUB)
    flagged = [purpose for flag, purpose in _FLAGS if stream.disposition & flag]
    return Subtitles(
        where=stream.index,
        form=context.codec.canonical_name if context else "unknown",
        language=str(tags.get("language", "")),
        title=title,
        purpose=flagged[0] if flagged else purpose_in(title),
        # Captions of analogue television come letter by letter.
        is_text=is_text and context.codec.canonical_name != "eia_608",
        is_default=bool(stream.disposition & Disposition.default),
    )
