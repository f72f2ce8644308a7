"""Film ids: names of films that are safe as file names, the same on every system, and never too long."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from beam_pipelines.foundation.errors import ConfigurationError

MAX_ID_BYTES = 200
"""The longest id: with a job's suffixes it stays below the 255 bytes that file systems allow."""

# Separators, glob and control characters, and the surrogates that stand for bytes of a name that is not UTF-8.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f"%*/:<>?\[\\\]{|}\ud800-\udfff]')
# How `escape_film_id` writes those of them that can be shown, and a point at the beginning of a name.
_ESCAPED = re.compile(r"%(2[25AEF]|3[ACEF]|5[BCD]|7[BCD])")
# Terminals obey the C1 controls as they obey ESC; the others end a line or turn the reading direction.
_NOT_SHOWN = re.compile(r"[\x80-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_DIGEST_DIGITS = 16
_DIGEST = re.compile(rf"~[0-9a-f]{{{_DIGEST_DIGITS}}}$")


def escape_film_id(name: str) -> str:
    """The id of a film of this name: a single safe path component.

    Separators, glob and control characters become `%XX`, others stay. Two spellings of one name in Unicode have one id
    (NFC). An id above 200 bytes is cut and ends with a digest of the whole name.

    Raises:
        ConfigurationError: if the name is empty.
    """
    escaped = _UNSAFE.sub(lambda match: f"%{ord(match.group()):02X}", unicodedata.normalize("NFC", name.strip()))
    if escaped.startswith("."):
        escaped = "%2E" + escaped[1:]
    if not escaped:
        raise ConfigurationError("a film has an empty film_id; give every film a name")
    return escaped if len(escaped.encode("utf-8")) <= MAX_ID_BYTES else _with_digest(escaped, escaped)


def distinct_film_id(name: str) -> str:
    """An id with a digest of the name as it is written, for a film whose plain id is taken or would be empty."""
    return _with_digest(escape_film_id(name) if name.strip() else "film", name)


def has_digest(film_id: str) -> bool:
    """Whether an id ends with a digest, so that it is not the film's whole name."""
    return bool(_DIGEST.search(film_id))


def unescape_film_id(film_id: str) -> str:
    """The name that `escape_film_id` gives this id, with the characters that it escapes but for control characters."""
    return _ESCAPED.sub(lambda match: chr(int(match.group(1), 16)), film_id)


def shown_name(film_id: str) -> str:
    """A film id as people wrote it, for pages, titles and the terminal; never for an address or a file name.

    Control characters (also those for lines and reading direction) and bytes that are no UTF-8 stay `%XX`, so that no
    terminal and no marker file gets them.
    """
    return unescape_film_id(_NOT_SHOWN.sub(lambda match: f"%{ord(match.group()):02X}", film_id))


def _with_digest(start: str, whole: str) -> str:
    digest = hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()[:_DIGEST_DIGITS]
    kept = start.encode("utf-8")[: MAX_ID_BYTES - _DIGEST_DIGITS - 1].decode("utf-8", "ignore")
    # A cut within `%2F` would leave a part that means something else.
    return re.sub(r"%.?$", "", kept) + "~" + digest
