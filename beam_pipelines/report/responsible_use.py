"""The text on what curves are and aren't for, which every scoring run's page links to."""

from __future__ import annotations

from pathlib import Path

PAGE = "responsible-use.txt"
"""Its name in a page's folder: a browser shows plain text, and only saves Markdown."""

_NAME = "responsible-use.md"
_PLACES = (Path(__file__).parents[1] / "docs", Path(__file__).parents[2] / "docs")


def responsible_use() -> bytes:
    """The page docs/responsible-use.md of the installed package, or of a checkout.

    Raises:
        FileNotFoundError: if the installation lacks it.
    """
    for place in _PLACES:
        if (place / _NAME).is_file():
            return (place / _NAME).read_bytes()
    raise FileNotFoundError(f"{_NAME} is in neither of {', '.join(map(str, _PLACES))}; install the package again")
