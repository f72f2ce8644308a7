"""What is said in a film: its subtitles are found, one of them is chosen, read, and put on the film's clock."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beam_pipelines.media.probe import FilmProbe
from beam_pipelines.media.text.cues import Cue, cues_of_speech
from beam_pipelines.media.text.encoding import decode_text
from beam_pipelines.media.text.read_cues import MOST_BYTES, UnreadableSubtitles, cues_of_file, cues_of_track
from beam_pipelines.media.text.spoken_words import words_of
from beam_pipelines.media.text.subtitle_choice import Subtitles, choose_subtitles
from beam_pipelines.media.text.subtitle_tracks import subtitle_tracks
from beam_pipelines.media.text.wanted_subtitles import WantedSubtitles

# In a short film a few cues may well be all.
_SPAN_FROM_S = 600
# The commonest words of English that no other large language writes so: one word of four or five of any dialogue.
_COMMON = {"the", "and", "you", "is", "it", "that", "of", "to", "what", "this", "have", "your", "with", "are", "not"}
_COMMON |= {"they", "be", "for", "my"}


@dataclass(frozen=True)
class FilmText:
    """What is said in a film.

    Attributes:
        cues: cues of speech, by time.
        quality: where they come from, counts, and what is uncertain, as a record holds it.
    """

    cues: tuple[Cue, ...]
    quality: Mapping[str, Any]

    @property
    def is_there(self) -> bool:
        """Whether anything is said: subtitles without speech in the film may be those of another one, or of signs."""
        return bool(self.cues)

    @property
    def source(self) -> str:
        """What was read, for people: the name of a file, `stream 1`, or `none`."""
        taken = self.quality.get("taken") or {}
        return str(taken.get("sidecar") or (f"stream {taken['stream']}" if taken else "none"))


def read_film_text(
    path: str | Path,
    probe: FilmProbe,
    wanted: WantedSubtitles,
    beside: Sequence[Subtitles] = (),
    sidecar: str | Path | None = None,
) -> FilmText:
    """Reads what is said in a film.

    Args:
        path: the film's file, local.
        probe: the probe of that file.
        wanted: which subtitles are wanted.
        beside: the subtitle files beside the film (`subtitle_choice.sidecars`).
        sidecar: a local path of the one of them that `choose_subtitles` takes, if it takes one.

    Raises:
        FilmError: if the film's file can't be read.
    """
    # The file beside the film comes first, so its own tracks need not be looked at.
    choice = choose_subtitles(beside, wanted.language)
    if choice.taken is None:
        choice = choose_subtitles([*beside, *subtitle_tracks(path)], wanted.language)
    quality: dict[str, Any] = {"wanted": wanted.language, **choice.describe()}
    if choice.taken is None:
        return FilmText((), quality)
    try:
        if choice.taken.is_sidecar:
            assert sidecar is not None
            quality["taken"]["size_bytes"] = _size_bytes(Path(sidecar))
            found, about = _read_sidecar(Path(sidecar), probe, wanted.encoding)
        else:
            found, about = cues_of_track(path, probe, int(choice.taken.where), wanted.encoding)
        cues, counts = cues_of_speech(found, round(probe.duration_s * 1_000_000))
    except UnreadableSubtitles as error:
        return FilmText((), {**quality, "not_read": str(error)})
    quality.update({**counts, "damaged": about.pop("damaged", 0)})
    quality["taken"].update(about)
    if cues and probe.duration_s >= _SPAN_FROM_S:
        span_us = max(cue.end_us for cue in cues) - cues[0].start_us
        quality["span_percent"] = round(span_us / 10_000 / float(probe.duration_s), 1)
    if wanted.is_english and cues:
        words = [word for cue in cues for word in words_of(cue.text)]
        common = sum(word.casefold() in _COMMON for word in words)
        quality.update(words=len(words), common_percent=round(100 * common / len(words), 1))
    return FilmText(cues, quality)


def _size_bytes(sidecar: Path) -> int:
    return sidecar.stat().st_size if sidecar.exists() else 0


def _read_sidecar(sidecar: Path, probe: FilmProbe, encoding: str | None) -> tuple[list[Cue], dict[str, Any]]:
    """The cues of a file beside the film, and what a record says of the file."""
    if _size_bytes(sidecar) > MOST_BYTES:
        raise UnreadableSubtitles(f"it has more than {MOST_BYTES // 1_000_000} MB")
    # Reading a named pipe or a device might never end.
    if sidecar.exists() and not sidecar.is_file():
        raise UnreadableSubtitles("it is no regular file")
    try:
        content = sidecar.read_bytes()
    except OSError as error:
        raise UnreadableSubtitles(str(error.strerror)) from error
    text, encoded, is_guess = decode_text(content, encoding)
    about: dict[str, Any] = {"sha256": hashlib.sha256(content).hexdigest(), "encoding": encoded}
    if is_guess:
        about["not_ascii"] = sum(byte > 127 for byte in content)
    # Players show the file's time; the film's begins with its first picture.
    late_us = round((probe.first_pts_s - probe.file_start_s) * 1_000_000)
    return [Cue(c.start_us - late_us, c.end_us - late_us, c.text) for c in cues_of_file(text)], about
