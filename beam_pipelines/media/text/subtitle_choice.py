"""Which of a film's subtitles are read: a file beside the film comes before the film's own tracks.

They must be text in the wanted language, or say no language. Subtitles for parts in another language only (forced) and
those of a commentary are never taken. Of several, those that name the language come first, then those without sound
descriptions (SDH), then the default, then the first.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from beam_pipelines.media.languages import is_language, one_form

SIDECAR_SUFFIXES = (".srt", ".vtt", ".ass", ".ssa")
"""The suffixes of subtitle files beside a film; of several that are alike, the first one here is taken."""

FORCED, FOR_DEAF, COMMENTARY = "forced", "sdh", "commentary"
_PURPOSES = {
    "forced": FORCED,
    "foreign": FORCED,
    "sdh": FOR_DEAF,
    "cc": FOR_DEAF,
    "hi": FOR_DEAF,
    "commentary": COMMENTARY,
    "comments": COMMENTARY,
}
_MOST_NAMED, _LONGEST_NAME = 20, 100


@dataclass(frozen=True)
class Subtitles:
    """One set of subtitles.

    Attributes:
        where: the index of the stream in the film's file, or the name of the file beside it.
        form: FFmpeg's name of the codec, or the file's suffix.
        language: the language that it states; empty if none.
        title: the title that the film gives it; empty if none.
        purpose: `forced`, `sdh`, `commentary`; empty if it is the film's speech.
        is_text: whether it is text, and not pictures of text or a form without decoder.
        is_default: whether the film's file flags it as default.
    """

    where: int | str
    form: str
    language: str = ""
    title: str = ""
    purpose: str = ""
    is_text: bool = True
    is_default: bool = False

    @property
    def is_sidecar(self) -> bool:
        """Whether it is a file beside the film."""
        return isinstance(self.where, str)

    def describe(self) -> dict[str, Any]:
        """The subtitles as records hold them; texts of the film's file are cut to a line's length."""
        key = "sidecar" if self.is_sidecar else "stream"
        about = {"form": self.form, "language": self.language, "title": self.title, "purpose": self.purpose}
        return {key: self.where, **{name: text[:_LONGEST_NAME] for name, text in about.items() if text}}

    def in_words(self) -> str:
        """For example `stream 3 (hdmv_pgs_subtitle, eng, no text)`."""
        where = self.where if self.is_sidecar else f"stream {self.where}"
        kind = "" if self.is_text else "no text"
        about = (self.form, self.language, self.title, self.purpose, kind)
        return f"{where} ({', '.join(text[:_LONGEST_NAME] for text in about if text)})"


@dataclass(frozen=True)
class SubtitleChoice:
    """The subtitles of a film, which of them is read, and how many would have done as well."""

    found: tuple[Subtitles, ...] = ()
    taken: Subtitles | None = None
    alike: int = 0

    def describe(self) -> dict[str, Any]:
        """The choice as records hold it."""
        about: dict[str, Any] = {"found": len(self.found), "alike": self.alike}
        if self.taken:
            return {**about, "taken": self.taken.describe()}
        return {**about, "not_taken": [one.in_words() for one in self.found[:_MOST_NAMED]]}


def choose_subtitles(found: Sequence[Subtitles], language: str) -> SubtitleChoice:
    """Chooses the subtitles to read.

    Args:
        found: the files beside the film, and its own tracks.
        language: the wanted language, in any form.
    """
    wanted = (one_form(language), "", "und")
    fitting = [one for one in found if one.is_text and one.purpose not in (FORCED, COMMENTARY)]
    fitting = [one for one in fitting if one_form(one.language) in wanted]
    taken = min(fitting, key=_rank, default=None)
    alike = 0 if taken is None else sum(_rank(one)[:4] == _rank(taken)[:4] for one in fitting)
    return SubtitleChoice(tuple(found), taken, alike)


def _rank(one: Subtitles) -> tuple[Any, ...]:
    suffix = SIDECAR_SUFFIXES.index(one.form) if one.is_sidecar else 0
    says_no_language = one.language in ("", "und")
    return not one.is_sidecar, says_no_language, one.purpose == FOR_DEAF, not one.is_default, suffix


def sidecars(film: str, names: Iterable[str]) -> list[Subtitles]:
    """The subtitle files that belong to a film, by name.

    Their names are the film's, without its suffix, then perhaps a language and a purpose: `film.srt`, `film.en.srt`,
    `film.English.SDH.vtt`. Any other word makes it another film's file.

    Args:
        film: the name of the film's file.
        names: the names of files of its folder.
    """
    stem, found = unicodedata.normalize("NFC", os.path.splitext(film)[0]) + ".", []
    for name in sorted(names):
        base, suffix = os.path.splitext(unicodedata.normalize("NFC", name))
        if suffix.lower() not in SIDECAR_SUFFIXES or not (base + ".").startswith(stem):
            continue
        words = [word.casefold() for word in base[len(stem) :].split(".") if word]
        # Alone, `hi` is Hindi; beside a language it means hearing impaired.
        of_purpose = [word for word in words if word in _PURPOSES and (word != "hi" or len(words) > 1)]
        purposes = [_PURPOSES[word] for word in of_purpose]
        languages = [word for word in words if word not in of_purpose]
        if len(languages) <= 1 and all(map(is_language, languages)):
            found.append(Subtitles(name, suffix.lower(), "".join(languages), purpose=_first(purposes)))
    return found


def purpose_in(title: str) -> str:
    """The purpose that a track's title names; empty if it names none."""
    words = re.split(r"\W+", title.casefold())
    return _first([_PURPOSES[word] for word in words if word in _PURPOSES and word != "hi"])


def _first(purposes: Sequence[str]) -> str:
    # Forced and commentary decide: such subtitles are never taken.
    return min(purposes, key=(FORCED, COMMENTARY, FOR_DEAF).index, default="")
