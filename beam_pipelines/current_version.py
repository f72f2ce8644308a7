"""Which version of a directory of exports is in use: the file `current` in it, one line that holds its number."""

from __future__ import annotations

from beam_pipelines import storage
from beam_pipelines.errors import ConfigurationError

CURRENT = "current"


def read_current(exports: str) -> int | None:
    """The version that the pointer names; None where there is no pointer.

    Args:
        exports: the directory of exports, local or `gs://`.

    Raises:
        ConfigurationError: for a pointer that holds no number.
    """
    uri = storage.join(exports, CURRENT)
    try:
        text = storage.read_text(uri).strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not (text.isascii() and text.isdigit()):
        raise ConfigurationError(f"{uri}: holds {text!r:.40}, not the number of a version; write one there")
    return int(text)
