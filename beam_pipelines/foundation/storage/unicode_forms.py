"""Names in another Unicode form: é is one character (NFC) to most systems, and e with an accent (NFD) to macOS.

A list made on one system and files copied from the other then name one file in two ways, which look alike. What isn't
there under the name given is looked for under the other.
"""

from __future__ import annotations

import logging
import os
import unicodedata
from pathlib import Path

from beam_pipelines.foundation.storage import object_storage

_LOG = logging.getLogger(__name__)
_NOTED: set[str] = set()


def forms_of(name: str) -> list[str]:
    """A name in both Unicode forms, except the one that it has; none for a name that has only one."""
    forms = (unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name))
    return [] if name.isascii() else [form for form in dict.fromkeys(forms) if form != name]


def found_elsewhere(uri: str) -> str | None:
    """Where a file or folder lies that isn't at `uri`: at the same address in another Unicode form, or nowhere (None).

    The log notes it, once a folder.
    """
    if uri.isascii():
        return None
    if uri.startswith(object_storage.SCHEME):
        found = next((form for form in forms_of(uri) if object_storage.find(form)), None)
    else:
        found = _found_on_disk(uri)
    if found is not None:
        _note(found)
    return found


def _found_on_disk(path: str) -> str | None:
    """The path with every component in the form that it has on disk, if that is another path."""
    found = ""
    for component in Path(path).parts:
        forms = (os.path.join(found, form) for form in (component, *forms_of(component)))
        there = next((form for form in forms if os.path.lexists(form)), None)
        if there is None:
            return None
        found = there
    return None if found == str(Path(path)) else found


def _note(uri: str) -> None:
    folder, name = os.path.split(uri)
    if folder not in _NOTED:
        _NOTED.add(folder)
        _LOG.warning(
            "%s: names here are written in another Unicode form than yours; they are found all the same (%s)",
            folder or ".",
            name,
        )
