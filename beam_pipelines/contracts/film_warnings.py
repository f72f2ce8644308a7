"""Warnings: what a user must know about a film that was done. All codes and their sentences are in this module.

A warning is a code for counting and filtering, a number (what it counts stands in the sentence), and the sentence. A
film's record holds its warnings; manifests count them, and the terminal and the page show them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SENTENCES: Mapping[str, str] = {
    "truncated": "the pictures end {number:g} s before the end that the file states; most often a copy was cut off",
    "clock_jumped": "the file's timestamps jump, as those of joined recordings do, and were joined to one clock; "
    "jumps: {number:g}",
    "damaged": "parts of the file are damaged; packets and frames lost: {number:g}",
    "frozen": "{number:g} seconds show the picture of the second before: a gap in the file, or stills",
}
"""Code -> its sentence, a format with `number` and perhaps further words; in the order in which warnings are shown.

A new code needs a line here, a rule in `warnings_of_quality` or `media.probe_warnings`, and a row in docs/own-films.md.
"""

TRUNCATED_BEYOND_S = 1.0
"""A film is truncated if more than this is missing (ours): containers round, and muxers omit last frames."""

FROZEN_BEYOND_S = 1
"""A film is frozen if more seconds than this lack a picture of their own (ours): the last frame may be a long one."""


@dataclass(frozen=True)
class FilmWarning:
    """One warning about one film.

    Attributes:
        code: a key of `SENTENCES` (another in a record of a newer version).
        number: how much: seconds, packets, tracks, as the sentence says.
        sentence: a sentence for a person.
    """

    code: str
    number: float
    sentence: str


def film_warning(code: str, number: float, **words: Any) -> FilmWarning:
    """A warning with its sentence; `words` fill what the sentence has beside its number.

    Raises:
        KeyError: if `SENTENCES` lacks the code, or its sentence needs a word that isn't given.
    """
    rounded = round(number, 3)
    return FilmWarning(code, rounded, SENTENCES[code].format(number=rounded, **words))


def in_order(warnings: Iterable[FilmWarning]) -> tuple[FilmWarning, ...]:
    """One warning per code, the last one given, in the order of `SENTENCES`; unknown codes come last."""
    by_code = {warning.code: warning for warning in warnings}
    known = [by_code.pop(code) for code in SENTENCES if code in by_code]
    return (*known, *(by_code[code] for code in sorted(by_code)))


def warnings_of_quality(
    quality: Mapping[str, Any], descriptions: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[FilmWarning, ...]:
    """The warnings that follow from the quality in a record; records without stored warnings have these.

    Args:
        quality: a record's quality, or the part that is known so far.
        descriptions: modality -> how its track was made. In the decode mode `keyframes` pictures stand still by
            choice, which is no warning.

    Raises:
        ValueError: if a count is no number.
    """
    film, picture, sound = (_counts(quality, part) for part in ("film", "picture", "sound"))
    found = []
    if film("missing_s") > TRUNCATED_BEYOND_S:
        found.append(film_warning("truncated", film("missing_s")))
    if film("clock_jumps"):
        found.append(film_warning("clock_jumped", film("clock_jumps")))
    # The demuxer and the decoder may both count the same packet of the pictures.
    in_pictures = max(
        film("packets_damaged") + film("read_errors"), picture("frames_corrupt") + picture("packet_errors")
    )
    damaged = in_pictures + sound("frames_corrupt") + sound("packet_errors")
    if damaged:
        found.append(film_warning("damaged", damaged))
    by_choice = any(each.get("decode_mode") == "keyframes" for each in (descriptions or {}).values())
    if picture("seconds_without_a_fresh_frame") > FROZEN_BEYOND_S and not by_choice:
        found.append(film_warning("frozen", picture("seconds_without_a_fresh_frame")))
    return tuple(found)


def _counts(quality: Mapping[str, Any], part: str) -> Any:
    """A function from a count's name to its number in a part of the quality; 0 if it isn't there."""
    counts = quality.get(part) or {}
    if not isinstance(counts, Mapping):
        raise ValueError(f"the quality's '{part}' holds no counts")

    def count(name: str) -> float:
        number = counts.get(name) or 0
        if not isinstance(number, (int, float)):
            raise ValueError(f"the quality's '{part}' has '{name}': {number!r}")
        return number

    return count


def to_rows(warnings: Iterable[FilmWarning]) -> list[dict[str, Any]]:
    """Warnings as JSON objects with `code`, `number` and `sentence`."""
    return [vars(warning) for warning in warnings]


def from_rows(rows: Any) -> tuple[FilmWarning, ...]:
    """The inverse of `to_rows`; other keys are ignored, since a newer version may have them.

    Raises:
        ValueError: if the rows are no warnings.
    """
    if not isinstance(rows, list):
        raise ValueError("the warnings are no list")
    found = []
    for row in rows:
        if not isinstance(row, dict):
            raise ValueError(f"no warning: {row!r}")
        code, number, sentence = row.get("code"), row.get("number"), row.get("sentence")
        if not isinstance(code, str) or not isinstance(number, (int, float)) or not isinstance(sentence, str):
            raise ValueError(f"no warning: {row!r}")
        found.append(FilmWarning(code, number, sentence))
    return tuple(found)
