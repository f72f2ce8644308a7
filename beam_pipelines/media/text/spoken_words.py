"""From a cue's text to what is spoken: without formatting, sound descriptions, lyrics and speakers' names.

{\\i1}JOHN:{\\i0} Where is it?  ──▶  Where is it?          [door slams]  ──▶  nothing          ♪ la la ♪  ──▶  nothing
"""

from __future__ import annotations

import html
import re

# An ASS drawing, up to where text goes on; then override tags; then what other formats leave of theirs.
_DRAWING = re.compile(r"\{[^{}]*\\p[1-9][^{}]*\}[^{}]*")
_BRACES = re.compile(r"\{[^{}]*\}")
_TAGS = re.compile(r"</?[a-zA-Z][^<>]*>|<[\d:.]+>")
_DESCRIPTIONS = re.compile(r"\[[^\[\]]*\]|\([^()]*\)|（[^（）]*）|［[^［］]*］|【[^【】]*】")
_NOTES = re.compile("[♩♪♫♬]")
_HASHES = re.compile(r"#.*#")
_BEFORE_SPEECH = re.compile(r"[-–—‐>\s]+")
_SPEAKER = re.compile(r"([^:\n]{2,30}):(?=\s|$)")
_WIDE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_WIDE}]|[^\W{_WIDE}]+(?:['’\-.][^\W{_WIDE}]+)*")


def spoken_lines(text: str) -> list[str]:
    """The lines of a cue that somebody speaks, each as plain text; none if nobody does.

    Brackets hold descriptions of sounds, lines with a note or between hashes are sung, and what stands in capitals
    before a colon is the speaker's name.
    """
    plain = text.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
    for what in (_DRAWING, _BRACES, _TAGS):
        plain = what.sub("", plain)
    plain = _DESCRIPTIONS.sub(" ", html.unescape(plain))
    lines, is_song = [], False
    for line in plain.splitlines():
        notes = len(_NOTES.findall(line))
        # An odd note begins or ends a song of several lines.
        is_sung, is_song = bool(notes) or is_song, is_song != (notes % 2 == 1)
        spoken = " ".join(_without_speaker(line).split())
        if not is_sung and not _HASHES.fullmatch(spoken) and count_words(spoken):
            lines.append(spoken)
    return lines


def count_words(text: str) -> int:
    """The number of words in a text."""
    return len(words_of(text))


def words_of(text: str) -> list[str]:
    """The words of a text: letters and digits between others; in Chinese and Japanese every character is one."""
    return _WORD.findall(text)


def _without_speaker(line: str) -> str:
    before = _BEFORE_SPEECH.match(line)
    spoken = line[before.end() :] if before else line
    speaker = _SPEAKER.match(spoken)
    return spoken[speaker.end() :] if speaker and speaker[1].isupper() else spoken
