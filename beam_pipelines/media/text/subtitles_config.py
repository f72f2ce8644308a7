"""The `subtitles` part of the extract section: which of a film's subtitles are read."""

from __future__ import annotations

from pydantic import Field, field_validator

from beam_pipelines.foundation.configuration import Section
from beam_pipelines.media.languages import one_form


class SubtitlesConfig(Section):
    """Which subtitles are wanted. None of it is in a fingerprint, but another value is extracted again.

    Attributes:
        language: their language: two letters, three, or the English word. Subtitles that state none count too.
        encoding: the encoding of subtitles that are neither UTF-8 nor UTF-16, for example cp1251; None takes them for
            cp1252, with a warning.
    """

    language: str = Field("en", min_length=2)
    encoding: str | None = None

    @field_validator("encoding")
    @classmethod
    def _of_text(cls, encoding: str | None) -> str | None:
        try:
            b"text".decode(encoding or "utf-8", "replace")
        except (LookupError, ValueError) as error:
            raise ValueError(f"no encoding of text: {encoding!r}; for example cp1251, iso8859-2, gb18030") from error
        return encoding

    @property
    def is_english(self) -> bool:
        """Whether the wanted language is English."""
        return one_form(self.language) == "en"
