"""The version in use of a directory of exports: its file `current` has one line, the version's number."""

from __future__ import annotations

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError

# Needed to move the pointer in a bucket, where nothing can be locked.
from beam_pipelines.foundation.storage.object_storage import (
    ChangedError as ChangedError,
    read_generation as read_generation,
)

CURRENT = "current"


def read_current(exports: str) -> int | None:
    """The version that the pointer names; None if there is no pointer.

    Args:
        exports: the directory of exports, local or `gs://`.

    Raises:
        ConfigurationError: if the pointer holds no number.
    """
    uri = storage.join(exports, CURRENT)
    try:
        return parse_pointer(uri, storage.read_text(uri))
    except (FileNotFoundError, NotADirectoryError):
        return None


def parse_pointer(uri: str, content: str) -> int:
    """The version that the content of the pointer at `uri` names.

    Raises:
        ConfigurationError: if it is no number.
    """
    text = content.strip()
    if not (text.isascii() and text.isdigit()):
        raise ConfigurationError(f"{uri}: holds {text!r:.40}, not the number of a version; write one there")
    return int(text)
