"""Warnings: what a user must know about a film that was done. All codes and their sentences are in this module.

A warning is a code for counting and filtering, a number (what it counts stands in the sentence), and the sentence. A
film's record holds its warnings; manifests count them, and the terminal and the page show them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beam_pipelines.contracts.film_ids import shown_name
from beam_pipelines.foundation.errors import FilmError

SENTENCES: Mapping[str, str] = {
    "truncated": "the pictures end {number:g} s before the end that the file states; most often a copy was cut off",
    "clock_jumped": "the file's timestamps jump, as those of joined recordings do, and were joined to one clock; "
    "jumps: {number:g}",
    "rest_not_read": "behind this film the file holds {number:g} MB of others, as files joined by `cat` do; not read",
    "damaged": "parts of the file are damaged; packets and frames lost: {number:g}",
    "frozen": "{number:g} seconds show the picture of the second before: a gap in the file, or stills",
    "sound_goes_on": "the sound goes on for {number:g} s after the pictures; those seconds are left out",
    "sound_track_chosen": "the film has {number:g} sound tracks; taken: {taken}",
    "sound_track_not_found": "none of {number:g} sound tracks is '{wanted}' and can be decoded; taken: {taken}",
    "sound_not_decodable": "{number:g} of {tracks} sound tracks can't be decoded; taken: {taken}",
    "mono_tracks_mixed": "{number:g} mono tracks were mixed as {layout}",
    "mono_tracks_apart": "nothing says that {number:g} mono tracks are channels of one sound; taken: {taken}",
    "pixels_not_square": "a pixel is {number:g} times as wide as high; faces are looked for in square pixels",
    "interlaced": "a picture holds two fields; faces are looked for in one of them, which has {number:g} lines",
    "hdr": "the film is HDR; its pictures become SDR, with {number:g} cd/m² as white",
    "hdr_clipped": "{number:g} % of the HDR film's pixels are brighter than SDR's white, and became white",
    "subtitles_chosen": "the film has {number:g} subtitles in the wanted language; taken: {taken}",
    "subtitles_not_taken": "the film has no text, for none of its subtitles is text of the whole film in '{wanted}'; "
    "there are {number:g}: {found}",
    "subtitles_not_read": "{taken} can't be read ({why}), so the film has no text; subtitles found: {number:g}",
    "subtitles_encoding": "{taken} was read as {encoding}, which is a guess; bytes that depend on it: {number:g}",
    "subtitles_mended": "cues that don't end after they begin, or are too long, whose ends are guessed: {number:g}",
    "subtitles_left_out": "cues of {taken} outside the film, or without a time or text that can be read: {number:g}",
    "subtitles_span": "the subtitles span {number:g} % of the film; perhaps they belong to a part of it",
    "subtitles_language": "{number:g} % of the subtitles' words are the commonest of English, too few for English",
    "unlike_training": "{number:g} % of the seconds have features unlike those of the model's training films ({which})",
    "features_absent": "no second has {which}, which every training film of the model had; such modalities: {number:g}",
}
"""Code -> its sentence, a format with `number` and perhaps further words; in the order in which warnings are shown.

A new code needs a line here, a rule in `warnings_of_quality`, `media.probe_warnings` or (a model's view of a film)
`models.seen_features`, and a row in docs/own-films.md.
"""

OF_SCORE = ("unlike_training", "features_absent")
"""The codes that only `score` finds, since they are a model's view of a film: `extract.refuse` can't name them."""

TRUNCATED_BEYOND_S = 1.0
"""A film is truncated if more than this is missing (ours): containers round, and muxers omit last frames."""

FROZEN_BEYOND_S = 1
"""A film is frozen if more seconds than this lack a picture of their own (ours): the last frame may be a long one."""


SOUND_GOES_ON_BEYOND_S = 2.0
"""More sound than this after the last picture is a warning (ours): encoders and editors leave a second or so."""


SPAN_BELOW_PERCENT = 50
"""Subtitles from whose first to whose last cue less of a film lies are a warning (ours)."""

COMMON_BELOW_PERCENT, COMMON_OF_WORDS = 10, 100
"""English subtitles have 20 to 30 % of the commonest words, those of other languages at most 5 % (ours): fewer, among
so many words or more, are a warning."""


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

    Words may come from the film's own file, so characters that a terminal could obey become question marks.

    Raises:
        KeyError: if `SENTENCES` lacks the code, or its sentence needs a word that isn't given.
    """
    rounded = round(number, 3)
    sentence = SENTENCES[code].format(number=rounded, **words)
    return FilmWarning(code, rounded, "".join(letter if letter.isprintable() else "?" for letter in sentence))


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
        descriptions: modality -> how its track was made. In the decode mode `keyframes`, and in `approximate` with an
            age of a second or more, pictures stand still by choice, which is no warning.

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
    found += _sound_warnings(quality.get("sound") or {}, sound)
    made = descriptions or {}
    by_choice = any(
        made[modality].get("decode_mode") == "keyframes" or _counts(made, modality)("approximate_age_s") >= 1
        for modality in made
    )
    if picture("seconds_without_a_fresh_frame") > FROZEN_BEYOND_S and not by_choice:
        found.append(film_warning("frozen", picture("seconds_without_a_fresh_frame")))
    facts = {
        "rest_not_read": film("unread_mb"),
        "pixels_not_square": film("pixel_aspect"),
        "interlaced": film("field_lines"),
        "hdr": film("hdr_white_nits"),
        "hdr_clipped": picture("clipped_percent"),
    }
    found += [film_warning(code, number) for code, number in facts.items() if number]
    found += _text_warnings(quality.get("text") or {}, _counts(quality, "text"))
    return tuple(found)


def _sound_warnings(described: Mapping[str, Any], sound: Callable[[str], float]) -> Iterator[FilmWarning]:
    """The warnings about the choice of sound tracks, from what a record says of it; none in older records."""
    tracks = described.get("tracks") or []
    if not isinstance(tracks, list) or not all(isinstance(track, Mapping) for track in tracks):
        raise ValueError("the quality's 'sound' has no list of tracks")
    taken = _taken(tracks, str(described.get("why")))
    in_film, lost = sound("tracks_in_film"), sound("not_decodable")
    apart = sound("mono_tracks_apart")
    if in_film - lost > len(tracks) > 0 and described.get("why") != "named" and not apart:
        yield film_warning("sound_track_chosen", in_film, taken=taken)
    if described.get("not_found"):
        yield film_warning("sound_track_not_found", in_film, taken=taken, wanted=described["not_found"])
    if lost:
        yield film_warning("sound_not_decodable", lost, tracks=int(in_film), taken=taken)
    if len(tracks) > 1:
        yield film_warning("mono_tracks_mixed", len(tracks), layout=described.get("layout"))
    if apart:
        yield film_warning("mono_tracks_apart", apart, taken=taken)


def _text_warnings(described: Mapping[str, Any], text: Callable[[str], float]) -> Iterator[FilmWarning]:
    """The warnings about a film's subtitles, from what a record says of them; none in records without text."""
    taken, there = described.get("taken") or {}, text("found")
    if there and not taken:
        found = ", ".join(map(str, described.get("not_taken") or []))
        yield film_warning("subtitles_not_taken", there, wanted=described.get("wanted"), found=found)
        return
    which = str(taken.get("sidecar") or f"stream {taken.get('stream')}")
    if text("alike") > 1:
        yield film_warning("subtitles_chosen", text("alike"), taken=which)
    if described.get("not_read"):
        yield film_warning("subtitles_not_read", there, taken=which, why=described["not_read"])
    if guessed := _counts(described, "taken")("not_ascii"):
        yield film_warning("subtitles_encoding", guessed, taken=which, encoding=taken.get("encoding"))
    if text("mended"):
        yield film_warning("subtitles_mended", text("mended"))
    if left_out := text("outside") + text("damaged"):
        yield film_warning("subtitles_left_out", left_out, taken=which)
    if 0 < text("span_percent") < SPAN_BELOW_PERCENT:
        yield film_warning("subtitles_span", text("span_percent"))
    if text("words") >= COMMON_OF_WORDS and text("common_percent") < COMMON_BELOW_PERCENT:
        yield film_warning("subtitles_language", text("common_percent"))


_WHY = {
    "named": "as named",
    "only": "the only one left",
    "default": "the default",
    "most_channels": "most channels",
    "first": "the first of several alike",
}


def _taken(tracks: Sequence[Mapping[str, Any]], why: str) -> str:
    """The taken tracks in words, for example `stream 2 (stereo, eng): the default`."""
    if not tracks:
        return "none"
    if len(tracks) > 1:
        return f"{len(tracks)} mono tracks"
    words = [str(tracks[0][key]) for key in ("layout", "language", "title") if tracks[0].get(key)]
    about = f" ({', '.join(words)})" if words else ""
    return f"stream {tracks[0].get('index')}{about}: {_WHY.get(why, why)}"


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


def refuse(film: str, warnings: Iterable[FilmWarning], codes: Sequence[str]) -> None:
    """Refuses a film that has one of the warnings in `codes` (`extract.refuse`).

    Raises:
        FilmError: step `refuse`; the reason is the code, the detail names the film and has the warning's sentence.
    """
    for warning in warnings:
        if warning.code in codes:
            detail = f"{film}: {warning.sentence} (extract.refuse names {warning.code})"
            raise FilmError("refuse", warning.code, detail)


def count_by_code(films: Iterable[Iterable[FilmWarning]]) -> dict[str, int]:
    """Code -> how many films have it, sorted; from each film's warnings."""
    return dict(sorted(Counter(warning.code for warnings in films for warning in warnings).items()))


def headline(films: int, by_code: Mapping[str, int]) -> str:
    """`3 films have warnings: damaged 1, truncated 2`, from the films with warnings and the films of each code."""
    codes = ", ".join(f"{code} {count}" for code, count in by_code.items())
    return f"{films} {'film has' if films == 1 else 'films have'} warnings: {codes}"


def line_of(film_id: str, warning: FilmWarning) -> str:
    """One film's warning as a line below the headline."""
    return f"  {shown_name(film_id)}: {warning.sentence} ({warning.code})"


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
