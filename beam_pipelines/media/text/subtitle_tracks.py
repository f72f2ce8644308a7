"""Which subtitle tracks a film's file has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from av.codec.codec import Properties
from av.stream import Disposition

from beam_pipelines.media.decode import opened_film
from beam_pipelines.media.text.subtitle_choice import COMMENTARY, FOR_DEAF, FORCED, Subtitles, purpose_in

STEP = "text"
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
        return [_track(stream) for stream in container.streams.subtitles]


def _track(stream: Any) -> Subtitles:
    context, tags = stream.codec_context, stream.metadata
    title = str(tags.get("title", ""))
    flagged = [purpose for flag, purpose in _FLAGS if stream.disposition & flag]
    return Subtitles(
        where=stream.index,
        form=context.codec.canonical_name if context else "unknown",
        language=str(tags.get("language", "")),
        title=title,
        purpose=flagged[0] if flagged else purpose_in(title),
        is_text=context is not None and bool(Properties(context.codec.properties) & Properties.TEXT_SUB),
        is_default=bool(stream.disposition & Disposition.default),
    )
