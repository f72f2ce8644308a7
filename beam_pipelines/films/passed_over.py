"""Files of a folder that are not taken as films because of their suffix: counted and named, so that none is missed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping

_LONGEST_SUFFIX = 12
_NAMED_SUFFIXES = 10


def count_by_suffix(names: Iterable[str]) -> dict[str, int]:
    """Suffix in small letters -> how many of the files have it, sorted; an empty one for names without a suffix."""
    suffixes = (os.path.splitext(name)[1].lower()[:_LONGEST_SUFFIX] for name in names)
    # Names are anybody's: one may hold what a terminal obeys, or bytes that are no text.
    shown = ("".join(letter if letter.isprintable() else "?" for letter in suffix) for suffix in suffixes)
    return dict(sorted(Counter(shown).items()))


def passed_over_line(by_suffix: Mapping[str, int]) -> str:
    """`14 files were passed over for their suffix: .srt 12, .txt 2`; the most frequent suffixes come first."""
    ordered = sorted(by_suffix.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{suffix or 'none'} {count}" for suffix, count in ordered[:_NAMED_SUFFIXES]]
    if len(ordered) > _NAMED_SUFFIXES:
        named.append(f"{len(ordered) - _NAMED_SUFFIXES} more suffixes")
    files = sum(by_suffix.values())
    what = "file was passed over for its suffix" if files == 1 else "files were passed over for their suffix"
    return f"{files} {what}: {', '.join(named)}"
