"""Which version of a directory of exports is in use: the file `current` in it, one line that holds its number."""

from __future__ import annotations

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError

# What it takes to move the pointer of a bucket, where nothing can be locked.
from beam_pipelines.foundation.storage.object_storage import ChangedError as ChangedError
from beam_pipelines.foundation.storage.object_storage import read_generation as read_generation

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
        return parse_pointer(uri, storage.read_text(uri))
    except (FileNotFoundError, NotADirectoryError):
        return None


def parse_pointer(uri: str, content: str) -> int:
    """The version that the content of the pointer at `uri` names.

    Raises:
        ConfigurationError: where it is no number.
    """
    text = content.strip()
    if not (text.isascii() and text.isdigit()):
        raise ConfigurationError(f"{uri}: holds {text!r:.40}, not the number of a version; write one there")
    return int(text)
