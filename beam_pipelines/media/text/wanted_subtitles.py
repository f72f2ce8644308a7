"""Which of a film's subtitles are wanted."""

from __future__ import annotations

from dataclasses import dataclass

from beam_pipelines.media.languages import one_form


@dataclass(frozen=True)
class WantedSubtitles:
    """The subtitles to read.

    Attributes:
        language: their language, in any form; subtitles that state none count too.
        encoding: the encoding of subtitles that are neither UTF-8 nor UTF-16; None to guess.
    """

    language: str = "en"
    encoding: str | None = None

    @property
    def is_english(self) -> bool:
        """Whether the wanted language is English."""
        return one_form(self.language) == "en"
