"""The text of a subtitle file's bytes."""

from __future__ import annotations

import codecs

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_LOOKED_AT = 4000


def decode_text(content: bytes, named: str | None = None) -> tuple[str, str, bool]:
    """Decodes text: by its byte order mark; else as UTF-8; else as `named`; else, as a guess, by its look.

    What has a zero in every second byte is UTF-16; anything else is taken for the code page of Western Europe. Bytes
    without a meaning become U+FFFD.

    Returns:
        The text, the encoding's name, and whether that is a guess.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, "replace"), encoding.removesuffix("-sig"), False
    head = content[:_LOOKED_AT]
    zeros = [place % 2 for place, byte in enumerate(head) if byte == 0]
    if named is None and len(zeros) > len(head) // 8:
        encoding = "utf-16-le" if sum(zeros) * 2 > len(zeros) else "utf-16-be"
        return content.decode(encoding, "replace"), encoding, True
    try:
        return content.decode("utf-8"), "utf-8", False
    except UnicodeDecodeError:
        encoding = named or "cp1252"
        return content.decode(encoding, "replace"), encoding, named is None
